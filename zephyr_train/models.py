"""The model that a step starts from: a folder, a run, one from the Hub, or the student built here."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zephyr_core import hub, kinds, manifest, paths
from zephyr_core.reading import json_file
from zephyr_core.recipe import Recipe
from zephyr_train.errors import ModelUnreachable
from zephyr_train.options import StudentOptions

FILES = (".json", ".safetensors", ".model", ".jinja")  # endings of the files that are fetched for a Hub model
CONFIG = "config.json"
STUDENT = {"model_type": "mistral"}  # the part of the student's config that matters when no model is at hand


@dataclass(frozen=True)
class Model:
    """A model by name; `folder` is None if only its name is known, as in a plan made offline."""

    name: str
    folder: Path | None
    commit: str | None = None


def sizes_of(student: StudentOptions) -> dict[str, Any]:
    """Return the sizes of the recipe's student, under the names a config uses."""
    return {
        "vocab_size": student.vocabulary,
        "hidden_size": student.hidden_size,
        "intermediate_size": student.intermediate_size,
        "num_hidden_layers": student.layers,
        "num_attention_heads": student.heads,
        "num_key_value_heads": student.kv_heads,
        "tie_word_embeddings": student.tied,
    }


def config_of(folder: Path) -> dict[str, Any]:
    """Return a model's config; empty if there is none that can be read."""
    return json_file(folder / CONFIG)


def local_model(name: str) -> Model | None:
    """Return the model of a local folder or finished run; None if there is no such folder.

    Raises:
        WrongFolder: it is a whole run, a dataset, or another zephyr folder.
        ModelUnreachable: the folder exists but holds no model.
    """
    folder = Path(name)
    if not folder.is_dir():
        return None
    if (folder / kinds.JOB).is_file() or (folder / "model" / CONFIG).is_file():
        if not manifest.is_whole(folder):
            raise ModelUnreachable(f"the run {folder} is not finished", "run its command again: it continues")
        folder = folder / "model"
    else:
        kinds.refuse(folder, kinds.MODEL)
    if (folder / "adapter_config.json").is_file() and not (folder / CONFIG).is_file():
        raise ModelUnreachable(
            f"{folder} has a LoRA adapter without its base",
            "give the merged model; zephyr's runs keep it in RUN/model",
        )
    if not (folder / CONFIG).is_file():
        raise ModelUnreachable(f"{folder} is not a model: it has no {CONFIG}", "give a model folder or a finished run")
    return Model(name, folder.resolve())


def step_before(recipe: Recipe, step: str, kind: str) -> Path:
    """Return the default output folder of an earlier step.

    Raises:
        ModelUnreachable: it is missing; the hint is the command that makes it.
    """
    place = paths.run_directory(recipe.name, step)
    if not manifest.is_whole(place):
        group = "train" if step == "sft" else "data"
        raise ModelUnreachable(
            f"{place} has no finished {kind}", f"make it with `zephyr {group} {step} --recipe {recipe.typed}`"
        )
    return place


def hub_model(name: str, revision: str) -> Model:
    """Return a model from the Hub, fetched at one commit; with HF_HUB_OFFLINE, from the Hub's cache.

    Raises:
        Unreachable: it cannot be fetched, or is not in the cache.
        NoSpace: it does not fit on the disk.
    """
    snapshot = hub.fetch(name, "model", revision, _parts, instead="give a local folder with --model")
    return Model(name, snapshot.files[CONFIG].parent, snapshot.commit)


def _parts(names: list[str]) -> list[str]:
    return [CONFIG, *(name for name in names if name.endswith(FILES) and name != CONFIG)]


def cached_model(name: str, revision: str) -> Model:
    """Return a Hub model from the local cache, without its folder if it is not there; no network is used."""
    config = hub.cached_file(name, "model", revision, CONFIG)
    return Model(name, None) if config is None else Model(name, config.parent, config.parent.name)
