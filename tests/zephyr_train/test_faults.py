"""A full disk, SIGTERM and a read-only folder, for real: one clear error, no run, and the same command continues."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import zephyr
from tests.system import Running, SmallDisk, is_one_clear_error
from tests.zephyr_train.conftest import World, weights
from tests.zephyr_train.row_shapes import turn, write_lines
from tests.zephyr_train.test_killed import all_gone, has_checkpoint
from zephyr_core import manifest

pytestmark = pytest.mark.slow

RECIPE = """
extends = "tiny"
about = "for tests"
[student]
vocabulary = 300
hidden_size = 16
intermediate_size = 24
layers = 1
heads = 4
kv_heads = 2
[sft]
epochs = 1
global_batch_size = 64
"""
ROWS = 12_000  # six batches of token rows, each of which is a place to run out of space


@pytest.fixture
def start(tmp_path: Path) -> Callable[[Path], Running]:
    """Start dSFT on many short dialogues; runs and artefacts go to the folder."""
    (tmp_path / "quick.toml").write_text(RECIPE)
    rows = [{"messages": [turn("user", f"{number}?"), turn("assistant", "yes")]} for number in range(ROWS)]
    data = write_lines(tmp_path / "rows.jsonl", rows)
    words = ("train", "sft", "--recipe", "quick.toml", "--data", data)
    return lambda runs: Running(*words, cwd=tmp_path, ZEPHYR_RUNS=str(runs), OMP_NUM_THREADS="1")


def token_digests(runs: Path) -> dict[str, str]:
    """Return file → sha256 of the token rows that a run made."""
    (folder,) = runs.glob("artefacts/tokens-*")
    return {name: entry["sha256"] for name, entry in manifest.read(folder)["files"].items()}


def test_a_disk_that_fills_up_while_token_rows_are_written_ends_with_4_and_the_same_command_continues(
    start: Callable[[Path], Running], disk: SmallDisk, tmp_path: Path
) -> None:
    runs = disk.folder / "runs"
    running = start(runs)
    running.reach(lambda: any(file.stat().st_size for file in runs.rglob("train.arrow")))
    with running.paused():
        disk.fill()
    assert running.end() == 4, running.output
    assert is_one_clear_error(running.output), running.output
    assert not [*runs.glob("artefacts/tokens-*")], "half of a token set has the name of a whole one"
    disk.free()
    for folder in (runs, tmp_path / "undisturbed"):
        again = start(folder)
        assert again.end() == 0, again.output
    assert token_digests(runs) == token_digests(tmp_path / "undisturbed")
    first, second = (weights(folder / "quick" / "sft") for folder in (runs, tmp_path / "undisturbed"))
    assert first == second


def test_sigterm_half_way_is_143_and_the_same_command_continues_to_the_undisturbed_weights(world: World) -> None:
    out = world.folder / "terminated"
    command: list[object] = ["train", "sft", "--out", out]
    assert world.kill_when(command, lambda: has_checkpoint(out), by=signal.SIGTERM) == 143
    assert all_gone(out), "a worker outlives the command that started it"
    assert not (out / "manifest.json").exists()
    assert "continuing the run" in world.zephyr(*command).stderr
    assert weights(out) == weights(world.run("sft"))


@pytest.mark.parametrize("forbidden", ["the output", "the folder of runs"])
def test_a_read_only_folder_is_4_before_anything_is_trained(forbidden: str, disk: SmallDisk, tmp_path: Path) -> None:
    disk.forbid_writing()
    rows = write_lines(tmp_path / "rows.jsonl", [{"messages": [turn("user", "a?"), turn("assistant", "b")]}] * 8)
    out = disk.folder / "out" if forbidden == "the output" else tmp_path / "out"
    runs = disk.folder / "runs" if forbidden == "the folder of runs" else tmp_path / "runs"
    done = zephyr("train", "sft", "--recipe", "tiny", "--data", rows, "--out", out, ZEPHYR_RUNS=str(runs))
    assert done.returncode == 4, done.stderr
    assert is_one_clear_error(done.stderr), done.stderr
    assert not out.exists()
