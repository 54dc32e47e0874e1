"""A model's folder as transformers sees it, on the meta device: tensors have shapes and no numbers; no weight is read.

What holds for such a model holds in the run: the same library builds, fills, calls and saves the real one.
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from zephyr_core.errors import DataError, first_line
from zephyr_train.models import LOAD
from zephyr_train.safetensor_headers import shapes

MOST = 10  # tensors that are listed
UNFIT_WEIGHTS = (
    "give the weights that belong to this config.json, under the names that transformers gives them; a training or"
    " conversion tool may have left a tensor out or put something before the names"
)
ONE_WAY = (
    "give a model that predicts each token from those before it; one like BERT can read one way with"
    " `is_decoder: true` in its config.json"
)
# Masks that transformers once saved with the weights, by their names below the layer.
_MASK = re.compile(r"\.(attn|attention)\.(bias|masked_bias|causal_mask)$")
_TOKENS = 8  # of the row that a model is called with


@dataclass(frozen=True)
class MetaModel:
    """A model without numbers, the number of tensors in its folder, and a line for each that does not fit it.

    `unsaved`: a line for each that transformers would write and that is not there. Of somebody else's weights some may
    be missing under that name: a base model's have no prefix.
    """

    model: Any
    tensors: int
    misfits: list[str]
    unsaved: list[str]


def meta_model(folder: Path, attention: str = "eager") -> MetaModel:
    """Return the model that transformers would load from a folder.

    Args:
        folder: of the model.
        attention: an implementation that needs no package.

    Raises:
        ModelUnreachable: a weight file is missing.
        DataError: a weight file is damaged, or transformers has no causal language model for the config.
        ImportError: the model needs a package that is not installed.
    """
    import torch

    saved = shapes(folder)
    with _quiet():
        empty = empty_model(folder, attention)
        content = {name: torch.empty(shape, device="meta") for name, shape in saved.items()}
        try:
            model, report = type(empty).from_pretrained(
                None,
                config=empty.config,
                state_dict=content,
                device_map={"": "meta"},
                dtype=torch.bfloat16,
                attn_implementation=attention,
                ignore_mismatched_sizes=True,
                output_loading_info=True,
                **LOAD,
            )
        except RuntimeError:  # several tensors become one of the model's, and some are not there; it does not say which
            return MetaModel(empty, len(saved), _differences(_as_saved(empty), saved), [])
        unsaved = [f"{name} is missing" for name in _as_saved(model) if name not in saved]
    return MetaModel(model, len(saved), misfits(report, saved), unsaved)


def empty_model(folder: Path, attention: str = "eager") -> Any:
    """Return the model of a config, whatever weights there are.

    Raises:
        DataError: transformers has no causal language model for it.
        ImportError: the model needs a package that is not installed.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        config = AutoConfig.from_pretrained(folder, **LOAD)
        with torch.device("meta"):
            return AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16, attn_implementation=attention, **LOAD)
    except (ImportError, MemoryError):
        raise
    except Exception as fault:  # whatever a foreign config makes transformers raise
        message = f"transformers cannot make a causal language model of {folder / 'config.json'}: {first_line(fault)}"
        raise DataError(message, "use a model that it has, without code of its own") from None


def _as_saved(model: Any) -> dict[str, list[int]]:
    """Return name → shape of each tensor that transformers would write."""
    from transformers.core_model_loading import revert_weight_conversion
    from transformers.modeling_utils import remove_tied_weights_from_state_dict

    content = dict(model.state_dict())
    for name in model._keys_to_ignore_on_save or ():
        content.pop(name, None)
    written = revert_weight_conversion(model, remove_tied_weights_from_state_dict(content, model))
    return {name: list(tensor.shape) for name, tensor in written.items()}


def _differences(expected: Mapping[str, Sequence[int]], saved: Mapping[str, Sequence[int]]) -> list[str]:
    lines = [f"{name} is missing" for name in expected if name not in saved]
    lines += _strange((name for name in saved if name not in expected), saved)
    both = [name for name in expected if name in saved and list(saved[name]) != list(expected[name])]
    lines += [f"{name} has shape {list(saved[name])}, not {list(expected[name])}" for name in both]
    return lines or ["transformers cannot make the model's tensors of those in the files"]


def misfits(report: Mapping[str, Any], saved: Mapping[str, Sequence[int]]) -> list[str]:
    """Return a line for each tensor that transformers' loading report names.

    Args:
        report: of a load.
        saved: name → shape of each tensor in the files.
    """
    return [
        *(f"{name} is missing" for name in sorted(report["missing_keys"])),
        *_strange(sorted(report["unexpected_keys"]), saved),
        *(
            f"{name} has shape {list(there)}, not {list(expected)}"
            for name, there, expected in sorted(report["mismatched_keys"])
        ),
        *map(str, report["error_msgs"]),
    ]


def _strange(names: Iterable[str], saved: Mapping[str, Sequence[int]]) -> list[str]:
    """Return a line for each tensor that is not of a model, unless it is a mask of its attention and no weight."""
    return [f"{name} is not of this model" for name in names if not _is_mask(name, saved.get(name, (0,)))]


def _is_mask(name: str, shape: Sequence[int]) -> bool:
    is_square = len(shape) == 4 and math.prod(shape[:2]) == 1 and shape[2] == shape[3]
    return bool(_MASK.search(name)) and (is_square or math.prod(shape) == 1)


def unfit_weights(folder: str | Path, lines: list[str]) -> str:
    """Return what is wrong with the weights of a folder, in a message."""
    more = [f"and {len(lines) - MOST} more"] if len(lines) > MOST else []
    return "\n  ".join([f"the weights in {folder} are not whole ({len(lines)} faults):", *lines[:MOST], *more])


def call_fault(model: Any) -> str | None:
    """Return why a model cannot be called with a row of tokens, or None; what only numbers would show is not seen.

    Raises:
        ImportError: it needs a package that is not installed.
    """
    import torch

    row = {"input_ids": torch.zeros((1, _TOKENS), dtype=torch.long, device="meta"), "use_cache": False}
    mask = torch.zeros((1, 1, _TOKENS, _TOKENS), dtype=torch.bfloat16, device="meta")
    if hasattr(model.config, "output_router_logits"):
        model.config.output_router_logits = False  # the loss of the routers takes another kind of mask
    with _quiet(), torch.no_grad():
        for inputs in (row, {**row, "attention_mask": mask}):  # without a mask, many models look at numbers to make one
            try:
                model(**inputs)
            except ImportError:
                raise
            except NotImplementedError:
                continue
            except Exception as fault:  # whatever a config that contradicts itself leads to
                if "meta tensor" in str(fault):
                    continue
                return first_line(fault)
            return None
    return None


def reads_ahead(model: Any) -> bool:
    """Return whether transformers says that a token sees those behind it.

    Its attention says so, or the type is one that it trains on masked tokens too; and the config does not make it read
    one way.
    """
    from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

    config = model.config
    reads_one_way = getattr(config, "is_decoder", getattr(config, "causal", None))  # XLM has the second
    layers = {module.is_causal for module in model.modules() if hasattr(module, "is_causal")}
    return reads_one_way is False and (layers == {False} or config.model_type in MODEL_FOR_MASKED_LM_MAPPING_NAMES)


def save_fault(model: Any, folder: Path) -> str | None:
    """Return why the configs of a model could not be saved after training, or None."""
    from transformers import GenerationConfig

    with _quiet(), TemporaryDirectory(prefix="zephyr-") as place:
        try:
            model.config.save_pretrained(place)
            if (folder / "generation_config.json").is_file():
                GenerationConfig.from_pretrained(folder, **LOAD).validate(strict=True)
        except Exception as fault:
            return " ".join(str(fault).split())
    return None


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers' reports and progress bars off the terminal."""
    from transformers.utils import logging

    verbosity, has_bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if has_bars:
            logging.enable_progress_bar()
