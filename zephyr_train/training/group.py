"""The group of a run's processes: begun without compiling anything, and closed before they end."""

from collections.abc import Iterator
from contextlib import contextmanager

from zephyr_train.job import Job


@contextmanager
def group(job: Job) -> Iterator[None]:
    """Hold the group that accelerate makes inside; when all went well, close it before this process ends.

    A process that ends with the group open aborts now and then, its work done: gloo's threads outlive the interpreter.
    """
    if job.cpu and job.backend.startswith("deepspeed"):
        keep_from_compiling()
    yield
    from torch import distributed

    if distributed.is_initialized():
        distributed.destroy_process_group()


def keep_from_compiling() -> None:
    """Let DeepSpeed begin on a CPU as it does where its shared-memory operation is not to be had: with gloo alone.

    It would compile that operation, which only its inference uses, at the first start (a minute, and a compiler), and
    each start after that asks for a lock file, which a process killed at that moment leaves to all others for ever.
    """
    from deepspeed import ops

    ops.__compatible_ops__ = {}  # made when first asked for, and asked for this operation alone
