"""A folder is whole or absent: locked against others, built under another name, published, compared, discarded.

    with lock(lock_file, busy="…"):        one process at a time
        partial = partial_of(folder)       where the files are written, the manifest last
        publish(partial, folder)           whole, or as it was

`build_once` needs no lock. A link to a folder stays a link: its target is what changes.
"""

import errno
import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from zephyr_core import manifest
from zephyr_core.console import say
from zephyr_core.disk import clear_disk_errors
from zephyr_core.errors import DataError, NoSpace, RunInProgress
from zephyr_core.records import FileEntry
from zephyr_core.temporary import remove_abandoned, temporary_of

_EVERY = 0.1  # seconds between two attempts to get a lock
_TAKEN = (errno.ENOTEMPTY, errno.EEXIST)


# ---- one process at a time ----------------------------------------------------------------------


@contextmanager
def lock(
    lock_file: Path,
    *,
    busy: str = "",
    hint: str = "wait for it, or give another --out",
    patience: float = 0.0,
    on_wait: Callable[[], None] | None = None,
) -> Iterator[int]:
    """Hold a lock and yield its file descriptor; the lock is released when the process ends, however it ends.

    A child that is given the descriptor holds the lock too, so it stays held while either of them runs.

    Args:
        lock_file: made if absent, with its folder. Whoever holds the lock may remove it.
        busy: the error when another process keeps the lock.
        hint: what to do then.
        patience: seconds to wait for it; `math.inf` for as long as it takes.
        on_wait: called once if the lock is not free at once.

    Raises:
        RunInProgress: another process holds it.
        NoSpace: the lock file cannot be made.
    """
    deadline = time.monotonic() + patience
    while (descriptor := _try_lock(lock_file)) is None:
        if time.monotonic() >= deadline:
            raise RunInProgress(busy, hint)
        if on_wait is not None:
            on_wait()
            on_wait = None
        time.sleep(_EVERY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _try_lock(lock_file: Path) -> int | None:
    """Return the descriptor of the locked file; None while another process holds it, or has just removed it."""
    with clear_disk_errors(lock_file):
        lock_file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(lock_file, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), lock_file.stat()):
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    except OSError as fault:
        os.close(descriptor)
        hint = "give a folder on a disk with file locks; Lustre has them when mounted with `flock`"
        raise NoSpace(f"{lock_file} cannot be locked: {fault.strerror}", hint) from fault
    os.close(descriptor)
    return None


# ---- whole or not there -------------------------------------------------------------------------


def _place(folder: Path) -> Path:
    """Return where a folder is: a link's target."""
    return folder.resolve() if folder.is_symlink() else folder


def partial_of(folder: Path) -> Path:
    """Return where a folder is built, or was when its command was stopped: next to it, on the same disk."""
    place = _place(folder)
    return place.with_name(place.name + ".partial")


def older_of(folder: Path) -> Path:
    """Return where `publish` keeps the folder that it replaces, until the new one has its name."""
    place = _place(folder)
    return place.with_name(f".{place.name}.older")


def publish(partial: Path, folder: Path) -> None:
    """Give a finished folder its name, and remove an older one.

    Only the holder of the folder's lock may call it. After a kill between its two renames `restore` undoes the first.
    """
    place, older = _place(folder), older_of(folder)
    if place.exists():
        shutil.rmtree(older, ignore_errors=True)
        place.rename(older)
    partial.rename(place)
    shutil.rmtree(older, ignore_errors=True)


def restore(folder: Path) -> None:
    """Put back the folder that a killed `publish` had moved out of the way."""
    place, older = _place(folder), older_of(folder)
    if older.exists() and not place.exists():
        older.rename(place)


def discard(folder: Path) -> None:
    """Remove a folder; it is renamed first, so a half-removed one is never mistaken for a whole one.

    A link to it stays, and points to an empty folder.
    """
    place = _place(folder)
    aside = place.with_name(f".{place.name}.discarded")
    shutil.rmtree(aside, ignore_errors=True)
    if place.exists():
        place.rename(aside)
        if folder.is_symlink():
            place.mkdir()
        shutil.rmtree(aside)


def build_once(
    folder: Path,
    build: Callable[[Path], object],
    *,
    damaged: Callable[[Path], str | None] | None = None,
) -> Path:
    """Return `folder` whole: the existing one, or one that `build` makes in an empty folder next to it.

    There is no lock, since several machines may build on one shared disk and not every such disk has locks that work
    across machines. Each process builds in a folder of its own, and all use the one that is finished first, so two
    builds of a folder must come out the same. What a killed process left is never mistaken for whole, and is removed
    when the next one on its machine builds.

    Args:
        folder: the name of what is built.
        build: writes the files, and the manifest last.
        damaged: returns why a folder is not whole, or None; without it `damage` does.

    Raises:
        NoSpace: the folder cannot be written.
    """
    damaged = damaged or damage
    if _is_sound(folder, damaged):
        say(f"found {folder}")
        return folder
    place = _place(folder)
    partial = temporary_of(place)
    try:
        with clear_disk_errors(folder):
            partial.mkdir(parents=True)
            remove_abandoned(place)
            build(partial)
            _put(partial, place, damaged)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def _is_sound(folder: Path, damaged: Callable[[Path], str | None]) -> bool:
    if not folder.is_dir() or not any(folder.iterdir()):
        return False
    what = damaged(folder)
    if what:
        say(f"{folder} is damaged: {what}; it will be rebuilt")
    return what is None


def _put(partial: Path, place: Path, damaged: Callable[[Path], str | None]) -> None:
    """Give a finished folder its name; if another process was first, keep that one's."""
    while True:
        try:
            partial.rename(place)
            return
        except OSError as fault:
            if fault.errno not in _TAKEN:
                raise
        if _is_sound(place, damaged):
            say(f"another process has built {place}: using its files")
            return
        broken = partial.with_name(partial.name + ".broken")
        with suppress(FileNotFoundError):  # another process was faster
            place.rename(broken)
        shutil.rmtree(broken, ignore_errors=True)


# ---- as its manifest says -----------------------------------------------------------------------


class FileFault(NamedTuple):
    """A file that does not match the manifest."""

    name: str
    what: str  # is missing | has 5 bytes, not 23 | …

    def __str__(self) -> str:
        """Return both as one clause."""
        return f"{self.name} {self.what}"


def damage(
    folder: Path, *, hashed: bool = True, names: Iterable[str] | None = None, digest: str | None = None
) -> str | None:
    """Return the first of `faults`, or None."""
    fault = next(faults(folder, hashed=hashed, names=names, digest=digest), None)
    return None if fault is None else str(fault)


def faults(
    folder: Path,
    *,
    hashed: bool = True,
    names: Iterable[str] | None = None,
    strays: bool = False,
    digest: str | None = None,
) -> Iterator[FileFault]:
    """Yield every file of a finished folder that does not match its manifest.

    Args:
        folder: the folder of the manifest.
        hashed: compare every sha256; if False, trust a file that has the recorded size and time of change.
        names: compare these files only.
        strays: whether a file that the manifest does not name is a fault too.
        digest: the digest that the manifest must have, of what the folder is built from.
    """
    if not manifest.is_whole(folder):
        yield FileFault(manifest.NAME, "is missing")
        return
    try:
        content = manifest.read(folder)
        recorded = content["files"]
    except DataError:
        yield FileFault(manifest.NAME, "is damaged")
        return
    if digest is not None and content.get("digest") != digest:
        yield FileFault(manifest.NAME, "has the digest of something else")
    yield from file_faults(folder, recorded, hashed=hashed, names=names)
    if strays:
        unknown = (name for name in manifest.file_names(folder) if name not in recorded)
        yield from (FileFault(name, "is not in the manifest") for name in unknown)


def file_faults(
    folder: Path, recorded: Mapping[str, FileEntry], *, hashed: bool = True, names: Iterable[str] | None = None
) -> Iterator[FileFault]:
    """Yield every file that does not match its entry; the arguments are those of `faults`."""
    for name in recorded if names is None else names:
        what = _compare(folder / name, recorded[name], hashed=hashed) if name in recorded else "is not in the manifest"
        if what:
            yield FileFault(name, what)


def _compare(path: Path, entry: FileEntry, *, hashed: bool) -> str | None:
    if not path.is_file():
        return "is missing"
    status = path.stat()
    if status.st_size != entry["bytes"]:
        return f"has {status.st_size:,} bytes, not {entry['bytes']:,}"
    if not hashed and status.st_mtime_ns == entry.get("mtime_ns"):
        return None
    try:
        return None if manifest.file_digest(path) == entry["sha256"] else "has changed: another sha256"
    except OSError as fault:
        return f"cannot be read: {fault.strerror}"
