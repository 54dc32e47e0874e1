"""Which model a step begins with: a folder, a run, one from the Hub, or the student built here."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zephyr_core import kinds, manifest, paths
from zephyr_core.reading import json_file
from zephyr_core.recipe import Recipe
from zephyr_train.errors import ModelUnreachable

_FILES = (".json", ".jsonl", ".ndjson", ".parquet", ".gz", ".safetensors")  # no Hub id ends so, though one might
STUDENT = {"model_type": "mistral"}  # config of the recipe's student, as far as it matters where no model is at hand
_HUB_ID = re.compile(r"[\w-][\w.-]*/[\w.-]+")


@dataclass(frozen=True)
class Model:
    """A model by name; `folder` is None where only its name is known, as in a plan without a network."""

    name: str
    folder: Path | None
    commit: str | None = None


def config_of(folder: Path) -> dict[str, Any]:
    """Return a model's config; empty without one that can be read."""
    return json_file(folder / "config.json")


def is_hub_id(text: str) -> bool:
    """Return whether the text can be the id of a model or dataset on the Hub: owner/name."""
    return _HUB_ID.fullmatch(text) is not None and not text.endswith(_FILES)


def local_model(name: str) -> Model | None:
    """Return the model of a local folder or finished run; None when there is no such folder.

    Raises:
        WrongFolder: it is a whole run, a dataset, or another folder of zephyr.
        ModelUnreachable: the folder is there and holds no model.
    """
    folder = Path(name)
    if not folder.is_dir():
        return None
    if (folder / kinds.JOB).is_file() or (folder / "model" / "config.json").is_file():
        if not manifest.is_whole(folder):
            raise ModelUnreachable(f"the run {folder} is not finished", "run its command again: it continues")
        folder = folder / "model"
    else:
        kinds.refuse(folder, kinds.MODEL)
    if (folder / "adapter_config.json").is_file() and not (folder / "config.json").is_file():
        raise ModelUnreachable(
            f"{folder} holds a LoRA adapter without its base",
            "give the merged model; zephyr's runs keep it in RUN/model",
        )
    if not (folder / "config.json").is_file():
        raise ModelUnreachable(
            f"{folder} holds no model: it has no config.json", "give a model folder or a finished run"
        )
    return Model(name, folder.resolve())


def step_before(recipe: Recipe, step: str, kind: str) -> Path:
    """Return the default place of what an earlier step made.

    Raises:
        ModelUnreachable: it is not there, with the command that makes it.
    """
    place = paths.run_directory(recipe.name, step)
    if not manifest.is_whole(place):
        group = "train" if step == "sft" else "data"
        raise ModelUnreachable(
            f"{place} holds no finished {kind}", f"make it with `zephyr {group} {step} --recipe {recipe.typed}`"
        )
    return place


def hub_model(name: str, revision: str) -> Model:
    """Return a model from the Hub, fetched at one commit; with HF_HUB_OFFLINE from the Hub's cache.

    Raises:
        ModelUnreachable: it cannot be fetched, or the cache does not hold it.
    """
    from huggingface_hub import HfApi, constants, snapshot_download

    if constants.is_offline_mode():
        cached = cached_model(name, revision)
        if cached.folder is None:
            raise ModelUnreachable(
                f"{name} is no local folder; the Hub is switched off (HF_HUB_OFFLINE), "
                f"and its cache does not hold revision {revision}",
                "fetch it once with a network, or give a local folder with --model",
            )
        return cached
    try:
        commit = HfApi().model_info(name, revision=revision).sha
        patterns = ["*.json", "*.safetensors", "*.model", "*.jinja"]
        folder = snapshot_download(name, revision=commit, allow_patterns=patterns)
    except Exception as fault:  # the client raises its own, its HTTP library's and the socket's errors
        raise ModelUnreachable(
            f"{name} cannot be fetched from the Hub: {type(fault).__name__}", "give a local folder with --model"
        ) from fault
    return Model(name, Path(folder), commit)


def cached_model(name: str, revision: str) -> Model:
    """Return a Hub model as far as it lies in the local cache; no network is used."""
    from huggingface_hub import snapshot_download

    try:
        folder = Path(snapshot_download(name, revision=revision, local_files_only=True))
    except Exception:  # nothing of it is here
        return Model(name, None)
    return Model(name, folder, folder.name) if (folder / "config.json").is_file() else Model(name, None)
