"""Checkpoints known to be whole, by a list of their files and sizes that is written after everything else."""

import shutil
from pathlib import Path

from zephyr_core import manifest
from zephyr_core.console import say
from zephyr_core.reading import json_file

MARK = "complete.json"


def mark_complete(checkpoint: Path, run: str) -> None:
    """Write which run (`run`, a digest) owns the checkpoint, and its files; without this it is never resumed."""
    files = {path.relative_to(checkpoint).as_posix(): path.stat().st_size for path in _files(checkpoint)}
    manifest.write_json(checkpoint / MARK, {"run": run, "files": files})


def has_complete(state: Path) -> bool:
    """Return whether there is a whole checkpoint of any run."""
    return any(state.glob(f"checkpoint-*/{MARK}"))


def latest_complete(state: Path, run: str) -> Path | None:
    """Return the newest whole checkpoint of that run; remove newer ones that do not qualify, and report them."""
    for checkpoint in sorted(state.glob("checkpoint-*"), key=_number, reverse=True):
        fault = _fault(checkpoint, run)
        if fault is None:
            return checkpoint
        say(f"{checkpoint.name} {fault}: it is skipped")
        shutil.rmtree(checkpoint)
    return None


def _fault(checkpoint: Path, run: str) -> str | None:
    content = json_file(checkpoint / MARK)
    if "files" not in content:
        return "is not whole"
    if content["run"] != run:
        return "belongs to another run"
    paths = {checkpoint / name: size for name, size in content["files"].items()}
    whole = all(path.is_file() and path.stat().st_size == size for path, size in paths.items())
    return None if whole else "is not whole"


def _files(checkpoint: Path) -> list[Path]:
    return sorted(path for path in checkpoint.rglob("*") if path.is_file() and path.name != MARK)


def _number(checkpoint: Path) -> int:
    return int(checkpoint.name.rsplit("-", 1)[1])
