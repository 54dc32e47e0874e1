"""Memory per GPU and disk, worked out from a model's shape; nothing is measured or loaded.

Shapes: N parameters, L layers, h hidden size, V vocabulary; T tokens of a micro-batch. Units: bytes.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from zephyr_train.planning.model_shape import Shape

CONTEXT = 1.5 * 2**30  # of CUDA and its libraries
WINDOW = 1_000_000_000  # maximum number of parameters that ZeRO-3 keeps gathered at once
LONGEST_BF16_SUM = 16  # micro-batches whose gradients ZeRO adds up in bf16; a longer sum is in fp32 (decision 0067)
BUCKET = 500_000_000  # elements; ZeRO has one to reduce and one to gather
INNER = 29.5  # numbers per token and hidden unit that a layer keeps for its backward pass, with FlashAttention
HEAD_TOKENS = 4_096  # maximum number of tokens whose logits are held at once
KEPT_CHECKPOINTS = 2
GB = 1_000_000_000
TIGHT_SHARE = 0.9  # of the card; above it, fragmentation decides


@dataclass(frozen=True)
class Setting:
    """What memory depends on besides the model's shape."""

    kind: str  # dialogues | pairs
    zero: int  # 0..3
    world: int  # processes
    micro_rows: int  # dialogues (packed rows) or pairs per GPU and forward
    max_length: int  # tokens
    precision: str = "bf16"  # bf16 (with fp32 master weights) | fp32
    checkpointing: bool = True
    cached_reference: bool = True
    adapter_parameters: int | None = None  # of LoRA; None when all parameters are trained
    accumulation: int = 1  # micro-batches of an optimiser step

    @property
    def number(self) -> int:
        """Return the bytes per number in a forward pass."""
        return 2 if self.precision == "bf16" else 4

    @property
    def stored(self) -> int:
        """Return the bytes per trained weight or its gradient: without ZeRO the fp32 masters are the weights."""
        return 2 if self.precision == "bf16" and self.zero else 4

    @property
    def loaded(self) -> int:
        """Return the bytes per weight of the model as loaded; under an adapter it has no masters."""
        return self.stored if self.adapter_parameters is None else self.number

    @property
    def summed(self) -> int:
        """Return the bytes per gradient while those of a step's micro-batches are added up."""
        return 4 if self.accumulation > LONGEST_BF16_SUM else self.stored

    @property
    def tokens(self) -> int:
        """Return the maximum number of tokens in a micro-batch; a pair has two rows."""
        return self.micro_rows * self.max_length * (2 if self.kind == "pairs" else 1)

    def shared_by(self, stage: int) -> int:
        """Return the number of processes that share what ZeRO shards from that stage on."""
        return self.world if self.zero >= stage else 1


def weights(shape: Shape, setting: Setting) -> float:
    """Return the weights of the forward pass, plus any adapters; sharded at ZeRO-3."""
    adapters = setting.stored * (setting.adapter_parameters or 0)
    return (setting.loaded * shape.parameters + adapters) / setting.shared_by(3)


def gradients(shape: Shape, setting: Setting) -> float:
    """Return the gradients, one number per trained parameter, sharded from ZeRO-2 on."""
    return setting.summed * _trained(shape, setting) / setting.shared_by(2)


def optimizer(shape: Shape, setting: Setting) -> float:
    """Return AdamW's two fp32 moments, plus the fp32 master copy for bf16 weights; sharded from ZeRO-1 on."""
    return (12 if setting.stored == 2 else 8) * _trained(shape, setting) / setting.shared_by(1)


def reference(shape: Shape, setting: Setting) -> float:
    """Return the frozen reference model of pairs, sharded at ZeRO-3; 0 if its log-probs are cached."""
    if setting.kind != "pairs" or setting.cached_reference:
        return 0.0
    return setting.number * shape.parameters / setting.shared_by(3)


def gathered(shape: Shape, setting: Setting) -> float:
    """Return the window of parameters that ZeRO-3 keeps gathered."""
    return min(WINDOW, shape.parameters) * setting.number if setting.zero == 3 else 0.0


def buckets(shape: Shape, setting: Setting) -> float:
    """Return what processes communicate with: ZeRO two buckets; DDP a copy of all gradients, which torch keeps."""
    if setting.zero:
        return 2 * min(BUCKET, shape.parameters) * setting.number
    return setting.stored * _trained(shape, setting) if setting.world > 1 else 0.0


def autocast(shape: Shape, setting: Setting) -> float:
    """Return the bf16 copies of the trained weights that autocast keeps during a forward pass."""
    return setting.number * _trained(shape, setting) if setting.stored > setting.number else 0.0


def activations(shape: Shape, setting: Setting) -> float:
    """Return what layers keep for the backward pass; with checkpointing, each keeps its input and only one the rest."""
    states = setting.tokens * shape.hidden_size * setting.number  # bytes of one state for all tokens
    if setting.checkpointing:
        return (shape.layers + INNER) * states
    return shape.layers * INNER * states


def head(shape: Shape, setting: Setting) -> float:
    """Return the logits of a slice of tokens in bf16 and fp32, and the last states with their gradients."""
    return min(setting.tokens, HEAD_TOKENS) * shape.vocabulary * 6 + setting.tokens * shape.hidden_size * 4


def context(shape: Shape, setting: Setting) -> float:
    """Return what the GPU's libraries take before anything is loaded."""
    return CONTEXT


PARTS = (weights, gradients, optimizer, reference, gathered, buckets, autocast, activations, head, context)
DOES_NOT_FIT = "does not fit"


def breakdown(shape: Shape, setting: Setting) -> dict[str, int]:
    """Return part → bytes per GPU."""
    return {part.__name__: round(part(shape, setting)) for part in PARTS}


@dataclass(frozen=True)
class MemoryRow:
    """One line of the table: a setting, its bytes per GPU, and whether they fit on a card."""

    setting: Setting
    parts: dict[str, int]
    verdict: str  # fits | tight | does not fit
    planned: bool  # whether the run would use it

    @property
    def total(self) -> int:
        """Return the bytes per GPU."""
        return sum(self.parts.values())


def memory_table(shape: Shape, run_setting: Setting, card: float) -> list[MemoryRow]:
    """Return a row for ZeRO 0..3, with and without reference (pairs) and activation checkpointing; card in GB (1e9)."""
    rows = []
    for setting in _settings(run_setting):
        parts = breakdown(shape, setting)
        rows.append(MemoryRow(setting, parts, verdict(sum(parts.values()), card), setting == run_setting))
    return rows


def verdict(total: float, card: float) -> str:
    """Return how a total in bytes fits on a card with `card` GB (1e9 bytes)."""
    if total > card * GB:
        return DOES_NOT_FIT
    return "tight" if total > card * GB * TIGHT_SHARE else "fits"


@dataclass(frozen=True)
class DiskNeed:
    """The most bytes that a run needs on disk: one checkpoint more than it keeps, while that one is written."""

    checkpoint: int
    kept_checkpoints: int
    model: int

    @property
    def total(self) -> int:
        """Return the bytes at the peak."""
        return self.checkpoint * (self.kept_checkpoints + 1) + self.model


def disk_need(shape: Shape, setting: Setting) -> DiskNeed:
    """Return a run's disk need: per trained parameter 14 bytes for the optimizer and 2 for weights, plus the model."""
    adapters = setting.stored * (setting.adapter_parameters or 0)
    return DiskNeed(16 * _trained(shape, setting), KEPT_CHECKPOINTS, setting.loaded * shape.parameters + adapters)


def host_need(shape: Shape, setting: Setting) -> int:
    """Return the bytes of the first machine's own memory that hold the whole model at once.

    ZeRO-3 gathers it there to save it, and an adapter is merged there. Else weights go straight from files to GPUs and
    back, a tensor at a time.
    """
    return setting.loaded * shape.parameters if setting.zero == 3 or setting.adapter_parameters is not None else 0


@dataclass(frozen=True)
class PassNeed:
    """What the forward passes of the reference take."""

    total: int  # bytes per GPU
    gpus: int  # that share one copy of the model: 1, or all of a machine if one is too small
    verdict: str  # fits | tight | does not fit


def pass_need(shape: Shape, setting: Setting, card: float, gpus_here: int) -> PassNeed | None:
    """Return what scoring the pairs takes, on a card of `card` GB; None for dialogues, which have no reference."""
    if setting.kind != "pairs":
        return None
    states = INNER * setting.tokens * shape.hidden_size * setting.number
    rest = states + head(shape, setting) + CONTEXT

    def spread(gpus: int) -> PassNeed:
        total = round(setting.loaded * shape.parameters / gpus + rest)
        return PassNeed(total, gpus, verdict(total, card))

    whole = spread(1)
    return spread(gpus_here) if whole.verdict == DOES_NOT_FIT and gpus_here > 1 else whole


def _settings(run_setting: Setting) -> Iterator[Setting]:
    references = (True, False) if run_setting.kind == "pairs" else (run_setting.cached_reference,)
    for zero in range(4):
        for cached in references:
            for checkpointing in (True, False):
                yield replace(run_setting, zero=zero, cached_reference=cached, checkpointing=checkpointing)


def _trained(shape: Shape, setting: Setting) -> int:
    return shape.parameters if setting.adapter_parameters is None else setting.adapter_parameters
