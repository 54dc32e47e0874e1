"""A directory named by what it was made of: built once under another name, whole or not there."""

import contextlib
import errno
import os
import shutil
import socket
import uuid
from collections.abc import Callable
from pathlib import Path

from zephyr_core import manifest
from zephyr_core.errors import DataError, NoSpace

_UNWRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EFBIG}
_TAKEN = {errno.ENOTEMPTY, errno.EEXIST}


def find_or_build(target: Path, digest: str, build: Callable[[Path], None], say: Callable[[str], None]) -> Path:
    """Return `target`, whole: as found, or as `build` makes it.

    `build` gets an empty folder beside it and writes a manifest with `digest` last. Processes that build the same at
    once do not see each other's files; the first to finish is the one that all use. What a killed process left is
    never taken for whole, and goes when the next one on that machine builds.

    Raises:
        NoSpace: the folder cannot be written.
    """
    if _is_whole(target, digest, say):
        say(f"found {target}")
        return target
    partial = target.with_name(f".{target.name}.{socket.gethostname()}.{os.getpid()}.{uuid.uuid4().hex[:8]}")
    try:
        partial.mkdir(parents=True)
        _remove_abandoned(target)
        build(partial)
        _put(partial, target, digest, say)
    except OSError as fault:
        if fault.errno not in _UNWRITABLE:
            raise
        raise NoSpace(f"{target} cannot be written: {fault}", "free some space, or name another folder") from fault
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target


def damage(target: Path, digest: str) -> str | None:
    """Return why a directory is not the whole artefact of that digest, or None."""
    try:
        content = manifest.read(target)
    except DataError:
        return "was not finished, or its manifest is damaged"
    if content.get("digest") != digest:
        return "was made of something else"
    for name, entry in content["files"].items():
        path = target / name
        if not path.is_file():
            return f"lacks {name}"
        if path.stat().st_size != entry["bytes"] or manifest.file_digest(path) != entry["sha256"]:
            return f"has a damaged {name}"
    return None


def _is_whole(target: Path, digest: str, say: Callable[[str], None]) -> bool:
    if not target.exists():
        return False
    why = damage(target, digest)
    if why:
        say(f"{target} {why}: it is built again")
    return why is None


def _put(partial: Path, target: Path, digest: str, say: Callable[[str], None]) -> None:
    """Give a finished directory its name; when another process was first, leave that one's."""
    while True:
        try:
            partial.rename(target)
            return
        except OSError as fault:
            if fault.errno not in _TAKEN:
                raise
        if _is_whole(target, digest, say):
            say(f"another process has built {target}: its files are used")
            return
        broken = partial.with_name(partial.name + ".broken")
        with contextlib.suppress(FileNotFoundError):  # another process was faster
            target.rename(broken)
        shutil.rmtree(broken, ignore_errors=True)


def _remove_abandoned(target: Path) -> None:
    """Remove what dead processes of this machine left of the same artefact."""
    prefix = f".{target.name}.{socket.gethostname()}."
    for path in target.parent.iterdir():
        if path.name.startswith(prefix) and not _is_alive(int(path.name[len(prefix) :].split(".")[0])):
            shutil.rmtree(path, ignore_errors=True)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
