"""Does a plan fit on the card? An estimate says so before any weight is loaded."""

from zephyr_core.faults import Lack
from zephyr_train.options import TrainOptions
from zephyr_train.planning.memory import DOES_NOT_FIT, GB
from zephyr_train.planning.plan import Plan


def memory_lack(plan: Plan, options: TrainOptions) -> Lack | None:
    """Return what a GPU lacks for a plan; None if it fits, or the model's sizes are unknown."""
    chosen = next((row for row in plan.memory if row.planned), None)
    if chosen is None or chosen.verdict != DOES_NOT_FIT:
        return None
    ways = [
        *(["--zero 3"] if options.zero < 3 and options.gpus > 1 else []),
        "more --gpus",
        *([] if options.lora else ["--lora"]),
        *(["a smaller micro_batch_size"] if options.micro_batch_size > 1 else []),
    ]
    size = f"{chosen.total / GB:.0f} GB a GPU, estimated, and the card has {plan.gpu_memory:g} (gpu_memory)"
    insisting = f"if you know better, write a larger `gpu_memory` under [{plan.step}] of the recipe"
    return Lack("no-memory", f"the plan takes {size}", f"use {', '.join(ways)}; {insisting}")
