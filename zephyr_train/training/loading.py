"""Load a model's weights, or refuse: transformers would draw a missing tensor at random and leave a strange one out."""

import os
from pathlib import Path
from typing import Any

from zephyr_core.errors import DataError
from zephyr_train.meta_model import UNFIT_WEIGHTS, misfits, unfit_weights
from zephyr_train.models import LOAD_WEIGHTS
from zephyr_train.safetensor_headers import shapes


def own_device() -> dict[str, str]:
    """Return the map of a model that is wholly on this process's GPU: it then takes no memory of the machine."""
    return {"": f"cuda:{os.environ.get('LOCAL_RANK', '0')}"}


def load(folder: str | Path, *, dtype: Any, attention: str | None = None, device_map: Any = None) -> Any:
    """Return the causal language model of a folder.

    Args:
        folder: of the model.
        dtype: of the weights, or "auto": as saved.
        attention: transformers' name of an implementation; None: the model's default.
        device_map: as transformers takes it.

    Raises:
        DataError: a tensor is missing, not of this model, or of another shape.
    """
    from transformers import AutoModelForCausalLM

    model, report = AutoModelForCausalLM.from_pretrained(
        folder,
        dtype=dtype,
        attn_implementation=attention,
        device_map=device_map,
        ignore_mismatched_sizes=True,  # so that the report names them
        output_loading_info=True,
        **LOAD_WEIGHTS,
    )
    lines = misfits(report, shapes(Path(folder)))
    if lines:
        raise DataError(unfit_weights(folder, lines), UNFIT_WEIGHTS)
    return model
