"""Files of tests, damaged and restored."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

Change = Callable[[bytes], bytes | None]


def flipped(content: bytes) -> bytes:
    at = len(content) // 2
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


def cut(content: bytes) -> bytes:
    return content[:-9]


def empty(content: bytes) -> bytes:
    return b""


def gone(content: bytes) -> None:
    return None


def damage_file(file: Path, change: Change) -> None:
    """Change what a file holds, or remove it."""
    content = change(file.read_bytes())
    if content is None:
        file.unlink()
    else:
        file.write_bytes(content)


@contextmanager
def damaged(file: Path, change: Change, *, unseen: bool = False) -> Iterator[None]:
    """Damage a file and restore it; `unseen`: with the time of change it had, as a failing disk does."""
    content, status = file.read_bytes(), file.stat()
    damage_file(file, change)
    if unseen and file.exists():
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    try:
        yield
    finally:
        file.write_bytes(content)
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
