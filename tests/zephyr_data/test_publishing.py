"""A whole dataset is replaced only if that was asked for, whatever was killed or finished meanwhile; nothing stays behind."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import dialogue
from tests.zephyr_data.conftest import Command, Ended
from zephyr_core import folder, manifest
from zephyr_core.errors import NoSpace
from zephyr_data.engine.store import verify
from zephyr_data.engine.work import Work

LINES = [dialogue(f"What is a plum, number {n}?", "A plum is a fruit.", row_id=f"x{n}") for n in range(6)]


class Killed(BaseException):
    """A kill, at a place of the test's choice; nothing catches it."""


Clean = Callable[..., Ended]


@pytest.fixture
def clean(tmp_path: Path, command: Command) -> Clean:
    (tmp_path / "rows.jsonl").write_text("\n".join(LINES))
    return lambda *words: command("data", "clean-ultrachat", "rows.jsonl", "--out", "out", *words)


def seed_of(place: Path) -> object:
    return verify(place)["options"]["values"]["seed"]


def names(place: Path) -> list[str]:
    return sorted(path.name for path in place.iterdir())


def killed_at(step: str, number: int, monkeypatch: pytest.MonkeyPatch, run: Callable[[], object]) -> None:
    """Run something, and kill it just before its `number`th call of a step of publishing."""
    module, _, name = step.rpartition(".")
    owner = {"Path": Path, "shutil": shutil}[module]
    undisturbed, calls = getattr(owner, name), iter(range(1, 1_000))
    state = {"publishing": False}
    publish = Work.publish

    def publishing(work: Work) -> None:
        state["publishing"] = True
        publish(work)

    def step_or_kill(*arguments: object, **named: object) -> object:
        if state["publishing"] and next(calls) == number:
            raise Killed
        return undisturbed(*arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr(Work, "publish", publishing)
        patch.setattr(owner, name, step_or_kill)
        patch.setattr(Work, "_clear", lambda *_: None)  # a killed process cleans nothing up
        with pytest.raises(Killed):
            run()


def test_a_kill_between_the_renames_and_then_other_options(
    clean: Clean, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert clean("--seed", 1).code == 0
    killed_at("Path.rename", 2, monkeypatch, lambda: clean("--seed", 2, "--overwrite"))
    assert names(tmp_path) == [".out.older", "out.partial", "rows.jsonl"]
    assert clean("--seed", 3).refuses(2, "out holds a dataset made differently", "seed")
    assert seed_of(tmp_path / "out") == 1
    assert clean("--seed", 2).refuses(2, "made differently")
    assert "nothing to do" in clean("--seed", 1).out
    again = clean("--seed", 2, "--overwrite")
    assert (again.code, seed_of(tmp_path / "out")) == (0, 2)
    assert "continuing: 1 blocks are done" in again.err
    assert names(tmp_path) == ["out", "rows.jsonl"]


def test_a_run_that_was_overtaken_refuses(clean: Clean, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A publishes between B's look and B's lock."""
    lock = Work.lock

    def overtaken(work: Work) -> object:
        with monkeypatch.context() as patch:
            patch.setattr(Work, "lock", lock)
            assert clean("--seed", 1).code == 0
        return lock(work)

    with monkeypatch.context() as patch:
        patch.setattr(Work, "lock", overtaken)
        assert clean("--seed", 2).refuses(2, "made differently", "seed")
    assert seed_of(tmp_path / "out") == 1
    assert names(tmp_path) == ["out", "rows.jsonl"]
    shutil.rmtree(tmp_path / "out")
    with monkeypatch.context() as patch:
        patch.setattr(Work, "lock", overtaken)
        assert "nothing to do" in clean("--seed", 1).out


# Before which call of publishing the kill comes → the seed of the dataset that is there after it, restored if need be.
KILLS = {
    ("Path.rename", 1): 1,
    ("Path.rename", 2): 1,
    ("shutil.rmtree", 1): 1,  # of an older one's remains
    ("shutil.rmtree", 2): 2,  # of the older one
    ("shutil.rmtree", 3): 2,  # of the blocks
}


@pytest.mark.parametrize("same", [True, False])
@pytest.mark.parametrize("kill", KILLS)
def test_no_kill_leaves_anything_behind_for_ever(
    kill: tuple[str, int], same: bool, clean: Clean, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert clean("--seed", 1).code == 0
    killed_at(*kill, monkeypatch, lambda: clean("--seed", 2, "--overwrite"))
    seed = KILLS[kill]
    ended = clean("--seed", seed) if same else clean("--seed", 3)
    assert "nothing to do" in ended.out if same else ended.refuses(2, "made differently")
    assert seed_of(tmp_path / "out") == seed
    if seed == 1:  # the blocks belong to the overwrite that was stopped, which continues
        assert names(tmp_path) == ["out", "out.partial", "rows.jsonl"]
        ended = clean("--seed", 2, "--overwrite")
        assert (ended.code, "continuing: " in ended.err) == (0, True)
    assert names(tmp_path) == ["out", "rows.jsonl"]


def test_a_first_run_that_is_killed_after_its_rename_leaves_nothing_behind(
    clean: Clean, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    killed_at("shutil.rmtree", 2, monkeypatch, lambda: clean("--seed", 1))
    assert names(tmp_path) == ["out", "out.partial", "rows.jsonl"]
    assert "nothing to do" in clean("--seed", 1).out
    assert names(tmp_path) == ["out", "rows.jsonl"]


def test_a_finished_dataset_needs_no_lock(clean: Clean, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its disk may be one that cannot be written."""
    assert clean().code == 0

    def forbidden(*_: object, **__: object) -> object:
        raise NoSpace("read-only")

    monkeypatch.setattr(folder, "lock", forbidden)
    assert "nothing to do" in clean().out
    assert clean("--seed", 9).refuses(2, "made differently")
    assert clean("--overwrite").refuses(4, "read-only")


def test_another_kind_of_folder_that_a_kill_had_moved_away_is_not_replaced(clean: Clean, tmp_path: Path) -> None:
    older = folder.older_of(tmp_path / "out")
    older.mkdir()
    (older / "thesis.txt").write_text("years of work")
    assert clean("--overwrite").refuses(2, "out holds other files")
    assert (tmp_path / "out" / "thesis.txt").read_text() == "years of work"
    assert not manifest.is_whole(tmp_path / "out")
