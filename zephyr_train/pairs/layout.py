"""How a run lays out its pairs, by what is safe for its attention and model and what was asked for."""

from collections.abc import Iterator, Mapping
from typing import Any

from zephyr_core.errors import OptionError
from zephyr_train.options import DPOOptions

SHARED = "shared"  # no padding, each prompt once (pieces.py)
SEPARATE = "separate"  # no padding, each row by itself
PADDED = "padded"  # TRL's rows, in order
ATTENTIONS = ("sdpa", "flash_attention_2", "flash_attention_3")  # those that support pieces (attention.py)
PROVEN = (("sdpa", "cpu"),)  # attention, device: where the tests compare SHARED's loss and gradients with TRL's
# Model types whose layers pass `pieces` on to attention and use only position numbers; each is tested.
MODELS = ("granite", "llama", "mistral", "olmo2", "phi3", "qwen2", "qwen3", "smollm3")
BY_BATCH = ("dynamic", "longrope")  # rotary positions whose frequencies depend on the longest row of a batch
WORDS = {
    SHARED: "pairs without padding, each prompt read once for both replies, dealt to processes by length",
    SEPARATE: "pairs without padding, each prompt read twice, dealt to processes by length",
    PADDED: "pairs padded to the longest of a micro-batch, each prompt read twice, dealt in order",
}
_SCHEMES = {  # model type → its scheme, where positions are not numbers that a piece could carry
    "bloom": "ALiBi",
    "falcon": "ALiBi in some sizes",
    "mpt": "ALiBi",
    "gpt2": "learned positions",
    "opt": "learned positions",
    "gpt_neo": "learned positions",
    "gpt_bigcode": "learned positions",
}


def choose(options: DPOOptions, config: Mapping[str, Any], *, cpu: bool) -> tuple[str, str | None]:
    """Return a run's layout for the model's config, and the reason if a faster one is ruled out.

    Raises:
        OptionError: shared prompts are asked for, but the attention or the model does not support them.
    """
    if not options.padding_free:
        return PADDED, None
    lacking = _lacking(options.attention, config)
    if lacking is not None:
        if options.share_prompt:
            raise OptionError(f"share_prompt is on, and {lacking}", "leave it out: rows are padded then")
        return PADDED, lacking
    if options.share_prompt is not None:
        return (SHARED if options.share_prompt else SEPARATE), None
    if (options.attention, "cpu" if cpu else "gpu") in PROVEN:
        return SHARED, None
    return SEPARATE, (
        f"shared prompts were never run with {options.attention} on a GPU; `--share-prompt` turns them on"
    )


def _lacking(attention: str, config: Mapping[str, Any]) -> str | None:
    if attention not in ATTENTIONS:
        return f"attention {attention} reads only whole rows; {', '.join(ATTENTIONS)} can do without padding"
    model_type = str(config.get("model_type", ""))
    if model_type not in MODELS:
        scheme = _SCHEMES.get(model_type, "a scheme of positions that zephyr has not been tested with")
        return f"a model of type {model_type!r} has {scheme}; tested are {', '.join(MODELS)}"
    by_batch = [scheme for scheme in _rope_types(config) if scheme in BY_BATCH]
    if by_batch:
        return f"the model's positions are {by_batch[0]!r}: they depend on the longest row of a batch"
    return None


def _rope_types(config: Mapping[str, Any]) -> Iterator[str]:
    """Yield the rotary position types that a config names, for the whole model or per layer type."""
    for name in ("rope_parameters", "rope_scaling"):
        rope = config.get(name)
        if isinstance(rope, Mapping):
            for part in (rope, *(inner for inner in rope.values() if isinstance(inner, Mapping))):
                yield from (str(part[key]) for key in ("rope_type", "type") if key in part)
