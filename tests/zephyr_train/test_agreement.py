"""The workers of several machines agree on one run by the store of their rendezvous, before anything loads."""

import datetime
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from torch import distributed

from tests.zephyr_train.jobs import job
from zephyr_core.errors import EnvironmentLack
from zephyr_core.kinds import JOB
from zephyr_train import agreement
from zephyr_train.agreement import is_latest, require_one_run
from zephyr_train.errors import ForeignRun
from zephyr_train.job import Job


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The store of a rendezvous between two machines with a process each, in which this is the second one's."""
    server = distributed.TCPStore("127.0.0.1", 0, is_master=True, timeout=datetime.timedelta(seconds=10))
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(server.port), "WORLD_SIZE": "2", "LOCAL_RANK": "0"}
    for name, value in {**place, "RANK": "1", "GROUP_RANK": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(agreement, "SHOWN_WITHIN", 0.5)
    yield distributed.PrefixStore("zephyr", server)


@pytest.fixture
def first(tmp_path: Path, store: Any) -> Job:
    """The run of the first machine, which has said what it is."""
    one = job(tmp_path / "run", world=2, backend="ddp", options={"nodes": 2, "gpus": 2})
    one.write(one.folder)
    store.set("job", (one.folder / JOB).read_text())
    store.set("fault-0", "")
    return one


def test_a_machine_that_planned_and_reads_the_first_ones_run_goes_on(tmp_path: Path, first: Job) -> None:
    own = tmp_path / "run.node1"
    replace(first, checkpoint="its own view", recipe="by another name").write(own)
    assert not is_latest(first.folder, own)
    require_one_run(first.folder, own)
    assert is_latest(first.folder, own)
    first.write(first.folder)
    assert not is_latest(first.folder, own), "the first machine has begun again"
    assert is_latest(first.folder, first.folder)


def test_a_machine_that_planned_another_run_is_refused_on_every_one(tmp_path: Path, first: Job, store: Any) -> None:
    replace(first, cpu=False, tokens_digest="other rows").write(tmp_path / "own")
    message = "machine 1 planned another run than the first one: tokens_digest, cpu"
    with pytest.raises(ForeignRun, match=message):
        require_one_run(first.folder, tmp_path / "own")
    assert store.get("fault-1").decode() == f"ForeignRun {message}", "for the first machine's workers"


@pytest.mark.parametrize("seen", [None, "an earlier start's"])
def test_a_folder_that_is_not_shared_is_refused(seen: str | None, tmp_path: Path, first: Job) -> None:
    first.write(tmp_path / "own")
    (first.folder / JOB).unlink()
    if seen is not None:
        replace(first, checkpoint=seen).write(first.folder)
    with pytest.raises(EnvironmentLack, match=r"machine 1 does not read the first one's .*job.json: is it shared\?"):
        require_one_run(first.folder, tmp_path / "own")


def test_what_another_machine_found_counts_here_too(
    tmp_path: Path, first: Job, store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("GROUP_RANK", "0")
    store.set("fault-1", "EnvironmentLack machine 1 does not read it")
    with pytest.raises(EnvironmentLack, match=r"^machine 1 does not read it$"):
        require_one_run(first.folder, first.folder)


def test_the_store_of_an_earlier_start_is_no_place_to_meet(tmp_path: Path, first: Job, store: Any) -> None:
    """The first machine's command still runs, and waits for workers of this one that are gone."""
    first.write(tmp_path / "own")
    for _ in range(2):
        store.add("joined", 1)
    with pytest.raises(EnvironmentLack, match="belongs to an earlier start of this run"):
        require_one_run(first.folder, tmp_path / "own")
