"""Damage to files, as disks, people and other programs do it."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from zephyr_core import manifest

Damage = Callable[[Path], object]


def flip(path: Path, *, keep_time: bool = False) -> None:
    """Change one bit."""
    status, content = path.stat(), bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    if keep_time:
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def foreign(path: Path) -> None:
    path.write_text("another file")


def folder_instead(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "inner").write_text("x")


DAMAGES: dict[str, Damage] = {
    "cut": cut,
    "empty": empty,
    "foreign": foreign,
    "missing": Path.unlink,
    "a folder": folder_instead,
}


def reseal(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a manifest by hand, and its digest of itself with it."""
    content = json.loads((folder / manifest.NAME).read_text())
    change(content)
    content["self_digest"] = manifest.self_digest(content)
    (folder / manifest.NAME).write_text(json.dumps(content))


def relist(folder: Path) -> None:
    """Make a manifest name the files as they are now."""
    reseal(folder, lambda content: content.update(files=manifest.list_files(folder)))
