"""A run's unfinished work: `<out>.partial/`, which a later run continues and nobody takes for a dataset."""

import errno
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from zephyr_core import manifest
from zephyr_core.errors import NoSpace, RunInProgress

PLAN = "plan.json"
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NO_PERMISSION = {errno.EACCES, errno.EPERM, errno.EROFS}


class Work:
    """The folder beside the output that holds finished blocks and, at the end, the dataset before its rename.

    Where the output is a link, it stays one: the dataset comes to where it leads.
    """

    def __init__(self, out: Path) -> None:
        self.out = out = out.resolve() if out.is_symlink() else out
        self.folder = out.with_name(out.name + ".partial")
        self.blocks = self.folder / "blocks"
        self.dataset = self.folder / "dataset"

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the output against other runs; the lock goes with the process, however it ends.

        Raises:
            RunInProgress: another run holds it.
        """
        self.blocks.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.folder / "lock", timeout=0)
        try:
            lock.acquire()
        except Timeout:
            raise RunInProgress(f"another run is writing to {self.out}", "wait for it, or give another --out") from None
        try:
            yield
        finally:
            lock.release()
            if not any(self.blocks.glob("*.parquet")):  # nothing that a later run could use
                shutil.rmtree(self.folder, ignore_errors=True)

    def begin(self, plan: dict[str, object]) -> str:
        """Keep the blocks of an earlier run with the same plan, remove those of another; return what was done."""
        shutil.rmtree(self.dataset, ignore_errors=True)
        older = self.folder / "older"
        if older.exists() and not self.out.exists():  # stopped between the two renames of `publish`
            older.rename(self.out)
        plan = json.loads(json.dumps(plan))
        recorded = self.folder / PLAN
        earlier = json.loads(recorded.read_text()) if recorded.is_file() else None
        done = sum(1 for _ in self.blocks.glob("*.parquet"))
        if earlier == plan and done:
            said = f"continuing: {done} blocks are done"
        elif done:
            changed = ", ".join(sorted(key for key in plan if (earlier or {}).get(key) != plan[key]))
            said = f"starting over: {changed} changed since the run that stopped"
            shutil.rmtree(self.blocks)
        else:
            said = "starting"
        self.blocks.mkdir(parents=True, exist_ok=True)
        for half in self.blocks.glob("*.tmp"):
            half.unlink()
        manifest.write_text_whole(recorded, json.dumps(plan, indent=1))
        return said

    def publish(self) -> None:
        """Move the finished dataset to its place, an older one out of the way first, and remove the work folder."""
        older = self.folder / "older"
        if self.out.exists():
            shutil.rmtree(older, ignore_errors=True)
            self.out.rename(older)
        self.dataset.rename(self.out)
        shutil.rmtree(self.folder)


@contextmanager
def clear_disk_errors(out: Path) -> Iterator[None]:
    """Turn a full disk or a forbidden folder into an error that says what to do.

    Raises:
        NoSpace: with the path.
    """
    try:
        yield
    except OSError as fault:
        raise _explained(fault, out) from fault
    except Exception as fault:  # polars wraps some of them
        if os.strerror(errno.ENOSPC) in str(fault):
            raise _explained(OSError(errno.ENOSPC, str(fault)), out) from fault
        raise


def _explained(fault: OSError, out: Path) -> Exception:
    text = str(fault)
    if fault.errno in _NO_SPACE or os.strerror(errno.ENOSPC) in text:
        return NoSpace(f"no space left while writing {out}", "free some and run the command again: it continues")
    if fault.errno in _NO_PERMISSION:
        return NoSpace(
            f"{fault.filename or out} cannot be written: permission denied", "give a writable folder with --out"
        )
    if isinstance(fault, FileExistsError | NotADirectoryError):
        return NoSpace(f"{fault.filename or out} is a file, not a folder", "give another --out")
    return fault
