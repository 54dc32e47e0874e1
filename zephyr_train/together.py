"""What the command on each of several machines does about the others: it waits for them, and ends with them."""

import re
import time
from collections.abc import Callable

from zephyr_core import errors, process
from zephyr_core.errors import EnvironmentLack, ZephyrError
from zephyr_core.process import FAILURE, Ended
from zephyr_train.agreement import is_latest
from zephyr_train.job import Job
from zephyr_train.nodes import first_address, first_port, node_rank, own_folder

WITHIN = 600  # seconds that a machine waits for the others
PATIENCE = 5.0  # seconds that a machine's own workers have to end after one of another machine has failed
SEE_OTHERS = "another machine may have failed first: see what its command says"
# What the launchers of torch and accelerate say: on the first machine, on another one; of a port that is in use.
_ALONE = re.compile(r"Timed out after \d+ seconds waiting for clients|The client socket has (?:timed out|failed)")
_TAKEN = re.compile(r"server socket has failed to (?:listen|bind)|another process is utilizing it")


def waits(job: Job) -> str:
    """Return for whom this machine waits, as a line."""
    rank = node_rank(job.options.nodes)
    whom = "the first one" if rank else "the others"
    return f"machine {rank} of {job.options.nodes}: waits for {whom} at {_place()}, {WITHIN} seconds at most"


def apart(job: Job, ended: Ended) -> ZephyrError | None:
    """Return the error of launchers that did not meet; None if they did."""
    if job.options.nodes == 1 or (job.folder / FAILURE).is_file():
        return None
    if _TAKEN.search(ended.out):
        return EnvironmentLack(f"another process has the port of {_place()}", "give all machines another MASTER_PORT")
    if not _ALONE.search(ended.out):
        return None
    rank = node_rank(job.options.nodes)
    missed = "the first machine, 0, was not there" if rank else "not all other machines came"
    return EnvironmentLack(
        f"machine {rank} of {job.options.nodes}: {missed}, at {_place()} within {WITHIN} seconds",
        "see what the command says on each machine, start it on all of them, and let them reach that port",
    )


def ending_with_others(
    job: Job, watch: Callable[[], None], failed: Callable[[Ended], ZephyrError]
) -> Callable[[], None]:
    """Return a `watch` that also ends this machine's processes soon after a worker of another one has failed.

    Those here would wait for it until the collective times out.
    """
    since = 0.0

    def look() -> None:
        nonlocal since
        watch()
        if not since and (job.folder / FAILURE).is_file():
            since = time.monotonic()  # a worker here ends by itself
        elif since and time.monotonic() - since > PATIENCE:
            raise failed(Ended(1))

    return look


def tell_others(job: Job, fault: BaseException) -> None:
    """Leave why this machine's part ends, unless another machine was first, or the first one has begun again."""
    nodes = job.options.nodes
    rank, is_ours = node_rank(nodes), isinstance(fault, ZephyrError)
    message = f"machine {rank} failed: {fault}" if is_ours else f"machine {rank} was stopped"
    if is_latest(job.folder, own_folder(job.folder, nodes)):
        code, hint = getattr(fault, "exit_code", errors.ENVIRONMENT), getattr(fault, "hint", None)
        process.leave_failure(job.folder, code, message=message, hint=hint)


def _place() -> str:
    return f"{first_address()}:{first_port()}"
