"""Only whole checkpoints are resumed from."""

from pathlib import Path

from tests.conftest import News
from zephyr_train.training.checkpoints import MARK, latest_complete, mark_complete


def checkpoint(state: Path, step: int, *, whole: bool, run: str = "mine") -> Path:
    folder = state / f"checkpoint-{step}"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"x" * 10)
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


def test_a_file_cut_short_or_gone_makes_a_checkpoint_unfit(tmp_path: Path) -> None:
    expected = checkpoint(tmp_path, 1, whole=True)
    (checkpoint(tmp_path, 2, whole=True) / "model.safetensors").write_bytes(b"x" * 9)
    (checkpoint(tmp_path, 3, whole=True) / "model.safetensors").unlink()
    assert latest_complete(tmp_path, "mine") == expected


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
