"""Several machines, each with the same command: who writes what, what the environment must say, who ends whom."""

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.zephyr_train.jobs import job
from zephyr_core.errors import PartlyDone, UsageError, ZephyrError
from zephyr_core.kinds import JOB
from zephyr_core.process import FAILURE
from zephyr_train import launch, nodes, train, worker
from zephyr_train.errors import InvariantBroken
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


def run_on(rank: int, one: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    """Do what `zephyr train` does on that machine once preflight is done, but for the processes."""
    set_up(monkeypatch, WHOLE | {"NODE_RANK": str(rank)})
    monkeypatch.setattr(launch, "command", lambda *_: [sys.executable, "-c", ""])
    monkeypatch.setattr(launch, "run_alone", lambda *_: None)
    monkeypatch.setattr("zephyr_train.results.finish.finish", lambda *_: None)
    plan: Any = SimpleNamespace(record=dict)
    examination: Any = SimpleNamespace(plan=plan, inputs=list)
    request: Any = SimpleNamespace(out=one.folder, recipe=None)
    train._train(request, one, examination)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_resumed_run_keeps_its_checkpoint_in_every_order_of_arrival(
    order: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The review's second finding: the second machine's record, without a checkpoint, replaced the first one's."""
    one = job(tmp_path / "run", world=2, backend="ddp", cpu=False, options={"nodes": 2, "gpus": 2})
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
    assert (one.folder / "launch-node1.yaml").is_file() and (one.folder / "launch.yaml").is_file()


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


def test_no_machine_discards_what_another_has_begun(tmp_path: Path) -> None:
    one = job(tmp_path / "run", options={"nodes": 2, "gpus": 2})
    one.write(one.folder)
    request: Any = SimpleNamespace(out=one.folder, fresh=True, resume=False)
    with pytest.raises(UsageError, match="each would discard"):
        train._refuse_other(request, one)
    assert (one.folder / JOB).is_file()


def test_a_failure_on_another_machine_ends_this_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_up(monkeypatch, WHOLE)
    one = job(tmp_path / "run", world=2, backend="ddp", cpu=False, options={"nodes": 2, "gpus": 2})
    one.folder.mkdir()
    failure = one.folder / FAILURE
    failure.write_text(json.dumps({"message": "an older run's", "hint": None, "exit_code": 5}))
    monkeypatch.setattr(launch, "PATIENCE", 0.5)
    monkeypatch.setattr(launch, "command", lambda *_: [sys.executable, "-c", "import time; time.sleep(60)"])
    began = time.monotonic()

    def watch() -> None:  # the other machine's worker
        if time.monotonic() > began + 1.5 and "older" in failure.read_text():
            failure.unlink()
            failure.write_text(json.dumps({"message": "the loss is nan", "hint": "lower it", "exit_code": 5}))

    with pytest.raises(ZephyrError, match="the loss is nan") as caught:
        launch.run_workers(one, watch)
    assert caught.value.exit_code == 5
    assert 1.5 < time.monotonic() - began < 30, "what an earlier run left ends nobody"
