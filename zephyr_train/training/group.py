"""How a process of a run begins and leaves the group that accelerate makes: nothing compiled, nothing torn down."""

import atexit
import os
import sys
from typing import NoReturn

from zephyr_train.job import Job


def begin(job: Job) -> None:
    """Let DeepSpeed begin on a CPU as it does where its shared-memory operation is not to be had: with gloo alone.

    It would compile that operation, which only its inference uses, at the first start (a minute, and a compiler), and
    each start after that asks for a lock file, which a process killed at that moment leaves to all others for ever.
    """
    if job.cpu and job.backend.startswith("deepspeed"):
        from deepspeed import ops

        ops.__compatible_ops__ = {}  # made when first asked for, and asked for this operation alone


def leave() -> NoReturn:
    """End this process, its work done, without taking the interpreter down.

    A thread of gloo may still hold a tensor of the last collective. Letting go of it while the interpreter goes down
    aborts the process, so that one rank in ten or so failed on a busy machine after all its work.
    """
    from torch import distributed

    if distributed.is_initialized():
        distributed.destroy_process_group()  # of NCCL, which wants it; gloo's stays, since others hold it
    atexit._run_exitfuncs()  # loggers, trackers
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
