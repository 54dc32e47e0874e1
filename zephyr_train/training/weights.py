"""Weight files on disk: their digests, and whether they are whole. Torch is imported only to compare shapes."""

from pathlib import Path

from zephyr_core import manifest
from zephyr_core.keys import json_key
from zephyr_train.errors import InvariantBroken, ModelUnreachable
from zephyr_train.safetensor_headers import shapes, weight_files

SAVE_AGAIN = "run the command again: it saves the model again"


def model_files(model: Path) -> list[Path]:
    """Return the weight files of a model's folder.

    Raises:
        ModelUnreachable: there are none, or one that the index names is missing.
    """
    files = weight_files(model)
    if not files:
        raise ModelUnreachable(f"{model} has no *.safetensors file", "give a model folder with --model")
    return files


def model_digest(model: Path) -> str:
    """Return the hex sha256 that identifies a model's weights, over the sha256 of each weight file and of its config.

    It covers files rather than tensors in memory, which ZeRO-3 leaves empty.
    """
    names = {path.name: manifest.file_digest(path) for path in model_files(model)}
    names["config.json"] = manifest.file_digest(model / "config.json")
    return json_key(names)


def require_whole(model: Path) -> int:
    """Return the number of tensors after comparing their names and shapes with the model's config.

    Raises:
        InvariantBroken: a file is not whole, or tensors are missing, empty, of the wrong shape, or not the model's.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    with torch.device("meta"):
        expected_model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(model))
    expected = {name: list(tensor.shape) for name, tensor in expected_model.state_dict().items()}
    tied = set(expected_model._tied_weights_keys or []) if expected_model.config.tie_word_embeddings else set()
    try:
        saved = shapes(model)
    except ModelUnreachable as fault:
        raise InvariantBroken(str(fault), SAVE_AGAIN) from None
    faults = [f"{name} is missing" for name in expected if name not in saved and name not in tied]
    faults += [f"{name} is not of this model" for name in saved if name not in expected]
    faults += [
        f"{name} has shape {saved[name]}, not {shape}"
        for name, shape in expected.items()
        if saved.get(name, shape) != shape
    ]
    if faults:
        listed = "\n  ".join(faults[:10])
        raise InvariantBroken(
            f"the weights in {model} are not whole ({len(faults)} faults):\n  {listed}",
            SAVE_AGAIN,
        )
    return len(saved)
