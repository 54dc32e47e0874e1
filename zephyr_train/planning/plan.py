"""What a run will do, worked out beforehand: batches, steps, learning rates, tokens, memory, disk."""

import math
from dataclasses import asdict, dataclass
from typing import cast

from zephyr_core.errors import OptionError
from zephyr_core.records import MixedSource, PlanRecord
from zephyr_train.options import DPOOptions, StepOptions
from zephyr_train.planning import model_shape
from zephyr_train.planning.memory import (
    DiskNeed,
    MemoryRow,
    PassNeed,
    Setting,
    disk_need,
    host_need,
    memory_table,
    pass_need,
)
from zephyr_train.planning.token_statistics import TokenStatistics


def batch(global_batch_size: int, micro_batch_size: int, gpus: int) -> int:
    """Return the gradient accumulation that keeps the global batch size.

    Raises:
        OptionError: the rows of one forward pass on all GPUs do not divide it.
    """
    accumulation, rest = divmod(global_batch_size, micro_batch_size * gpus)
    if rest:
        raise OptionError(
            f"{micro_batch_size * gpus} = {micro_batch_size}/GPU × {gpus} GPUs does not divide {global_batch_size}",
            f"the global batch stays fixed: with micro_batch_size {micro_batch_size} it takes "
            f"{_fitting(global_batch_size, micro_batch_size)} GPUs; with {gpus} GPUs micro_batch_size "
            f"{_fitting(global_batch_size, gpus)}",
        )
    return accumulation


def _fitting(whole: int, part: int) -> str:
    """Return the numbers n for which `part` · n divides `whole`, as text."""
    fitting = [str(number) for number in range(1, whole + 1) if whole % (part * number) == 0]
    return ", ".join(fitting) if fitting else "nothing"


def batch_line(global_batch_size: int, micro_batch_size: int, gpus: int) -> str:
    """Return the arithmetic of a batch: global = micro × GPUs × accumulation."""
    accumulation = batch(global_batch_size, micro_batch_size, gpus)
    return f"{global_batch_size} = {micro_batch_size}/GPU × {gpus} {'GPU' if gpus == 1 else 'GPUs'} × {accumulation}"


def steps_per_epoch(rows: int, global_batch_size: int) -> int:
    """Return the optimiser steps of an epoch; the last one may have fewer rows."""
    return max(math.ceil(rows / global_batch_size), 1)


def warmup_steps(warmup_ratio: float, total_steps: int) -> int:
    """Return the warm-up steps, rounded up as transformers does."""
    return math.ceil(total_steps * warmup_ratio)


def learning_rate_at(step: int, schedule: str, peak: float, warmup: int, total: int) -> float:
    """Return the learning rate of a step; the first is 0, as the warm-up begins there.

    Linear falls to 0 at `total`, cosine along half a wave, constant stays; all after a linear warm-up.
    """
    if step < warmup:
        return peak * step / warmup
    if schedule == "linear":
        return peak * max(0.0, (total - step) / max(total - warmup, 1))
    if schedule == "cosine":
        return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(total - warmup, 1)))
    return peak


def moves(schedule: str, peak: float, warmup: int, total: int) -> bool:
    """Return whether any step has a rate above 0."""
    return any(learning_rate_at(step, schedule, peak, warmup, total) > 0 for step in range(total))


def batch_for(steps: int, rows: int, epochs: int, part: int) -> int:
    """Return the largest global batch, a multiple of `part`, that gives at least so many steps; at least `part`."""
    per_epoch = math.ceil(steps / epochs)
    largest = rows if per_epoch == 1 else (rows - 1) // (per_epoch - 1)
    return max(largest // part, 1) * part


@dataclass(frozen=True)
class Rows:
    """How many rows an epoch has, and how that is known."""

    rows: int | None  # of an epoch: pairs, dialogues or packed rows; None while unknown
    unit: str  # pairs | dialogues | packed rows
    source: str  # for people
    known: bool = True  # counted, not estimated or taken from a card
    mixture: tuple[MixedSource, ...] = ()  # what is taken of each dataset, if something is mixed


def unit_of(options: StepOptions) -> str:
    """Return the unit of an epoch's rows."""
    return "packed rows" if options.packs else "pairs" if isinstance(options, DPOOptions) else "dialogues"


# Step → the raw set of the paper's recipe, and the published set made from it.
PUBLISHED = {
    "sft": ("stingning/ultrachat", "HuggingFaceH4/ultrachat_200k"),
    "dpo": ("openbmb/UltraFeedback", "HuggingFaceH4/ultrafeedback_binarized"),
}


def rows_of_card(options: StepOptions) -> Rows:
    """Return the rows of the published set, which is the size that the recipe's own data would have."""
    if isinstance(options, DPOOptions):
        return Rows(61_135, "pairs", f"card of {PUBLISHED['dpo'][1]}, train_prefs", known=False)
    dialogues, source = 207_865, f"card of {PUBLISHED['sft'][1]}, train_sft"
    if options.packing == "off":
        return Rows(dialogues, "dialogues", source, known=False)
    return Rows(None, "packed rows", f"{source}: {dialogues:,} dialogues; packed rows need their tokens", known=False)


@dataclass(frozen=True)
class Plan:
    """The plan of a run."""

    step: str  # sft | dpo
    model: str
    shape: model_shape.Shape | None  # None while the model's sizes are unknown; so are memory and disk
    rows: Rows
    global_batch_size: int
    micro_batch_size: int
    gpus: int
    accumulation: int
    epochs: int
    steps_per_epoch: int | None
    steps: int | None
    warmup_steps: int | None
    schedule: str
    learning_rate: float
    tokens: TokenStatistics | None
    gpu_memory: float  # GB of the card
    memory: list[MemoryRow]
    disk: DiskNeed | None
    host: int | None  # bytes of the first machine's own memory
    reference: PassNeed | None  # of dDPO

    def record(self) -> PlanRecord:
        """Return the plan JSON-ready; `batch` is its arithmetic as text."""
        content = {name: value for name, value in asdict(self).items() if name not in ("shape", "memory")}
        content |= {
            "batch": batch_line(self.global_batch_size, self.micro_batch_size, self.gpus),
            "shape": None if self.shape is None else model_shape.record(self.shape),
            "memory": [asdict(row) | {"total": row.total} for row in self.memory],
            "disk": None if self.disk is None else asdict(self.disk) | {"total": self.disk.total},
        }
        return cast(PlanRecord, content)


def make_plan(
    options: StepOptions,
    shape: model_shape.Shape | None,
    *,
    model: str,
    rows: Rows | None = None,
    tokens: TokenStatistics | None = None,
    micro_batch_size: int | None = None,
) -> Plan:
    """Return the plan of a step.

    Args:
        options: of the step.
        shape: of the model; None if it is unknown.
        model: its name, for people.
        rows: of the dataset; if None, those of the published card.
        tokens: statistics of the dataset, if known.
        micro_batch_size: if the run uses a different one than the options say.

    Raises:
        OptionError: the batch does not divide.
    """
    counted = rows or rows_of_card(options)
    micro = micro_batch_size or options.micro_batch_size
    epoch = None if counted.rows is None else steps_per_epoch(counted.rows, options.global_batch_size)
    total = None if epoch is None else epoch * options.epochs
    accumulation = batch(options.global_batch_size, micro, options.gpus)
    setting = None if shape is None else _setting(options, shape, micro, accumulation)
    gpus_here = options.gpus // options.nodes
    return Plan(
        step="dpo" if isinstance(options, DPOOptions) else "sft",
        model=model,
        shape=shape,
        rows=counted,
        global_batch_size=options.global_batch_size,
        micro_batch_size=micro,
        gpus=options.gpus,
        accumulation=accumulation,
        epochs=options.epochs,
        steps_per_epoch=epoch,
        steps=total,
        warmup_steps=None if total is None else warmup_steps(options.warmup_ratio, total),
        schedule=options.schedule,
        learning_rate=options.learning_rate,
        tokens=tokens,
        gpu_memory=options.gpu_memory,
        memory=memory_table(shape, setting, options.gpu_memory) if shape and setting else [],
        disk=disk_need(shape, setting) if shape and setting else None,
        host=host_need(shape, setting) if shape and setting else None,
        reference=pass_need(shape, setting, options.gpu_memory, gpus_here) if shape and setting else None,
    )


def _setting(options: StepOptions, shape: model_shape.Shape, micro: int, accumulation: int) -> Setting:
    return Setting(
        kind="pairs" if isinstance(options, DPOOptions) else "dialogues",
        zero=options.zero,
        world=options.gpus,
        micro_rows=micro,
        max_length=options.max_length,
        precision=options.precision,
        checkpointing=options.activation_checkpointing,
        cached_reference=True,
        adapter_parameters=shape.adapter_parameters(options.lora_rank, options.lora_targets) if options.lora else None,
        accumulation=accumulation,
    )
