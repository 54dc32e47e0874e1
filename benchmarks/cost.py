"""What a command costs on one core, from the operating system's own accounts."""

import os
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Cost:
    """CPU-seconds of a command with all it starts, its peak of anonymous memory, and what it printed."""

    seconds: float
    megabytes: float
    printed: str


def cost(command: list[str]) -> Cost:
    """Return what a command costs that is pinned to one core."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    core = min(os.sched_getaffinity(0))
    process = subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),
    )
    memory = 0
    while process.poll() is None:
        memory = max(memory, _anonymous(process.pid))
        time.sleep(0.05)
    printed, told = process.communicate()
    if process.returncode:
        sys.exit(told or "failed")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(used, memory / 1024, printed)


def _anonymous(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("RssAnon")), 0)
