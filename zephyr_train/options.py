"""The options of the training steps; each default is the paper's, with its section, or "ours" where it is silent."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from zephyr_core.errors import OptionError
from zephyr_core.options import check, value

ATTENTIONS = ("eager", "sdpa", "flex_attention", "flash_attention_2", "flash_attention_3")
SEEDS = 2**32  # numpy's limit
MIXED = "bf16 with fp32 master weights"
SCHEDULES = ("linear", "cosine", "constant")
PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
MISTRAL = "config of Mistral-7B-v0.1"
NEW = "new"  # the source of a student that is built here
PUBLIC = "ours, as the public recipe of 2023"
LORA_RATE = "default with lora, as the public LoRA recipes"


@dataclass(frozen=True)
class StudentOptions:
    """The model that dSFT begins with: one from the Hub or a folder, or `new`, built here with random weights.

    The sizes describe it when its own config is not at hand; their defaults are Mistral-7B-v0.1's.
    """

    source: str = value("mistralai/Mistral-7B-v0.1", "paper §4", "A Hub id, a folder, or `new`: built here.")
    revision: str = value("main", "ours: resolved once, its commit recorded", "Branch, tag or commit on the Hub.")
    vocabulary: int = value(32_000, MISTRAL, "Tokens of the vocabulary.", least=1)
    hidden_size: int = value(4_096, MISTRAL, "Width of the residual stream; a multiple of heads.", least=1)
    intermediate_size: int = value(14_336, MISTRAL, "Width inside the feed-forward layers.", least=1)
    layers: int = value(32, MISTRAL, "Number of layers.", least=1)
    heads: int = value(32, MISTRAL, "Attention heads; a multiple of kv_heads.", least=1)
    kv_heads: int = value(8, MISTRAL, "Heads of keys and values.", least=1)
    positions: int = value(32_768, MISTRAL, "Maximum context length in tokens.", least=1)
    sliding_window: int | None = value(4_096, MISTRAL, "Attention window in tokens; none: unlimited.")
    tied: bool = value(False, MISTRAL, "Share the weights of input and output embeddings.")
    seed: int = value(42, "ours", "Seed for the random weights of a `new` model.", least=0)

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        check(self)
        if self.hidden_size % self.heads or self.heads % self.kv_heads:
            raise OptionError(
                f"hidden_size {self.hidden_size}, heads {self.heads}, kv_heads {self.kv_heads} do not divide evenly",
                "hidden_size must be a multiple of heads, heads one of kv_heads",
            )


@dataclass(frozen=True)
class TrainOptions:
    """What both training steps take. Batch sizes count rows (dSFT: packed rows; dDPO: pairs)."""

    model: str | None = value(
        None,
        "ours: the step before",
        "The starting model: a folder, a finished run or a Hub id.",
        has_flag=True,
    )
    data: tuple[str, ...] = value(
        (),
        "ours: the step before",
        "The rows: a dataset directory, a file or a Hub id; may be repeated. Of each all rows, a share, as A=0.7,"
        " or a number of rows, as A=2000.",
        has_flag=True,
        is_repeated=True,
    )
    revision: str = value(
        "main", "ours: resolved once, its commit recorded", "Branch, tag or commit of a dataset on the Hub."
    )
    seed: int = value(42, "ours", "Seed for the order of rows and for LoRA's weights.", least=0, has_flag=True)
    epochs: int = value(1, "paper §4.3", "Passes over the rows.", least=1, has_flag=True)
    learning_rate: float = value(2e-5, "paper §4.3", "Peak learning rate; with lora 2e-4.", least=0)
    schedule: str = value("cosine", "paper §4.3", "Learning-rate schedule after the warm-up.", choices=SCHEDULES)
    warmup_ratio: float = value(0.1, "paper §4.3", "Share of the steps spent on warm-up, 0..1.")
    weight_decay: float = value(0.0, "paper §4, no weight decay", "AdamW's weight decay.", least=0)
    optimizer: str = value("adamw_torch", "paper §4, AdamW", "The optimiser, by transformers' name.")
    global_batch_size: int = value(512, "paper §4.3", "Rows per optimiser step, across all GPUs.", least=1)
    micro_batch_size: int = value(16, "ours", "Rows per GPU and forward pass.", least=1)
    max_length: int = value(2_048, "paper §4.3", "Maximum tokens per row.", least=2)
    precision: str = value("bf16", f"paper §4; {MIXED}", "Numeric precision of training.", choices=("bf16", "fp32"))
    attention: str = value(
        "flash_attention_2", "paper §4", "Attention implementation.", choices=ATTENTIONS, has_flag=True
    )
    zero: int = value(3, "paper §4, DeepSpeed ZeRO-3", "DeepSpeed ZeRO stage, 0 (none) to 3.", has_flag=True)
    gpus: int = value(
        16, "paper §4, 16×A100", "GPUs across all nodes; without a GPU, CPU processes.", least=1, has_flag=True
    )
    nodes: int = value(1, "ours", "Machines; run the same command on each.", least=1, has_flag=True)
    gpu_memory: float = value(80.0, "paper §4, A100-80GB", "GB per GPU, for the plan.", least=0)
    activation_checkpointing: bool = value(True, "ours", "Recompute activations in the backward pass.")
    template: str = value("zephyr", "ours", "Chat template; `model` is the model's own.", choices=("zephyr", "model"))
    on_overlong: str = value("drop", "ours", "What to do with rows longer than max_length.", has_flag=True)
    on_faulty: str = value(
        "error",
        "ours",
        "What to do with rows whose tokens cannot be trained on; drop: leave out up to 5 % of them, each on record.",
        choices=("error", "drop"),
        has_flag=True,
    )
    eval_every: int | None = value(None, "ours", "Steps between evaluations, besides each epoch's end.", least=1)
    save_every: int = value(100, "ours", "Steps between checkpoints; a multiple of log_every.", least=1)
    log_every: int = value(1, "ours", "Steps between rows of metrics.jsonl.", least=1)
    tensorboard: bool = value(False, "ours", "Also log to TensorBoard.")
    lora: bool = value(
        False, "paper §4: full fine-tuning", "Train a LoRA adapter; it is merged at the end.", has_flag=True
    )
    lora_rank: int = value(16, "ours", "Rank of the adapter.", least=1)
    lora_alpha: int = value(32, "ours", "Scale of the adapter: its output is multiplied by alpha / rank.", least=1)
    lora_dropout: float = value(0.05, "ours", "Dropout before the adapter.", least=0)
    lora_targets: tuple[str, ...] = value(PROJECTIONS, "ours", "Projections that get an adapter.")
    set: tuple[str, ...] = value(
        (),
        "ours",
        "KEY=VALUE for the trainer, under the trainer's names; may be repeated.",
        has_flag=True,
        is_repeated=True,
    )

    lora_rate: ClassVar[float] = 2e-4

    @classmethod
    def implied(cls, given: Mapping[str, Any]) -> dict[str, tuple[float, str]]:
        """Return the learning rate of adapters with its origin, if there are adapters."""
        return {"learning_rate": (cls.lora_rate, LORA_RATE)} if given.get("lora") else {}

    @property
    def packs(self) -> bool:
        """Return whether rows are packed; pairs never are."""
        return False

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        check(self)
        if self.seed >= SEEDS:
            raise OptionError(f"seed is {self.seed}: it must be below 2**32", "give a smaller one")
        if self.lora and not self.lora_targets:
            raise OptionError(
                "lora_targets is empty: nothing would be trained", "give projections, such as q_proj,v_proj"
            )
        if "lm_head" in self.lora_targets:
            raise OptionError("lora_targets includes lm_head: TRL reads its weight directly, so it would not train")
        if self.save_every % self.log_every:
            raise OptionError(
                f"save_every {self.save_every} is not a multiple of log_every {self.log_every}",
                "a run that continues from a checkpoint would log different means",
            )
        if self.precision == "fp32" and self.attention.startswith("flash"):
            raise OptionError(
                f"{self.attention} computes in bf16, and precision is fp32", "use `--attention sdpa`, or precision bf16"
            )
        if self.gpus % self.nodes:
            raise OptionError(f"{self.gpus} GPUs do not divide among {self.nodes} nodes", "each node has as many")
        if self.zero not in range(4):
            raise OptionError(f"zero is {self.zero}: it can be 0, 1, 2 or 3")
        if self.learning_rate > 1:
            raise OptionError(f"learning_rate is {self.learning_rate:g}: it must be at most 1", "2e-5 is 0.00002")
        if self.lora_dropout >= 1:
            raise OptionError(f"lora_dropout is {self.lora_dropout:g}: it must be below 1, or nothing is left")
        if not 0 <= self.warmup_ratio <= 1:
            raise OptionError(f"warmup_ratio is {self.warmup_ratio}: it must be in 0..1")


@dataclass(frozen=True)
class SFTOptions(TrainOptions):
    """What `zephyr train sft` does."""

    packing: str = value(
        "best-fit", "paper §4.3, packing; how is ours", "How dialogues share rows.", choices=("best-fit", "off")
    )
    loss_on: str = value(
        "assistant", "paper §3, log π(y|x)", "Which tokens count towards the loss.", choices=("assistant", "all")
    )
    on_overlong: str = value(
        "split",
        "ours: nothing is lost",
        "What to do with dialogues longer than max_length; split: across packed rows.",
        choices=("split", "cut", "drop", "error"),
        has_flag=True,
    )

    @property
    def packs(self) -> bool:
        """Return whether dialogues are packed."""
        return self.packing == "best-fit"

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        super().__post_init__()
        if not self.packs and self.on_overlong == "split":
            raise OptionError(
                "packing is off, so overlong dialogues cannot be split", "on_overlong: cut, drop or error"
            )


@dataclass(frozen=True)
class DPOOptions(TrainOptions):
    """What `zephyr train dpo` and `zephyr train reference` do."""

    lora_rate: ClassVar[float] = 5e-6

    epochs: int = value(3, "paper §4.4", "Passes over the pairs.", least=1, has_flag=True)
    learning_rate: float = value(5e-7, "paper §4.4", "Peak learning rate; with lora 5e-6.", least=0)
    schedule: str = value("linear", "paper §4.4", "Learning-rate schedule after the warm-up.", choices=SCHEDULES)
    warmup_ratio: float = value(0.1, "paper §4.4", "Share of the steps spent on warm-up, 0..1.")
    global_batch_size: int = value(32, "paper §4.4", "Pairs per optimiser step, across all GPUs.", least=1)
    micro_batch_size: int = value(2, "ours", "Pairs per GPU and forward pass.", least=1)
    max_length: int = value(1_024, PUBLIC, "Maximum tokens of a prompt with its longer completion.", least=2)
    max_prompt_length: int = value(512, PUBLIC, "Tokens kept of a prompt that is cut.", least=1)
    on_overlong: str = value(
        "cut-prompt",
        PUBLIC,
        "What to do with pairs longer than max_length.",
        choices=("cut-prompt", "drop", "error"),
        has_flag=True,
    )
    beta: float = value(0.1, "paper §4.4", "How strongly the policy is held to the reference, Eq. (1).", has_flag=True)
    padding_free: bool = value(
        True, "ours", "Batch rows without padding, dealt to processes by length; off: TRL's padded rows, in order."
    )
    share_prompt: bool | None = value(
        None, "ours", "Run each prompt once for both replies; default: where tests prove that equal.", has_flag=True
    )
    lora_dropout: float = value(
        0.0,
        "ours: dDPO runs without dropout, so that the first loss is ln 2",
        "Dropout before the adapter.",
        least=0,
    )

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        super().__post_init__()
        if self.lora_dropout:
            raise OptionError(
                f"lora_dropout is {self.lora_dropout}: dDPO runs without dropout, and it would be ignored",
                "leave it out",
            )
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
