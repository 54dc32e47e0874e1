"""The options of the training steps; each default is the paper's, with its section, or "ours" where it is silent."""

from dataclasses import dataclass, field
from typing import Any

from zephyr_core.errors import OptionError

ATTENTIONS = ("eager", "sdpa", "flex_attention", "flash_attention_2", "flash_attention_3")
MIXED = "bf16 with fp32 master weights"


def _value(default: Any, section: str) -> Any:
    return field(default=default, metadata={"section": section})


@dataclass(frozen=True)
class StudentOptions:
    """The model that dSFT begins with: one from the Hub or a folder, or `new`, built here with random weights.

    The sizes describe it where its own config is not at hand; their defaults are Mistral-7B-v0.1's.
    """

    source: str = _value("mistralai/Mistral-7B-v0.1", "paper §4; a Hub id, a folder, or `new`")
    revision: str = _value("main", "ours: resolved once, its commit recorded")
    vocabulary: int = _value(32_000, "config of Mistral-7B-v0.1: tokens")
    hidden_size: int = _value(4_096, "config of Mistral-7B-v0.1")
    intermediate_size: int = _value(14_336, "config of Mistral-7B-v0.1")
    layers: int = _value(32, "config of Mistral-7B-v0.1")
    heads: int = _value(32, "config of Mistral-7B-v0.1")
    kv_heads: int = _value(8, "config of Mistral-7B-v0.1")
    positions: int = _value(32_768, "config of Mistral-7B-v0.1")
    sliding_window: int | None = _value(4_096, "config of Mistral-7B-v0.1: tokens")
    tied: bool = _value(False, "config of Mistral-7B-v0.1: input and output embeddings are one")
    seed: int = _value(42, "ours: of the random weights of `new`")

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        sizes = ("vocabulary", "hidden_size", "intermediate_size", "layers", "heads", "kv_heads", "positions")
        _at_least(1, self, *sizes)
        if self.hidden_size % self.heads or self.heads % self.kv_heads:
            raise OptionError(
                f"hidden_size {self.hidden_size}, heads {self.heads}, kv_heads {self.kv_heads} do not divide",
                "hidden_size must be a multiple of heads, heads one of kv_heads",
            )


@dataclass(frozen=True)
class TrainOptions:
    """What both training steps can be told. Batch sizes count rows (dSFT: packed rows; dDPO: pairs)."""

    model: str | None = _value(None, "ours: a folder, run or Hub id; default: the step before")
    data: str | None = _value(None, "ours: a dataset directory, file or Hub id; default: the step before")
    revision: str = _value("main", "ours: of a dataset from the Hub; resolved once, its commit recorded")
    seed: int = _value(42, "ours")
    epochs: int = _value(1, "paper §4.3")
    learning_rate: float = _value(2e-5, "paper §4.3, the peak")
    schedule: str = _value("cosine", "paper §4.3; linear | cosine | constant")
    warmup_ratio: float = _value(0.1, "paper §4.3; share of the steps, 0..1")
    weight_decay: float = _value(0.0, "paper §4, no weight decay")
    optimizer: str = _value("adamw_torch", "paper §4, AdamW")
    global_batch_size: int = _value(512, "paper §4.3, rows per optimiser step")
    micro_batch_size: int = _value(16, "ours: rows per GPU and forward")
    max_length: int = _value(2_048, "paper §4.3, tokens")
    precision: str = _value("bf16", f"paper §4; bf16 ({MIXED}) | fp32")
    attention: str = _value("flash_attention_2", f"paper §4; {' | '.join(ATTENTIONS)}")
    zero: int = _value(3, "paper §4, DeepSpeed ZeRO-3; 0..3, 0 is none")
    gpus: int = _value(16, "paper §4, 16×A100; processes, on all nodes together")
    nodes: int = _value(1, "ours: machines")
    gpu_memory: float = _value(80.0, "paper §4, A100-80GB; GB per GPU, for the plan")
    activation_checkpointing: bool = _value(True, "ours")
    template: str = _value("zephyr", "ours: zephyr, or `model` for the model's own")
    on_overlong: str = _value("drop", "ours")
    eval_every: int | None = _value(None, "ours: steps between evaluations, beside each epoch's end")
    save_every: int = _value(100, "ours: steps between checkpoints")
    log_every: int = _value(1, "ours: steps")
    tensorboard: bool = _value(False, "ours")
    lora: bool = _value(False, "paper §4: full fine-tuning")
    lora_rank: int = _value(16, "ours")
    lora_alpha: int = _value(32, "ours")
    lora_dropout: float = _value(0.05, "ours")
    lora_targets: tuple[str, ...] = _value(
        ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"), "ours"
    )
    set: tuple[str, ...] = _value((), "ours: further options of the trainer, key=value")

    @property
    def packs(self) -> bool:
        """Return whether rows are packed; pairs never are."""
        return False

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        _one_of("schedule", self.schedule, ("linear", "cosine", "constant"))
        _one_of("precision", self.precision, ("bf16", "fp32"))
        _one_of("attention", self.attention, ATTENTIONS)
        _one_of("template", self.template, ("zephyr", "model"))
        sizes = ("epochs", "global_batch_size", "micro_batch_size", "gpus", "nodes", "save_every", "log_every")
        _at_least(1, self, *sizes, "eval_every", "lora_rank", "lora_alpha")
        _at_least(2, self, "max_length")
        _at_least(0, self, "learning_rate", "weight_decay", "gpu_memory", "lora_dropout")
        if self.lora and not self.lora_targets:
            raise OptionError(
                "lora_targets is empty: nothing would be trained", "name projections, such as q_proj,v_proj"
            )
        if "lm_head" in self.lora_targets:
            raise OptionError("lora_targets holds lm_head: TRL reads its weight directly, so it would not train")
        if self.save_every % self.log_every:
            raise OptionError(
                f"save_every {self.save_every} is no multiple of log_every {self.log_every}",
                "a run that continues from a checkpoint would log other means",
            )
        if self.precision == "fp32" and self.attention.startswith("flash"):
            raise OptionError(
                f"{self.attention} computes in bf16, and precision is fp32", "say `--attention sdpa`, or precision bf16"
            )
        if self.gpus % self.nodes:
            raise OptionError(f"{self.gpus} GPUs do not divide among {self.nodes} nodes", "each node has as many")
        if self.zero not in range(4):
            raise OptionError(f"zero is {self.zero}: it can be 0, 1, 2 or 3")
        if not 0 <= self.warmup_ratio <= 1:
            raise OptionError(f"warmup_ratio is {self.warmup_ratio}: it must lie in 0..1")


@dataclass(frozen=True)
class SFTOptions(TrainOptions):
    """What `zephyr train sft` does."""

    packing: str = _value("best-fit", "paper §4.3, packing; how is ours: best-fit | off")
    loss_on: str = _value("assistant", "paper §3, log π(y|x); assistant | all")
    on_overlong: str = _value("split", "ours: nothing is lost; split (over packed rows) | cut | drop | error")

    @property
    def packs(self) -> bool:
        """Return whether dialogues are packed."""
        return self.packing == "best-fit"

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        super().__post_init__()
        _one_of("on_overlong", self.on_overlong, ("split", "cut", "drop", "error"))
        if not self.packs and self.on_overlong == "split":
            raise OptionError(
                "packing is off, so overlong dialogues cannot be split", "on_overlong: cut, drop or error"
            )
        _one_of("packing", self.packing, ("best-fit", "off"))
        _one_of("loss_on", self.loss_on, ("assistant", "all"))


@dataclass(frozen=True)
class DPOOptions(TrainOptions):
    """What `zephyr train dpo` and `zephyr train reference` do."""

    epochs: int = _value(3, "paper §4.4")
    learning_rate: float = _value(5e-7, "paper §4.4, the peak")
    schedule: str = _value("linear", "paper §4.4; linear | cosine | constant")
    warmup_ratio: float = _value(0.1, "paper §4.4; share of the steps, 0..1")
    global_batch_size: int = _value(32, "paper §4.4, pairs per optimiser step")
    micro_batch_size: int = _value(2, "ours: pairs per GPU and forward")
    max_length: int = _value(1_024, "ours, as the public recipe of 2023: tokens of prompt and completion")
    max_prompt_length: int = _value(512, "ours, as the public recipe of 2023: what is left of a prompt that is cut")
    on_overlong: str = _value("cut-prompt", "ours, as the public recipe of 2023: cut-prompt | drop | error")
    beta: float = _value(0.1, "paper §4.4")
    padding_free: bool = _value(True, "ours: rows without padding, dealt to processes by length; else TRL's, in order")
    share_prompt: bool | None = _value(None, "ours: each prompt read once for both replies; none is where it is proven")
    lora_dropout: float = _value(0.0, "ours: dDPO runs without dropout, so that the first loss is ln 2")

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        super().__post_init__()
        if self.lora_dropout:
            raise OptionError(
                f"lora_dropout is {self.lora_dropout}: dDPO runs without dropout, and it would be ignored",
                "leave it out",
            )
        _one_of("on_overlong", self.on_overlong, ("cut-prompt", "drop", "error"))
        _at_least(1, self, "max_prompt_length")
        if self.max_prompt_length >= self.max_length:
            raise OptionError(
                f"max_prompt_length {self.max_prompt_length} leaves no room below max_length {self.max_length}",
                "a completion needs at least one token",
            )
        if self.share_prompt and not self.padding_free:
            raise OptionError(
                "share_prompt needs rows without padding, and padding_free is off", "leave one of them out"
            )
        if not self.beta > 0:
            raise OptionError(f"beta is {self.beta}: it must be above 0")


StepOptions = SFTOptions | DPOOptions
OF_STEP: dict[str, type[StepOptions]] = {"sft": SFTOptions, "dpo": DPOOptions}


def _one_of(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise OptionError(f"{name} is {value!r}; it can be {', '.join(choices)}")


def _at_least(least: int, options: object, *names: str) -> None:
    for name in names:
        value = getattr(options, name)
        if value is not None and value < least:
            raise OptionError(f"{name} is {value}: it must be at least {least}")
