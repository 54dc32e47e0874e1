"""Which of a run's machines this is: the launcher of each says so by NODE_RANK, MASTER_ADDR and MASTER_PORT."""

import os
from collections.abc import Iterator
from pathlib import Path

from zephyr_core.faults import Lack
from zephyr_train.options import TrainOptions

# What a scheduler or an outer launcher leaves in the environment; workers take theirs from their own launcher.
FOREIGN = (
    *("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "GROUP_RANK", "ROLE_RANK"),
    *("NODE_RANK", "MASTER_ADDR", "MASTER_PORT"),
)
_PORT = "29500"
_RUN = "run the same command on each machine, with NODE_RANK from 0 on and the first one's MASTER_ADDR"


def node_rank(nodes: int) -> int:
    """Return the rank of this machine; the first machine, 0, writes what all of them share."""
    rank = os.environ.get("NODE_RANK", "")
    return int(rank) if nodes > 1 and rank.isdecimal() else 0


def first_address() -> str:
    """Return the address of the first of several machines."""
    return os.environ["MASTER_ADDR"]


def first_port() -> str:
    """Return the port on which the first of several machines waits for the others."""
    return os.environ.get("MASTER_PORT", _PORT)


def own_folder(out: Path, nodes: int) -> Path:
    """Return where this machine writes what is its own: `out` on the first one, a folder next to it on the others.

    So the first one alone changes `out`: it may discard what is there at any time.
    """
    rank = node_rank(nodes)
    return out if rank == 0 else out.with_name(f"{out.name}.node{rank}")


def node_faults(options: TrainOptions) -> Iterator[Lack]:
    """Yield what the environment of one of several machines does not say, or says wrongly."""
    if options.nodes == 1:
        return
    rank = os.environ.get("NODE_RANK")
    if rank is None or not rank.isdecimal() or int(rank) >= options.nodes:
        fault = "is not set" if rank is None else f"is {rank!r}, not 0 to {options.nodes - 1}"
        yield Lack("unknown-node", f"NODE_RANK {fault}: this may be any of {options.nodes} machines", _RUN)
    if not os.environ.get("MASTER_ADDR"):
        yield Lack("unknown-node", "MASTER_ADDR is not set: the machines would not find each other", _RUN)
    port = os.environ.get("MASTER_PORT", _PORT)
    if not port.isdecimal() or not 0 < int(port) < 2**16:
        yield Lack("unknown-node", f"MASTER_PORT is {port!r}, not a port", "leave it out, or give the same free port")
