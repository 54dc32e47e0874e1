"""What reports read of a run: files that are as they were when it was written, or none."""

from collections.abc import Iterable
from pathlib import Path

from zephyr_core import kinds, manifest
from zephyr_core.folder import damage
from zephyr_train.errors import RowsUnfit
from zephyr_train.job import AGAIN, Job


def check_run(run: Path, names: Iterable[str] = (), *, below: str | None = None) -> None:
    """Compare a finished dDPO run's manifest, job and files with what was written; an unfinished run passes.

    Args:
        run: the run directory.
        names: files that are read.
        below: a folder of the run, of which every file is compared.

    Raises:
        WrongFolder: it is another zephyr folder.
        RowsUnfit: one of them is damaged.
    """
    if not manifest.is_whole(run):
        return
    what = damage(run, names=())  # the manifest by itself
    if what is None:
        kinds.refuse(run, kinds.DPO_RUN)
        folder = f"{below}/"
        kept = [name for name in manifest.read(run)["files"] if name.startswith(folder)]
        what = damage(run, names=dict.fromkeys([kinds.JOB, *kept, *names]))
    if what:
        raise RowsUnfit(f"{run} is damaged: {what}", AGAIN)


def token_rows(run: Path) -> Path:
    """Return the folder of the token rows that a run was trained on; it may be gone.

    Raises:
        DataError: the run's job cannot be read.
        RowsUnfit: the token rows are damaged.
    """
    job = Job.read(run)
    folder = Path(job.tokens)
    what = damage(folder, digest=job.tokens_digest) if folder.is_dir() else None
    if what:
        raise RowsUnfit(f"{folder} is damaged: {what}", f"run the command that made {run} again: it builds them again")
    return folder
