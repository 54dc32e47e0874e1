"""Out of memory as one error with the ways out, wherever a library notices it."""

from collections.abc import Iterator
from contextlib import contextmanager

from zephyr_core.errors import EnvironmentLack, first_line
from zephyr_train.job import Job

_WORDS = ("out of memory", "can't allocate memory")  # of CUDA's libraries, and of torch on a CPU


@contextmanager
def clear_memory_errors(hint: str) -> Iterator[None]:
    """Turn a lack of memory into an error with a hint; other errors pass.

    Raises:
        EnvironmentLack: with what the library says.
    """
    try:
        yield
    except Exception as fault:
        if not (isinstance(fault, MemoryError) or any(words in str(fault) for words in _WORDS)):
            raise
        raise EnvironmentLack(f"a worker ran out of memory: {first_line(fault)}", hint) from fault


def ways_out(job: Job) -> str:
    """Return what makes a job need less memory on each GPU."""
    smaller = [f"a micro_batch_size below {job.micro_batch_size}"] if job.micro_batch_size > 1 else []
    if job.step == "reference":
        return f"use {' or '.join([*smaller, 'GPUs that hold the whole model'])}"
    stage = int(job.backend.rsplit("-", 1)[1]) if job.backend.startswith("deepspeed") else 0
    ways = smaller
    ways += ["activation_checkpointing"] if not job.options.activation_checkpointing else []
    ways += ["`--zero 3`"] if stage < 3 and job.world > 1 else []
    ways += ["more GPUs" if stage == 3 or job.world > 1 else "more GPUs with `--zero 3`"]
    ways += ["a shorter max_length" if job.options.lora else "`--lora`"]
    return f"use {', '.join(ways[:-1])} or {ways[-1]}; with --fresh, since that is another run"
