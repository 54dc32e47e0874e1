"""How a process joins and leaves the group that accelerate makes, without compiling or tearing down anything."""

import atexit
import os
import sys
from typing import NoReturn

from zephyr_train.job import Job


def begin(job: Job) -> None:
    """Make DeepSpeed start on a CPU as if its shared-memory operation were unavailable: with gloo alone.

    It would compile that operation, which only its inference uses, at the first start (this takes a minute and needs a
    compiler). Each later start takes a lock file; a process killed at that moment leaves it locked for all others.
    """
    if job.cpu and job.backend.startswith("deepspeed"):
        from deepspeed import ops

        ops.__compatible_ops__ = {}  # DeepSpeed would make it on first use, and uses it only for this operation


def leave() -> NoReturn:
    """End this process once its work is done, skipping the interpreter's shutdown.

    A gloo thread may still hold a tensor of the last collective. Releasing it while the interpreter shuts down aborts
    the process; on a busy machine, about one rank in ten failed this way after finishing its work.
    """
    from torch import distributed

    if distributed.is_initialized():
        distributed.destroy_process_group()  # NCCL's, which needs it; gloo's stays, since others hold it
    atexit._run_exitfuncs()  # loggers, trackers
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
