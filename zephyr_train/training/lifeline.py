"""What ties a run's processes to the command that started them: they end with it, and leave it their last words."""

import errno
import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from zephyr_core import manifest
from zephyr_core.errors import NoSpace, ZephyrError
from zephyr_train.job import FAILURE, PARENT


def hold_on() -> None:
    """End this process when the one that started the run is gone, however it went."""
    threading.Thread(target=_follow, daemon=True).start()


def _follow() -> None:
    parent = int(os.environ.get(PARENT, "0"))
    while parent:
        time.sleep(0.5)
        if not _is_alive(parent):
            os._exit(1)


def _is_alive(process: int) -> bool:
    """Return whether a process runs; one that has ended and is not yet buried does not."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return False
        return True
    return state not in "ZX"


@contextmanager
def reported(folder: Path) -> Iterator[None]:
    """End the process when something fails inside, its words left in the folder; a full disk is told as one."""
    try:
        yield
    except ZephyrError as fault:
        _fail(folder, fault)
    except Exception as fault:  # safetensors and pyarrow have errors of their own for a full disk
        if os.strerror(errno.ENOSPC) not in str(fault):
            raise
        again = "free some and run the command again: it continues"
        _fail(folder, NoSpace(f"no space left while writing {folder}", again))


def _fail(folder: Path, fault: ZephyrError) -> None:
    """Leave the error where the command finds it, as far as the disk allows, and end with its exit code."""
    content = {"message": str(fault), "hint": fault.hint, "exit_code": fault.exit_code}
    with suppress(OSError):
        manifest.write_text_whole(folder / FAILURE, json.dumps(content))
    print(f"error: {fault}", flush=True)
    sys.stderr.flush()
    os._exit(fault.exit_code)  # not sys.exit: another rank may be waiting in a collective
