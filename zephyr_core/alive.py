"""Whether a process of this machine runs."""

import os
from pathlib import Path


def is_alive(process: int) -> bool:
    """Return whether a process runs; a zombie does not."""
    return began(process) is not None


def began(process: int) -> str | None:
    """Return when a process began, "" if that cannot be read; None if it does not run.

    The time distinguishes it from a later process with the same number.
    """
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        return None if fields[0] in "ZX" else fields[19]
    except OSError:
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return None
        except PermissionError:  # another user's
            return ""
        return ""
