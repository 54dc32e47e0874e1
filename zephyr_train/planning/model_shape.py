"""How large a model is: from its files' headers, its config, or the recipe's sizes; no weights are read."""

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from zephyr_core.errors import DataError
from zephyr_train import safetensor_headers
from zephyr_train.errors import ModelUnreachable
from zephyr_train.models import CONFIG, LOAD, SIZES, checked_config, config_folder, local_model, size_in, sizes_of
from zephyr_train.options import NEW, StudentOptions

KNOWN_TYPES = ("mistral", "llama")  # whose parameters the formula counts
_PROJECTION = re.compile(r".*\blayers\.0\..*?(\w+)\.weight")


@dataclass(frozen=True)
class Shape:
    """The sizes that memory, disk and time depend on."""

    parameters: int
    layers: int
    hidden_size: int
    vocabulary: int
    source: str  # where the sizes come from, for people
    projections: Mapping[str, tuple[int, int]] = field(default_factory=dict)  # a layer's linear maps: name → out, in

    def adapter_parameters(self, rank: int, targets: tuple[str, ...]) -> int:
        """Return the parameters of LoRA adapters of that rank on those projections of every layer."""
        sides = (sum(self.projections[name]) for name in targets if name in self.projections)
        return self.layers * rank * sum(sides)


def shape_of(model: str | Path | None, student: StudentOptions) -> Shape:
    """Return the shape of a model folder, run or Hub id; None means the student.

    A Hub id's config is looked up in the local cache. If the student's is not there, the recipe's sizes are used, if it
    states any: the defaults are another model's.

    Raises:
        ModelUnreachable: the sizes cannot be found here.
        DataError: config or weight files are damaged.
    """
    name = str(model) if model is not None else student.source
    if name == NEW:
        return _of_options(student)
    revision = student.revision if name == student.source else "main"
    local = local_model(name)
    folder = local.folder if local else config_folder(name, revision)
    if folder is not None:
        return _of_folder(folder)
    if name == student.source and states_sizes(student):
        return _of_options(student)
    raise ModelUnreachable(
        f"the sizes of {name} are not known here: it is neither a local folder nor in the Hub's cache",
        "give a local folder, or fetch it once with a network",
    )


def states_sizes(student: StudentOptions) -> bool:
    """Return whether the options say how large the student is: the defaults are the sizes of the default model."""
    default = StudentOptions()
    return student.source in (NEW, default.source) or sizes_of(student) != sizes_of(default)


def _of_options(student: StudentOptions) -> Shape:
    return _of_config(sizes_of(student), f"sizes of {student.source} as the recipe states them")


def _of_folder(folder: Path) -> Shape:
    config = checked_config(folder)
    tensors = safetensor_headers.shapes(folder)
    if not tensors and config.get("model_type") in KNOWN_TYPES:
        _check_sizes(config, folder / CONFIG)
        return _of_config(config, f"config of {folder}")
    if any(config.get(name) is None for name in SIZES):
        config = _renamed(folder) or config
    layers, hidden, vocabulary = (size_in(config, name, folder / CONFIG) for name in SIZES)
    if not tensors:
        return Shape(_counted(folder), layers, hidden, vocabulary, f"config of {folder}")
    projections = {
        match.group(1): (sides[0], sides[1])
        for name, sides in tensors.items()
        if len(sides) == 2 and (match := _PROJECTION.fullmatch(name))
    }
    return Shape(
        sum(math.prod(sides) for sides in tensors.values()),
        layers,
        hidden,
        vocabulary,
        f"weight files of {folder}",
        projections,
    )


def _renamed(folder: Path) -> dict[str, Any]:
    """Return the sizes of a config that has them under names of its own, such as n_layer; empty if they are unknown."""
    try:
        from transformers import AutoConfig

        config = AutoConfig.from_pretrained(folder, **LOAD).get_text_config()
    except Exception:  # whatever a foreign config makes transformers raise; what is missing is then told
        return {}
    return {name: getattr(config, name, None) for name in SIZES}


def _counted(folder: Path) -> int:
    """Return the parameters of a config's model.

    Raises:
        ModelUnreachable: they cannot be counted here.
    """
    from zephyr_train.meta_model import empty_model

    try:
        return sum(parameter.numel() for parameter in empty_model(folder).parameters())
    except (DataError, ImportError) as fault:
        message = f"{folder} has no safetensors files, and its parameters cannot be counted: {fault}"
        raise ModelUnreachable(message, "save its weights as safetensors") from None


def _check_sizes(config: Mapping[str, Any], file: Path) -> None:
    for name in (*SIZES, "intermediate_size", "num_attention_heads"):
        size_in(config, name, file)
    for name in ("head_dim", "num_key_value_heads"):
        if config.get(name) is not None:
            size_in(config, name, file)


def _of_config(config: Mapping[str, Any], source: str) -> Shape:
    """Return the shape of a Mistral or Llama without biases."""
    hidden, layers, heads = config["hidden_size"], config["num_hidden_layers"], config["num_attention_heads"]
    head_size = config.get("head_dim") or hidden // heads
    inner, keys = config["intermediate_size"], (config.get("num_key_value_heads") or heads) * head_size
    projections = {
        "q_proj": (heads * head_size, hidden),
        "k_proj": (keys, hidden),
        "v_proj": (keys, hidden),
        "o_proj": (hidden, heads * head_size),
        "gate_proj": (inner, hidden),
        "up_proj": (inner, hidden),
        "down_proj": (hidden, inner),
    }
    layer = sum(rows * columns for rows, columns in projections.values()) + 2 * hidden  # and two norms
    embeddings = config["vocab_size"] * hidden * (1 if config.get("tie_word_embeddings") else 2)
    parameters = embeddings + layers * layer + hidden
    return Shape(parameters, layers, hidden, config["vocab_size"], source, projections)


def record(shape: Shape) -> dict[str, object]:
    """Return the shape JSON-ready, without the projections."""
    return {key: value for key, value in asdict(shape).items() if key != "projections"}
