"""Only whole checkpoints are resumed from."""

import json
import os
from pathlib import Path

import pytest

from tests.conftest import News
from tests.zephyr_train.damaging import flipped
from zephyr_core import manifest
from zephyr_train.training.checkpoints import MARK, has_complete, latest_complete, mark_complete


def checkpoint(state: Path, step: int, *, whole: bool, run: str = "mine") -> Path:
    folder = state / f"checkpoint-{step}"
    (folder / "global_step").mkdir(parents=True)
    for name in ("model.safetensors", "optimizer.pt", "trainer_state.json", "global_step/zero_rank_0.pt"):
        (folder / name).write_bytes(name.encode() * 10)
    if whole:
        mark_complete(folder, run)
    return folder


def test_the_newest_whole_one_is_taken_and_the_unfinished_one_removed(tmp_path: Path, news: News) -> None:
    checkpoint(tmp_path, 9, whole=True)
    expected = checkpoint(tmp_path, 10, whole=True)
    unfinished = checkpoint(tmp_path, 11, whole=False)
    assert latest_complete(tmp_path, "mine") == expected
    assert not unfinished.exists()
    assert news() == ["checkpoint-11 is not whole: it is skipped"]


def test_a_file_cut_short_or_gone_makes_a_checkpoint_unfit(tmp_path: Path, news: News) -> None:
    expected = checkpoint(tmp_path, 1, whole=True)
    os.truncate(checkpoint(tmp_path, 2, whole=True) / "model.safetensors", 9)
    (checkpoint(tmp_path, 3, whole=True) / "model.safetensors").unlink()
    assert latest_complete(tmp_path, "mine") == expected
    assert news() == [
        "checkpoint-3 is damaged: model.safetensors is missing: it is skipped",
        "checkpoint-2 is damaged: model.safetensors has 9 bytes, not 170: it is skipped",
    ]


@pytest.mark.parametrize(
    "name", ["model.safetensors", "optimizer.pt", "trainer_state.json", "global_step/zero_rank_0.pt"]
)
def test_a_flipped_byte_makes_a_checkpoint_unfit_whatever_the_time_of_its_file(
    tmp_path: Path, news: News, name: str
) -> None:
    expected = checkpoint(tmp_path, 9, whole=True)
    last = checkpoint(tmp_path, 10, whole=True)
    file = last / name
    status = file.stat()
    file.write_bytes(flipped(file.read_bytes()))
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert latest_complete(tmp_path, "mine") == expected
    assert news() == [f"checkpoint-10 is damaged: {name} has changed: another sha256: it is skipped"]
    assert not last.exists()


def test_the_mark_lists_bytes_and_digest_of_every_file(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path, 1, whole=True)
    content = json.loads((folder / MARK).read_text())
    (folder / MARK).unlink()
    assert content == {"run": "mine", "files": manifest.list_files(folder)}


ENTRY = {"bytes": 1, "sha256": "0" * 64}


@pytest.mark.parametrize(
    "mark",
    [
        "",
        "[]",
        "7",
        "null",
        "{",
        "[" * 100_000,
        "{}",
        '{"run": "mine"}',
        '{"files": {}}',
        '{"run": "mine", "files": {}}',
        '{"run": "mine", "files": []}',
        '{"run": "mine", "files": {"model.safetensors": 170}}',  # as older versions wrote it
        json.dumps({"run": 7, "files": {"model.safetensors": ENTRY}}),
        json.dumps({"run": "mine", "files": {"model.safetensors": {**ENTRY, "bytes": "1"}}}),
        json.dumps({"run": "mine", "files": {"model.safetensors": {"bytes": 170}}}),
        json.dumps({"run": "mine", "files": {"absent": ENTRY}}),
        "\udcff",
    ],
)
def test_a_mark_of_another_shape_is_not_whole_once_and_for_all(tmp_path: Path, news: News, mark: str) -> None:
    expected = checkpoint(tmp_path, 1, whole=True)
    (checkpoint(tmp_path, 2, whole=True) / MARK).write_bytes(mark.encode(errors="surrogateescape"))
    assert latest_complete(tmp_path, "mine") == expected
    assert len(news()) == 1
    assert latest_complete(tmp_path, "mine") == expected
    assert news() == []


def test_a_flipped_byte_of_the_mark_leaves_a_checkpoint_that_is_whole_or_none(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "state", 1, whole=True)
    for at in range(0, (folder / MARK).stat().st_size - 1, 7):
        content = (folder / MARK).read_bytes()
        (folder / MARK).write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        if latest_complete(tmp_path / "state", "mine") is None:
            assert not folder.exists()
            checkpoint(tmp_path / "state", 1, whole=True)
        else:
            (folder / MARK).write_bytes(content)


def test_other_folders_and_files_of_that_name_are_left_alone(tmp_path: Path) -> None:
    expected = checkpoint(tmp_path, 1, whole=True)
    others = [tmp_path / name for name in ("checkpoint-old", "checkpoint-2.bak", "checkpoint-", "checkpoint--3")]
    for other in others:
        other.mkdir()
        (other / MARK).write_text("{}")
    (tmp_path / "checkpoint-7").write_text("a file")
    (tmp_path / "checkpoint-8").symlink_to(others[0])
    assert latest_complete(tmp_path, "mine") == expected
    assert all(other.is_dir() for other in others)
    (expected / MARK).unlink()
    assert not has_complete(tmp_path)
    assert latest_complete(tmp_path, "mine") is None


def test_without_any_there_is_none(tmp_path: Path) -> None:
    assert latest_complete(tmp_path / "state", "mine") is None
    checkpoint(tmp_path, 1, whole=True)
    (tmp_path / "checkpoint-1" / MARK).unlink()
    assert latest_complete(tmp_path, "mine") is None


def test_another_runs_checkpoint_is_not_continued(tmp_path: Path, news: News) -> None:
    """As when the run directory was removed by hand, and its checkpoints were not."""
    expected = checkpoint(tmp_path, 1, whole=True)
    checkpoint(tmp_path, 2, whole=True, run="another")
    assert latest_complete(tmp_path, "mine") == expected
    assert news() == ["checkpoint-2 belongs to another run: it is skipped"]
