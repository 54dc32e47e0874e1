"""The workers of several machines agree on one run before they load anything.

They ask the store that their launchers' rendezvous has made. It lives as long as the first machine's command, so
nothing in it is an earlier attempt's, unlike what lies in a shared folder.
"""

import os
import time
from pathlib import Path

from zephyr_core.errors import EnvironmentLack, ZephyrError
from zephyr_core.kinds import JOB
from zephyr_core.process import stamp
from zephyr_train.errors import ForeignRun
from zephyr_train.job import Job

AGREED = "agreed"  # of which job.json the workers agreed on
SHOWN_WITHIN = 60.0  # seconds that a shared disk may take to show another machine's file
SAME = "run the same command on each machine, with the same version of zephyr and the same --out on a shared folder"


def require_one_run(out: Path, own: Path) -> None:
    """Raise unless every machine planned the run in the first one's job.json, and reads that very file.

    Args:
        out: the run directory.
        own: where this machine's launcher has written what it planned.

    Raises:
        ForeignRun: on each machine, if any one planned another run.
        EnvironmentLack: on each machine, if any one reads another job.json, or came to an earlier start.
    """
    from torch.distributed import PrefixStore, TCPStore  # type: ignore[attr-defined]

    rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    store = PrefixStore("zephyr", TCPStore(address, port, is_master=False))
    if store.add("joined", 1) > world:
        raise EnvironmentLack(f"{address}:{port} belongs to an earlier start of this run, which still goes on", SAME)
    if rank == 0:
        store.set("job", (out / JOB).read_text(encoding="utf-8"))
    fault = _fault(out, own, store.get("job"), int(os.environ["GROUP_RANK"]))
    store.set(f"fault-{rank}", f"{type(fault).__name__} {fault}" if fault else "")
    for other in range(world):
        kind, _, message = store.get(f"fault-{other}").decode().partition(" ")
        if message:
            raise (ForeignRun if kind == ForeignRun.__name__ else EnvironmentLack)(message, SAME)
    if os.environ["LOCAL_RANK"] == "0" and own != out:
        (own / AGREED).write_text(str(stamp(out / JOB)))


def is_latest(out: Path, own: Path) -> bool:
    """Return whether the start that this machine's workers agreed on is the last one that the first machine made."""
    try:
        return own == out or (own / AGREED).read_text() == str(stamp(out / JOB))
    except OSError:
        return False


def _fault(out: Path, own: Path, first: bytes, machine: int) -> ZephyrError | None:
    deadline = time.monotonic() + SHOWN_WITHIN
    while not _shows(out / JOB, first):
        if time.monotonic() > deadline:
            return EnvironmentLack(f"machine {machine} does not read the first one's {out / JOB}: is it shared?")
        time.sleep(1)
    differs = Job.read(out).differences(Job.read(own))
    if differs:
        return ForeignRun(f"machine {machine} planned another run than the first one: {', '.join(differs)}")
    return None


def _shows(file: Path, content: bytes) -> bool:
    try:
        return file.read_bytes() == content
    except OSError:
        return False
