"""Only whole checkpoints are resumed from."""

from pathlib import Path

from zephyr_train.training.checkpoints import MARK, latest_complete, mark_complete


def checkpoint(state: Path, step: int, *, whole: bool) -> Path:
    folder = state / f"checkpoint-{step}"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"x" * 10)
    if whole:
        mark_complete(folder)
    return folder


def test_the_newest_whole_one_is_taken_and_the_unfinished_one_removed(tmp_path: Path) -> None:
    checkpoint(tmp_path, 9, whole=True)
    expected = checkpoint(tmp_path, 10, whole=True)
    unfinished = checkpoint(tmp_path, 11, whole=False)
    said: list[str] = []
    assert latest_complete(tmp_path, said.append) == expected
    assert not unfinished.exists()
    assert said == ["checkpoint-11 is not whole: it is left out"]


def test_a_file_cut_short_or_gone_makes_a_checkpoint_unfit(tmp_path: Path) -> None:
    expected = checkpoint(tmp_path, 1, whole=True)
    (checkpoint(tmp_path, 2, whole=True) / "model.safetensors").write_bytes(b"x" * 9)
    (checkpoint(tmp_path, 3, whole=True) / "model.safetensors").unlink()
    assert latest_complete(tmp_path, lambda _: None) == expected


def test_without_any_there_is_none(tmp_path: Path) -> None:
    assert latest_complete(tmp_path / "state", lambda _: None) is None
    checkpoint(tmp_path, 1, whole=True)
    (tmp_path / "checkpoint-1" / MARK).unlink()
    assert latest_complete(tmp_path, lambda _: None) is None
