"""A full disk, SIGTERM and a read-only folder, for real: one clear error, no dataset, and the same command continues."""

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import zephyr
from tests.system import Running, SmallDisk, is_one_clear_error
from tests.zephyr_data.sample_files import BIG_FILES, SMALL_BLOCKS, digests

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("step", BIG_FILES)]


def words(step: str, source: Path, out: Path) -> list[object]:
    return ["data", step, source, "--workers", 1, "--json", "--out", out]


def digests_and_news(words: list[object]) -> tuple[dict[str, Any], str]:
    """Return the digests of a dataset that a command makes, and what it says about it."""
    done = zephyr(*words, code=SMALL_BLOCKS)
    assert done.returncode == 0, done.stderr
    return digests(json.loads(done.stdout)), done.stderr


def three_blocks_of(out: Path) -> Callable[[], bool]:
    return lambda: len([*out.parent.glob("out.partial/blocks/*.parquet")]) >= 3


def continues_to_the_same(step: str, source: Path, out: Path) -> bool:
    (again, stderr), (undisturbed, _) = (
        digests_and_news(words(step, source, out)),
        digests_and_news(words(step, source, source.parent / "other")),
    )
    return "continuing: " in stderr and again == undisturbed


def test_a_disk_that_fills_up_half_way_ends_with_4_and_the_same_command_continues(
    step: str, disk: SmallDisk, tmp_path: Path
) -> None:
    source, out = BIG_FILES[step](tmp_path / "big.jsonl"), disk.folder / "out"
    running = Running(*words(step, source, out), code=SMALL_BLOCKS)
    running.reach(three_blocks_of(out))
    with running.paused():
        disk.fill()
    assert running.end() == 4, running.output
    assert is_one_clear_error(running.output), running.output
    assert not out.exists()
    disk.free()
    assert continues_to_the_same(step, source, out)


def test_sigterm_half_way_is_143_and_the_same_command_continues(step: str, tmp_path: Path) -> None:
    source, out = BIG_FILES[step](tmp_path / "big.jsonl"), tmp_path / "out"
    running = Running(*words(step, source, out), code=SMALL_BLOCKS)
    running.reach(three_blocks_of(out))
    assert running.end(by=signal.SIGTERM) == 143
    assert "Traceback" not in running.output
    assert not out.exists()
    assert continues_to_the_same(step, source, out)


def test_a_read_only_folder_is_4_before_anything_is_read(step: str, disk: SmallDisk) -> None:
    disk.forbid_writing()
    done = zephyr("data", step, "--recipe", "tiny", "--out", disk.folder / "out")
    assert done.returncode == 4
    assert is_one_clear_error(done.stderr), done.stderr
