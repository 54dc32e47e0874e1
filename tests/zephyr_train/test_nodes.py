"""Several machines, each with the same command: who writes what, what the environment must say, who ends whom."""

import json
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.conftest import News
from tests.zephyr_train.jobs import job
from zephyr_core import process
from zephyr_core.errors import DataError, EnvironmentLack, PartlyDone, ZephyrError
from zephyr_core.kinds import JOB
from zephyr_core.process import FAILURE
from zephyr_train import launch, nodes, together, train, worker
from zephyr_train.agreement import AGREED
from zephyr_train.errors import ForeignRun, InvariantBroken
from zephyr_train.job import Job
from zephyr_train.options import SFTOptions
from zephyr_train.training.checkpoints import mark_complete

WHOLE = {"NODE_RANK": "1", "MASTER_ADDR": "10.0.0.1"}


def set_up(monkeypatch: pytest.MonkeyPatch, environment: Mapping[str, str]) -> None:
    for name in nodes.FOREIGN:
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        (WHOLE, []),
        (WHOLE | {"MASTER_PORT": "1234"}, []),
        ({}, ["NODE_RANK is not set", "MASTER_ADDR is not set"]),
        (WHOLE | {"NODE_RANK": "2"}, ["NODE_RANK is '2', not 0 to 1"]),
        (WHOLE | {"NODE_RANK": "-1"}, ["NODE_RANK is '-1'"]),
        (WHOLE | {"NODE_RANK": "one"}, ["NODE_RANK is 'one'"]),
        (WHOLE | {"MASTER_ADDR": ""}, ["MASTER_ADDR is not set"]),
        (WHOLE | {"MASTER_PORT": "70000"}, ["MASTER_PORT is '70000'"]),
    ],
)
def test_each_of_several_machines_must_know_which_it_is(
    environment: dict[str, str], words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    set_up(monkeypatch, environment)
    lacks = [*nodes.node_faults(SFTOptions(nodes=2, gpus=16))]
    assert [lack.name for lack in lacks] == ["unknown-node"] * len(words)
    assert all(word in lack.message for word, lack in zip(words, lacks, strict=True))
    assert [*nodes.node_faults(SFTOptions(nodes=1))] == [], "one machine needs none of it"


def test_what_a_scheduler_says_does_not_reach_the_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    set_up(monkeypatch, dict.fromkeys((*nodes.FOREIGN, *launch.LESS_EXACT), "1"))
    for world, of_nodes in ((1, 1), (16, 2)):
        environment = launch.environment(job(Path("run"), world=world, options={"nodes": of_nodes, "gpus": world}))
        assert environment.keys().isdisjoint({*nodes.FOREIGN, *launch.LESS_EXACT})
    in_bf16 = launch.environment(job(Path("run"), numerics="bf16", cpu=False))
    assert in_bf16.keys() >= {*launch.LESS_EXACT}
    assert launch.accelerate_config(job(Path("run"), world=2))["machine_rank"] == nodes.node_rank(1) == 0


def two(folder: Path, **changes: Any) -> Job:
    return job(folder, world=2, backend="ddp", cpu=False, options={"nodes": 2, "gpus": 2}, **changes)


def requested(one: Job, **changes: Any) -> Any:
    return SimpleNamespace(out=one.folder, recipe=None, resume=False, **{"fresh": False, **changes})


def run_on(rank: int, one: Job, monkeypatch: pytest.MonkeyPatch, code: str = "") -> None:
    """Do what `zephyr train` does on that machine once preflight is done, with other processes."""
    set_up(monkeypatch, WHOLE | {"NODE_RANK": str(rank)})
    monkeypatch.setattr(launch, "command", lambda *_: [sys.executable, "-c", code])
    monkeypatch.setattr(launch, "run_alone", lambda *_: None)
    monkeypatch.setattr("zephyr_train.results.finish.finish", lambda *_: None)
    plan: Any = SimpleNamespace(record=dict)
    examination: Any = SimpleNamespace(plan=plan, inputs=list)
    train._train(requested(one), one, examination)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_resumed_run_keeps_its_checkpoint_in_every_order_of_arrival(
    order: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The review's second finding: the second machine's record, without a checkpoint, replaced the first one's."""
    one = two(tmp_path / "run")
    checkpoint = one.state / "checkpoint-300"
    checkpoint.mkdir(parents=True)
    (checkpoint / "weights").write_text("whole")
    mark_complete(checkpoint, one.digest)
    for rank in order:
        if rank == 0:
            run_on(0, one, monkeypatch)
        else:
            with pytest.raises(PartlyDone):
                run_on(1, one, monkeypatch)
    assert Job.read(one.folder).checkpoint == str(checkpoint)
    assert not (tmp_path / "run.node1").exists(), "its part is done"


def test_the_first_machine_alone_changes_the_shared_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = two(tmp_path / "run")
    with pytest.raises(ZephyrError, match="ZeroDivisionError"):
        run_on(1, one, monkeypatch, "1 / 0")
    assert not one.folder.exists(), "where it would be in the first one's way"
    own = tmp_path / "run.node1"
    assert sorted(file.name for file in own.iterdir()) == [JOB, "launch.yaml", "log.txt"]
    assert nodes.own_folder(one.folder, 2) == own and nodes.own_folder(one.folder, 1) == one.folder


def test_a_worker_does_not_begin_anew_next_to_a_whole_checkpoint(tmp_path: Path) -> None:
    one = job(tmp_path / "run")
    worker.require_named_checkpoint(one)
    checkpoint = one.state / "checkpoint-4"
    checkpoint.mkdir(parents=True)
    (checkpoint / "weights").write_text("whole")
    worker.require_named_checkpoint(one)
    mark_complete(checkpoint, one.digest)
    with pytest.raises(InvariantBroken, match=f"holds a whole checkpoint, and .*{JOB} names none"):
        worker.require_named_checkpoint(one)


def test_with_fresh_the_first_machine_discards_and_no_other_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = two(tmp_path / "run")
    one.write(one.folder)
    (one.folder / "manifest.json").write_text("{}")
    request, other = requested(one, fresh=True), two(tmp_path / "run", model_digest="another")
    set_up(monkeypatch, WHOLE)
    train._refuse_other(request, other)
    assert (one.folder / JOB).is_file()
    with pytest.raises(ForeignRun, match="model_digest"):
        train._refuse_other(requested(one), other)
    set_up(monkeypatch, WHOLE | {"NODE_RANK": "0"})
    train._refuse_other(request, other)
    assert not one.folder.exists()


def leave(one: Job, message: str) -> None:
    (one.folder / FAILURE).write_text(json.dumps({"message": message, "hint": "lower it", "exit_code": 5}))


def test_a_failure_on_another_machine_ends_this_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_up(monkeypatch, WHOLE)
    one = two(tmp_path / "run")
    one.folder.mkdir()
    leave(one, "an older start's")
    monkeypatch.setattr(together, "PATIENCE", 0.5)
    monkeypatch.setattr(launch, "command", lambda *_: [sys.executable, "-c", "import time; time.sleep(60)"])
    began = time.monotonic()

    def watch() -> None:  # the other machine's worker
        if time.monotonic() > began + 1.5 and not (one.folder / FAILURE).exists():
            leave(one, "the loss is nan")

    with pytest.raises(ZephyrError, match="the loss is nan") as caught:
        launch.run_workers(one, watch)
    assert caught.value.exit_code == 5
    assert 1.5 < time.monotonic() - began < 30, "what an earlier start left ends nobody"


@pytest.mark.parametrize("rank", ["0", "1"])
def test_an_older_starts_failure_is_never_this_ones(rank: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_up(monkeypatch, WHOLE | {"NODE_RANK": rank})
    one = two(tmp_path / "run")
    one.folder.mkdir()
    leave(one, "an older start's")
    monkeypatch.setattr(launch, "command", lambda *_: [sys.executable, "-c", "print('no room'); exit(1)"])
    with pytest.raises(ZephyrError, match="no room") as caught:
        launch.run_workers(one, lambda: None)
    assert caught.value.hint == together.SEE_OTHERS


@pytest.mark.parametrize("how", [KeyboardInterrupt(), DataError("the loss is nan", "lower it")])
def test_a_machine_tells_the_others_of_its_own_start_why_it_ends(
    how: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_up(monkeypatch, WHOLE)
    one = two(tmp_path / "run")
    one.write(one.folder)
    agreed = nodes.own_folder(one.folder, 2) / AGREED
    code = f"from pathlib import Path; import time; Path({str(agreed)!r}).write_text({{!r}}); time.sleep(60)"

    def ends(stamp: object) -> bool:
        words = [sys.executable, "-c", code.format(str(stamp))]
        monkeypatch.setattr(launch, "command", lambda *_: words)

        def watch() -> None:
            if agreed.is_file() and agreed.read_text():
                raise how

        with pytest.raises(type(how)):
            launch.run_workers(one, watch)
        return (one.folder / FAILURE).exists()

    assert not ends("of an earlier job.json")
    assert ends(process.stamp(one.folder / JOB))
    left = json.loads((one.folder / FAILURE).read_text())
    if isinstance(how, DataError):
        assert left == {"message": "machine 1 failed: the loss is nan", "hint": "lower it", "exit_code": 5}
    else:
        assert left == {"message": "machine 1 was stopped", "hint": None, "exit_code": 4}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rank", "missed"), [("0", "not all other machines came"), ("1", "the first machine, 0, was not there")]
)
def test_a_machine_waits_for_the_others_for_some_time_only(
    rank: str, missed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, news: News
) -> None:
    """By torch's own launcher, of which the words are read."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    set_up(monkeypatch, {"NODE_RANK": rank, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port})
    for module in (launch, together):
        monkeypatch.setattr(module, "WITHIN", 1)
    one = job(tmp_path / "run", world=2, backend="ddp", options={"nodes": 2, "gpus": 2})
    with pytest.raises(EnvironmentLack) as caught:
        launch.run_workers(one, lambda: None)
    assert str(caught.value) == f"machine {rank} of 2: {missed}, at 127.0.0.1:{port} within 1 seconds"
    [line] = news()
    assert line.startswith(f"machine {rank} of 2: waits for ")
    if rank == "0":
        with socket.socket() as taken:
            taken.bind(("", int(port)))
            taken.listen()
            with pytest.raises(EnvironmentLack, match="another process has the port"):
                launch.run_workers(one, lambda: None)
