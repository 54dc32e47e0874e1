"""Checkpoints that are known to be whole: a list of files with their sizes, written after everything else."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

from zephyr_core import manifest

MARK = "complete.json"


def mark_complete(checkpoint: Path) -> None:
    """Write the list of the checkpoint's files; without it nobody resumes from the folder."""
    files = {path.relative_to(checkpoint).as_posix(): path.stat().st_size for path in _files(checkpoint)}
    manifest.write_text_whole(checkpoint / MARK, json.dumps(files, indent=1))


def latest_complete(state: Path, say: Callable[[str], None]) -> Path | None:
    """Return the newest whole checkpoint; unfinished and damaged ones are removed, and named."""
    for checkpoint in sorted(state.glob("checkpoint-*"), key=_number, reverse=True):
        if _is_complete(checkpoint):
            return checkpoint
        say(f"{checkpoint.name} is not whole: it is left out")
        shutil.rmtree(checkpoint, ignore_errors=True)  # every rank does
    return None


def _is_complete(checkpoint: Path) -> bool:
    mark = checkpoint / MARK
    if not mark.is_file():
        return False
    files: dict[str, int] = json.loads(mark.read_text(encoding="utf-8"))
    return all(
        (checkpoint / name).is_file() and (checkpoint / name).stat().st_size == size for name, size in files.items()
    )


def _files(checkpoint: Path) -> list[Path]:
    return sorted(path for path in checkpoint.rglob("*") if path.is_file() and path.name != MARK)


def _number(checkpoint: Path) -> int:
    return int(checkpoint.name.rsplit("-", 1)[1])
