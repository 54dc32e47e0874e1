"""Disk failures as one error with a hint: no space, no permission, a file where a folder belongs."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from zephyr_core.errors import NoSpace, ZephyrError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
_ELSEWHERE = "give another folder"


@contextmanager
def clear_disk_errors(place: Path, *, hint: str = _ELSEWHERE, continues: bool = False) -> Iterator[None]:
    """Turn a disk failure into an error that says what to do; other errors pass.

    Args:
        place: what is being written.
        hint: what to do about a folder that cannot be written.
        continues: whether the command, run again, keeps what it has done so far.

    Raises:
        NoSpace: with the path.
    """
    try:
        yield
    except ZephyrError:
        raise
    except Exception as fault:
        if is_full(fault):
            again = "free some and run the command again" + (": it continues" if continues else "")
            raise NoSpace(f"no space left while writing {place}", again) from fault
        if isinstance(fault, OSError) and fault.errno in FORBIDDEN:
            raise NoSpace(f"{fault.filename or place}: permission denied", hint) from fault
        if isinstance(fault, FileExistsError | NotADirectoryError):
            raise NoSpace(f"{place} cannot be written: a file is in the way", hint) from fault
        raise


def is_full(fault: BaseException) -> bool:
    """Return whether an error means a full disk; polars, pyarrow and safetensors wrap it in errors of their own."""
    if isinstance(fault, OSError) and fault.errno in _FULL:
        return True
    return any(os.strerror(number) in str(fault) for number in (errno.ENOSPC, errno.EDQUOT))


def require_space(place: Path, needed_bytes: float, hint: str, *, what: str = "") -> None:
    """Check that `place` can be written and its disk has room; it need not exist yet.

    Raises:
        NoSpace: with the hint, which names another place.
    """
    existing = next(parent for parent in (place.absolute(), *place.absolute().parents) if parent.is_dir())
    if not os.access(existing, os.W_OK):
        raise NoSpace(f"{existing} cannot be written: permission denied", hint)
    free = shutil.disk_usage(existing).free
    if needed_bytes > free:
        raise NoSpace(
            f"about {needed_bytes / 1e9:,.1f} GB are needed at {existing}{what and f' for {what}'},"
            f" {free / 1e9:,.1f} GB are free",
            f"free some, or {hint}",
        )
