"""The last safety net: an unexpected exception becomes one line and a log file with the trace."""

import errno
import platform
import sys
import tempfile
import time
import traceback
from os import getpid
from pathlib import Path

from zephyr_core import errors, paths, this_code
from zephyr_core.disk import FORBIDDEN, is_full


def explained(fault: Exception) -> errors.ZephyrError:
    """Return the error that a command ends with: what the machine lacks, or a fault of zephyr with its log file."""
    if isinstance(fault, OSError) and is_full(fault):
        where = fault.filename or "the disk, or where stdout goes"
        return errors.NoSpace(f"no space left on {where}", "free some and run the command again")
    if isinstance(fault, OSError) and fault.errno in FORBIDDEN and fault.filename:
        return errors.EnvironmentLack(f"{fault.filename}: permission denied", "give a path that you may use")
    if isinstance(fault, OSError) and fault.errno == errno.ENAMETOOLONG:
        return errors.UsageError(f"{str(fault.filename)[:40]}…: this name is too long", "give a shorter path")
    if isinstance(fault, MemoryError):
        return errors.EnvironmentLack(
            "there is not enough memory", "use fewer worker processes, or a smaller part of the input"
        )
    lines = (str(fault).strip() or "no message").splitlines()
    message = f"a fault of zephyr: {type(fault).__name__}: {lines[0]}"
    file = _log(fault)
    if file is None:
        traceback.print_exception(fault)
        return errors.InternalError(message, "please report it with the trace above")
    return errors.InternalError(f"{message} (trace in {file})", "please report it with that file")


def _faults() -> str:
    return str(paths.cache_directory() / "faults")


def _log(fault: Exception) -> Path | None:
    """Write the trace, the command and the versions to a file; None if no folder can take it."""
    name = f"zephyr-{time.strftime('%Y%m%d-%H%M%S')}-{getpid()}.log"
    head = {"command": " ".join(sys.argv), "python": platform.python_version(), **this_code.versions()}
    text = "\n".join([*(f"{key}: {value}" for key, value in head.items()), "", *traceback.format_exception(fault)])
    for folder in (_faults, tempfile.gettempdir):
        try:
            file = Path(folder()) / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8", errors="replace")
        except (OSError, errors.UsageError):  # full, forbidden, or there is no home folder
            continue
        return file
    return None
