"""Unfinished work that is damaged counts as not there: it is made again, and the result is that of an undisturbed run."""

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.conftest import dialogue, zephyr
from tests.system import Running
from tests.zephyr_data.conftest import Command, Ended
from tests.zephyr_data.damage import DAMAGES, Damage, flip
from tests.zephyr_data.rated import generic
from tests.zephyr_data.sample_files import SMALL_BLOCKS, big_file, sample_lines
from zephyr_core import folder, manifest, sealed
from zephyr_core.records import DatasetManifest
from zephyr_data.engine.store import verify
from zephyr_data.sources.blocks import read_blocks

PAIRS = [generic(f"prompt {n}", [n % 5 + 1, 0.5, 3]) for n in range(60)]
LINES = {"clean-ultrachat": sample_lines()[:40], "binarize": PAIRS}


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zephyr_data.engine.inputs.read_blocks", partial(read_blocks, block_bytes=6_000))


Make = Callable[..., Ended]


@pytest.fixture(params=LINES)
def make(request: pytest.FixtureRequest, tmp_path: Path, command: Command) -> Make:
    """Run a step on rows of its own."""
    (tmp_path / "rows.jsonl").write_text("\n".join(LINES[request.param]))
    return lambda *words, out="out": command("data", request.param, "rows.jsonl", "--out", out, *words)


UNDISTURBED: dict[str, tuple[object, ...]] = {}  # by step


@pytest.fixture
def undisturbed(request: pytest.FixtureRequest, make: Make, tmp_path: Path) -> tuple[object, ...]:
    """What the step makes of its rows when nothing is damaged."""
    step = request.node.callspec.params["make"]
    if step not in UNDISTURBED:
        assert make(out="fresh").code == 0
        UNDISTURBED[step] = outcome(tmp_path / "fresh")
    return UNDISTURBED[step]


@pytest.fixture
def stopped(make: Make, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Run the step up to its manifest; all blocks are done then."""

    def run(*words: str) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(manifest, "write", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
            assert make(*words).code == 130

    yield run


def outcome(place: Path) -> tuple[object, ...]:
    content: DatasetManifest = verify(place)
    return content["splits"], content["dropped_digest"], content["counts"]


def blocks_of(place: Path) -> list[Path]:
    return sorted(folder.partial_of(place).glob("blocks/*.parquet"))


def swap(path: Path) -> None:
    """Give a block the result of another one, with its seal."""
    other = next(block for block in path.parent.glob("*.parquet") if block != path)
    for suffix in ("", sealed.SUFFIX):
        shutil.copyfile(f"{other}{suffix}", f"{path}{suffix}")


def forget(path: Path) -> None:
    """Remove the seal, as of a block of an older zephyr."""
    Path(f"{path}{sealed.SUFFIX}").unlink()


def seal_of_nothing(path: Path) -> None:
    """Leave a sealed file that is not a table."""
    path.write_bytes(b"")
    Path(f"{path}{sealed.SUFFIX}").write_text(manifest.file_digest(path))


def folder_as_seal(path: Path) -> None:
    Path(f"{path}{sealed.SUFFIX}").unlink()
    Path(f"{path}{sealed.SUFFIX}").mkdir()


BLOCKS: dict[str, Damage] = {
    **DAMAGES,
    "flipped": flip,
    "flipped, with its time": partial(flip, keep_time=True),
    "another block": swap,
    "unsealed": forget,
    "an empty one, sealed": seal_of_nothing,
    "a folder for the seal": folder_as_seal,
}


@pytest.mark.parametrize("damage", BLOCKS)
def test_a_block(
    damage: str, make: Make, stopped: Callable[..., None], undisturbed: tuple[object, ...], tmp_path: Path
) -> None:
    stopped()
    blocks = blocks_of(tmp_path / "out")
    assert len(blocks) > 1
    place = blocks[1]
    BLOCKS[damage](place)
    again = make()
    assert again.code == 0, again.err
    assert "continuing: " in again.err
    assert again.err.count(f"{place.name} is damaged: the block is made again") == (damage != "missing")
    assert again.err.count("is made again") <= 1
    assert not folder.partial_of(tmp_path / "out").exists()
    assert outcome(tmp_path / "out") == undisturbed


OTHERS: dict[str, Callable[[Path], object]] = {
    **{f"plan {name}": lambda work, damage=damage: damage(work / "plan.json") for name, damage in DAMAGES.items()},
    "plan a list": lambda work: (work / "plan.json").write_text("[1]"),
    "a folder for the lock": lambda work: (work / "lock").unlink(missing_ok=True) or (work / "lock").mkdir(),
    "a file for the blocks": lambda work: shutil.rmtree(work / "blocks") or (work / "blocks").write_text("x"),
    "a file for the dataset": lambda work: shutil.rmtree(work / "dataset") or (work / "dataset").write_text("x"),
    "a folder for half a block": lambda work: (work / "blocks" / "x.tmp").mkdir(),
}


@pytest.mark.parametrize("damage", OTHERS)
def test_the_rest_of_the_work(
    damage: str, make: Make, stopped: Callable[..., None], undisturbed: tuple[object, ...], tmp_path: Path
) -> None:
    stopped()
    OTHERS[damage](folder.partial_of(tmp_path / "out"))
    again = make()
    assert again.code == 0, again.err
    assert ("starting over: " in again.err) == damage.startswith("plan")
    assert not folder.partial_of(tmp_path / "out").exists()
    assert outcome(tmp_path / "out") == undisturbed


def test_a_block_that_vanishes_during_the_run_is_named(
    make: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from zephyr_data.engine import pipeline

    def judge(*arguments: object) -> object:
        blocks_of(tmp_path / "out")[0].unlink()
        return judged(*arguments)

    judged = pipeline._judge_set
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "_judge_set", judge)
        assert make().refuses(5, "out.partial/blocks/", "the block is made again")
    assert make().code == 0


@pytest.mark.parametrize("when", ["_judge_set", "_write"])
def test_work_that_vanishes_during_the_run(
    when: str, make: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from zephyr_data.engine import pipeline

    def vanish(*arguments: object, **named: object) -> object:
        shutil.rmtree(folder.partial_of(tmp_path / "out"))
        return undisturbed(*arguments, **named)

    undisturbed = getattr(pipeline, when)
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, when, vanish)
        ended = make()
        assert ended.code in (4, 5) and "out.partial" in ended.err and "run the command again" in ended.err, ended
    assert make().code == 0


# ---- what else may be taken away -----------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 2])
def test_a_raw_file_that_vanishes_while_it_is_read(
    workers: int, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    from zephyr_data.engine import pipeline

    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(sample_lines()))

    def run_rows(*arguments: object) -> Iterator[object]:
        for number, done in enumerate(undisturbed(*arguments)):
            if number == 1:
                path.unlink()
            yield done

    undisturbed = pipeline._run_rows
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "_run_rows", run_rows)
        ended = command("data", "clean-ultrachat", path, "--out", "out", "--workers", workers)
        assert ended.refuses(5, str(path), "No such file"), ended
    path.write_text("\n".join(sample_lines()))
    again = command("data", "clean-ultrachat", path, "--out", "out")
    assert (again.code, "continuing: " in again.err) == (0, True), again.err


@pytest.mark.parametrize("more", [[], ["--dry-run"]])
def test_a_raw_file_that_vanishes_before_it_is_read(
    more: list[str], tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    import zephyr_data.make as module

    def collect(*arguments: object) -> object:
        files = undisturbed(*arguments)
        (tmp_path / "rows.jsonl").unlink()
        return files

    undisturbed = module.collect
    (tmp_path / "rows.jsonl").write_text(dialogue("What is a plum?", "A plum is a fruit."))
    monkeypatch.setattr(module, "collect", collect)
    ended = command("data", "clean-ultrachat", "rows.jsonl", "--out", "out", *more)
    assert ended.refuses(5, "rows.jsonl", "No such file"), ended
    assert not (tmp_path / "out.partial").exists()


def children(process: int) -> list[int]:
    text = Path(f"/proc/{process}/task/{process}/children").read_text()
    return [int(child) for child in text.split()]


@pytest.mark.long
def test_a_worker_that_is_killed_is_one_clear_error_and_the_same_command_continues(tmp_path: Path) -> None:
    words = ["data", "clean-ultrachat", big_file(tmp_path / "big.jsonl"), "--workers", 2, "--out", tmp_path / "out"]
    running = Running(*words, code=SMALL_BLOCKS)
    running.reach(lambda: len(blocks_of(tmp_path / "out")) >= 3)
    workers = [child for child in children(running.process.pid) if "spawn_main" in command_of(child)]
    os.kill(workers[0], signal.SIGKILL)
    assert running.end() == 4, running.output
    assert "error: a worker was killed, probably for lack of memory" in running.output
    assert "hint:  use fewer --workers; the same command continues" in running.output
    assert "Traceback" not in running.output
    again = zephyr(*words, code=SMALL_BLOCKS)
    assert again.returncode == 0, again.stderr
    assert "continuing: " in again.stderr
    verify(tmp_path / "out")


def command_of(process: int) -> str:
    return Path(f"/proc/{process}/cmdline").read_bytes().decode(errors="replace")
