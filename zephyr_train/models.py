"""The model that a step starts from: a folder, a run, one from the Hub, or the student built here.

`config_faults` and `weight_faults` say why a folder is not loaded.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

from zephyr_core import hub, kinds, manifest, paths
from zephyr_core.errors import DataError, NoSpace, Unreachable
from zephyr_core.faults import Fault
from zephyr_core.reading import checked, json_file
from zephyr_core.recipe import Recipe
from zephyr_train.errors import ModelUnreachable
from zephyr_train.options import StudentOptions
from zephyr_train.safetensor_headers import AGAIN, INDEX, WEIGHTS, short, tensors, unread_weights, weight_files

# What every from_pretrained is called with: no code of a model folder runs, and nothing asks. A tokenizer gets no more,
# since it would save the others with its own settings. Of a model no pickle is opened, and nothing is fetched.
LOAD: Final[Mapping[str, bool]] = {"trust_remote_code": False}
LOAD_WEIGHTS: Final[Mapping[str, bool]] = {**LOAD, "local_files_only": True, "use_safetensors": True}

FILES = (".json", ".model", ".jinja")  # endings of the files that are fetched for a Hub model, besides weights
CONFIG = "config.json"
SIZES = ("num_hidden_layers", "hidden_size", "vocab_size")  # of every model whose size is worked out
BROKEN, FOREIGN_CODE, NO_SAFETENSORS = "broken-model", "foreign-code", "no-safetensors"  # faults
_CONFIGS = (CONFIG, "tokenizer_config.json", "generation_config.json")
_KERNELS = ("attn_implementation", "_attn_implementation", "experts_implementation")
_SHARD = re.compile(r"(?!consolidated)[^/]+-\d+-of-\d+\.safetensors")
_SAFE = re.compile(r".*\.safetensors").fullmatch
_MOST = 5  # damaged files that are listed
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
    folder = paths.expanded(name)
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
    """Return the files to fetch; of the weights those that are loaded, as far as their names say."""
    shards = [name for name in names if INDEX in names and _SHARD.fullmatch(name)]
    others = [name for name in names if name.endswith(FILES) and name != CONFIG]
    return [CONFIG, *others, *([WEIGHTS] if WEIGHTS in names else shards)]


def cached_model(name: str, revision: str) -> Model:
    """Return a Hub model from the local cache, without its folder unless all but the weights is there; no network."""
    snapshot = hub.cached(name, "model", revision, lambda names: [part for part in _parts(names) if not _SAFE(part)])
    return Model(name, None) if snapshot is None else Model(name, snapshot.files[CONFIG].parent, snapshot.commit)


def config_folder(name: str, revision: str, *, is_fetched: bool = False) -> Path | None:
    """Return the folder of a Hub model's config.json in the local cache, or None.

    `is_fetched`: whether that one file is fetched, if the Hub can be reached.
    """
    if is_fetched:
        with suppress(Unreachable, NoSpace):
            hub.fetch(name, "model", revision, lambda names: [CONFIG], instead="give a local folder with --model")
    file = hub.cached_file(name, "model", revision, CONFIG)
    return None if file is None else file.parent


# ---- why a folder is not loaded -----------------------------------------------------------------


def checked_config(folder: Path) -> dict[str, Any]:
    """Return a model's config, or the part of it that describes its text model.

    Raises:
        DataError: it cannot be read, is not an object, or a size in it is not a whole number.
    """
    file = folder / CONFIG
    content = checked(file, hint=AGAIN)
    inner = content.get("text_config") or content if isinstance(content, dict) else None
    if not isinstance(content, dict) or not isinstance(inner, dict):
        raise DataError(f"{file} does not hold the JSON object of a config", AGAIN)
    if not isinstance(inner.get("model_type", ""), str):
        raise DataError(f"{file}: model_type is {short(inner['model_type'])}, not a name", AGAIN)
    for name in SIZES:
        if inner.get(name) is not None:
            size_in(inner, name, file)
    return inner


def size_in(config: Mapping[str, Any], name: str, file: object) -> int:
    """Return a size from a config.

    Raises:
        DataError: there is none, or it is not a whole number above 0; the message names the file.
    """
    value = config.get(name)
    if value is None:
        raise DataError(f"{file} does not say {name}", "use a model whose config has it: the plan needs it")
    if type(value) is not int or value <= 0:
        raise DataError(f"{file}: {name} is {short(value)}, not a whole number above 0", AGAIN)
    return value


def config_faults(folder: Path) -> Iterator[Fault]:
    """Yield why the configs of a model folder cannot be used: damaged, or they name code or weights of others."""
    for name in _CONFIGS:
        file = folder / name
        if not file.is_file():
            continue
        try:
            content = checked(file, hint=AGAIN)
            if not isinstance(content, dict):
                raise DataError(f"{file} does not hold a JSON object", AGAIN)
            if name == CONFIG:
                checked_config(folder)
        except DataError as fault:
            yield Fault(BROKEN, str(fault), fault.hint or AGAIN)
        else:
            yield from _foreign(file, content)
    if (folder / "adapter_config.json").is_file():
        message = f"{folder / 'adapter_config.json'}: transformers would add its adapter to the weights"
        yield Fault(BROKEN, message, "merge the adapter into the weights, or remove its files if it is merged already")


def _foreign(file: Path, config: Mapping[str, Any]) -> Iterator[Fault]:
    """Yield the entries of a config that name code, or weights under another name."""
    kernels = {key: config[key] for key in _KERNELS if any("/" in text for text in _texts(config.get(key)))}
    for key, value in {"auto_map": config.get("auto_map"), **kernels}.items():
        if value:
            names = ", ".join(short(text) for text in islice(_texts(value), _MOST))
            yield Fault(
                FOREIGN_CODE,
                f"{file} names code in {key}: {names}; zephyr never runs code that comes with a model",
                f"remove {key} if transformers has this type of model itself; if not, the model cannot be trained here",
            )
    if file.name == CONFIG and config.get("transformers_weights"):
        message = f"{file} names its weights in transformers_weights: {short(config['transformers_weights'])}"
        yield Fault(NO_SAFETENSORS, message, f"name the file {WEIGHTS} and remove transformers_weights")


def _texts(value: object) -> Iterator[str]:
    """Yield the texts in a list or object, at most two levels deep."""
    inner = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else [value]
    for part in inner:
        for text in part if isinstance(part, list) else [part]:
            if isinstance(text, str):
                yield text


def weight_faults(folder: Path, *, needed: bool = False) -> Iterator[Fault]:
    """Yield why the weight files of a model folder cannot be used; a missing part of them is not looked for here.

    `needed`: whether a folder without any weights is a fault too.
    """
    try:
        files = weight_files(folder)
        for file in files:
            tensors(file)
    except ModelUnreachable:
        return
    except DataError as fault:
        yield Fault(BROKEN, str(fault), fault.hint or AGAIN)
        return
    others = [] if files else unread_weights(folder)
    if others or (needed and not files):
        more = f"; it has {', '.join(map(repr, others[:_MOST]))}, which are not loaded" if others else ""
        yield Fault(NO_SAFETENSORS, f"{folder} has neither {WEIGHTS} nor {INDEX}{more}", _way(folder, others))


def _way(folder: Path, others: list[str]) -> str:
    """Return how to get weights that can be loaded."""
    if any(name.endswith(".safetensors") for name in others):
        return f"name the file {WEIGHTS} if it holds this model's weights, in the names that transformers gives them"
    if others:
        return (
            "if you trust who made them, convert them once: `AutoModelForCausalLM.from_pretrained"
            f"({str(folder)!r}).save_pretrained(NEW)`, and copy the tokenizer's files to NEW"
        )
    return "give a folder that holds a model's weights with --model"
