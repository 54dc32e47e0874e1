"""Checkpoints known to be whole: a list of their files with sizes and digests is written after everything else.

A checkpoint is resumed only if every byte is as it was written, so a run ends with the weights of an undisturbed one.
"""

import os
import re
import shutil
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypedDict, TypeVar

from zephyr_core import manifest
from zephyr_core.console import say
from zephyr_core.folder import file_faults
from zephyr_core.reading import json_file
from zephyr_core.records import FileEntry
from zephyr_core.shape import misfit

MARK = "complete.json"
_NAME = re.compile(r"checkpoint-(\d+)")
_THREADS = 8  # that read and digest files at once
Result = TypeVar("Result")


class Mark(TypedDict):
    """What complete.json holds: the digest of the run that owns the checkpoint, and its files."""

    run: str
    files: dict[str, FileEntry]


def mark_complete(checkpoint: Path, run: str) -> None:
    """Write which run (`run`, a digest) owns the checkpoint, and its files; without this it is never resumed."""
    names = [name for name in manifest.file_names(checkpoint) if name != MARK]
    files = dict(zip(names, _at_once(lambda name: manifest.file_entry(checkpoint / name), names), strict=True))
    manifest.write_json(checkpoint / MARK, Mark(run=run, files=files))


def has_complete(state: Path) -> bool:
    """Return whether there is a checkpoint of any run that was written to its end."""
    return any((checkpoint / MARK).is_file() for checkpoint in _checkpoints(state))


def latest_complete(state: Path, run: str) -> Path | None:
    """Return the newest whole checkpoint of that run; remove newer ones that do not qualify, and report them."""
    for checkpoint in _checkpoints(state):
        fault = _fault(checkpoint, run)
        if fault is None:
            return checkpoint
        say(f"{checkpoint.name} {fault}: it is skipped")
        shutil.rmtree(checkpoint)
    return None


def _checkpoints(state: Path) -> list[Path]:
    """Return the folders that are named like a checkpoint, the newest first."""
    numbers = {path: _NAME.fullmatch(path.name) for path in state.glob("checkpoint-*") if path.is_dir()}
    steps = {path: int(number[1]) for path, number in numbers.items() if number and not path.is_symlink()}
    return sorted(steps, key=lambda path: steps[path], reverse=True)


def _fault(checkpoint: Path, run: str) -> str | None:
    content = json_file(checkpoint / MARK)
    if misfit(content, Mark) or not content["files"]:
        return "is not whole"
    if content["run"] != run:
        return "belongs to another run"
    files: dict[str, FileEntry] = content["files"]
    faults = _at_once(lambda name: next(file_faults(checkpoint, files, names=[name]), None), files)
    fault = next(filter(None, faults), None)
    return f"is damaged: {fault}" if fault else None


def _at_once(function: Callable[[str], Result], names: Iterable[str]) -> list[Result]:
    """Return the result for each file; several are read at once, since a checkpoint may have hundreds of gigabytes."""
    with ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1)) as pool:
        return list(pool.map(function, names))
