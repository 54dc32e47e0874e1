"""Does a plan fit on the cards and in the machine? An estimate says so before any weight is loaded."""

from collections.abc import Iterator

from zephyr_core.faults import Lack
from zephyr_train.nodes import node_rank
from zephyr_train.options import TrainOptions
from zephyr_train.planning.memory import DOES_NOT_FIT, GB
from zephyr_train.planning.plan import Plan
from zephyr_train.preflight.machine import HostMemory

NAME = "no-memory"


def memory_lacks(plan: Plan, options: TrainOptions, here: HostMemory | None) -> Iterator[Lack]:
    """Yield what GPUs and machine lack for a plan; nothing where sizes are unknown.

    Args:
        plan: of the run.
        options: of the run.
        here: the memory of this machine, if it is known.
    """
    insisting = f"if you know better, write a larger `gpu_memory` under [{plan.step}] of the recipe"
    card = f"estimated, and the card has {plan.gpu_memory:g} (gpu_memory)"
    chosen = next((row for row in plan.memory if row.planned), None)
    if chosen is not None and chosen.verdict == DOES_NOT_FIT:
        ways = [
            *(["--zero 3"] if options.zero < 3 and options.gpus > 1 else []),
            "more --gpus",
            *([] if options.lora else ["--lora"]),
            *(["a smaller micro_batch_size"] if options.micro_batch_size > 1 else []),
        ]
        size = f"{chosen.total / GB:.0f} GB a GPU"
        yield Lack(NAME, f"the plan takes {size}, {card}", f"use {', '.join(ways)}; {insisting}")
    need = plan.reference
    if need is not None and need.verdict == DOES_NOT_FIT:
        place = "one GPU" if need.gpus == 1 else f"the {need.gpus} GPUs of a machine"
        size = f"{need.total / GB:.0f} GB a GPU with the whole model on {place}"
        hint = f"use GPUs with more memory, or more of them on each machine; {insisting}"
        yield Lack(NAME, f"the reference pass takes {size}, {card}", hint)
    if here is not None and plan.host is not None and plan.host > here.total and node_rank(options.nodes) == 0:
        ways = ["a machine with more memory", *(["--zero 2"] if options.zero == 3 and not options.lora else [])]
        size = f"{plan.host / GB:.0f} GB of this machine's memory, and it has {here.total / GB:.0f}"
        yield Lack(NAME, f"saving the model takes {size}", f"use {' or '.join(ways)}")


def host_note(plan: Plan, here: HostMemory | None) -> str | None:
    """Return a note on memory of this machine that others hold now and the run will need."""
    if here is None or plan.host is None or not here.available < plan.host <= here.total:
        return None
    return (
        f"{plan.host / GB:.0f} GB of this machine's memory are needed while the model is saved, and"
        f" {here.available / GB:.0f} are free now"
    )
