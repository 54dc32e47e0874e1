"""The name that something has while it is written: no other process has the same one, here or on another machine."""

import os
import re
import shutil
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from zephyr_core.alive import is_alive


@contextmanager
def whole_file(place: Path) -> Iterator[Path]:
    """Yield a temporary name to write to; the file gets its own name if the block ends well, else it is removed."""
    temporary = temporary_of(place)
    remove_abandoned(place)
    try:
        yield temporary
        temporary.replace(place)
    finally:
        temporary.unlink(missing_ok=True)


def temporary_of(place: Path) -> Path:
    """Return a name next to `place`, made of this machine, this process and a draw."""
    return place.with_name(f".{place.name}.{socket.gethostname()}.{os.getpid()}.{uuid.uuid4().hex[:8]}")


def remove_abandoned(place: Path) -> None:
    """Remove what dead processes of this machine left under such names of the same place."""
    left = re.compile(re.escape(f".{place.name}.{socket.gethostname()}.") + r"(\d+)\.[0-9a-f]{8}")
    for path in place.parent.iterdir():
        name = left.fullmatch(path.name)
        if name and not is_alive(int(name[1])):
            shutil.rmtree(path, ignore_errors=True)
            with suppress(OSError):  # a folder is gone by now
                path.unlink()
