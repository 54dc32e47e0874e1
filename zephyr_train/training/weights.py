"""Weight files on disk: their digests, and whether they are whole. Torch is imported only to compare tensors.

The manifest of one of our runs or students says what its model's files must be: `damage_faults`, `model_digest`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any

from zephyr_core import kinds, manifest
from zephyr_core.errors import DataError
from zephyr_core.faults import Fault
from zephyr_core.folder import FileFault, file_faults
from zephyr_core.keys import json_key
from zephyr_core.reading import json_file, parsed
from zephyr_core.records import FileEntry
from zephyr_train.errors import InvariantBroken, ModelUnreachable
from zephyr_train.meta_model import meta_model, unfit_weights
from zephyr_train.models import BROKEN, CONFIG, config_faults, weight_faults
from zephyr_train.options import OF_STEP
from zephyr_train.safetensor_headers import INDEX, WEIGHTS, tensors, weight_files
from zephyr_train.training.loading import load

MOST = 5  # damaged files that are listed
SAVE_AGAIN = "run the command again: it saves the model again"


def model_files(model: Path) -> list[Path]:
    """Return the weight files of a model's folder.

    Raises:
        ModelUnreachable: there are none, or one that the index names is missing.
        DataError: the index is damaged.
    """
    files = weight_files(model)
    if not files:
        raise ModelUnreachable(f"{model} has no {WEIGHTS}", "give a model folder with --model")
    return files


def model_digest(model: Path) -> str:
    """Return the hex sha256 that identifies a model's weights, over the sha256 of each weight file and of its config.

    It covers files rather than tensors in memory, which ZeRO-3 leaves empty.

    Raises:
        ModelUnreachable: there are no weights.
        DataError: it is a model of ours, and a file is not the one that its manifest names.
    """
    digests = {path.name: manifest.file_digest(path) for path in (*model_files(model), model / CONFIG)}
    _require_recorded(model, digests)
    return json_key(digests)


def require_whole(model: Path) -> int:
    """Return the number of tensors in a saved model, after asking transformers what it would load and write.

    Raises:
        InvariantBroken: a file is not whole, or tensors are missing, of the wrong shape, or not the model's.
    """
    try:
        saved = meta_model(model)
    except (ModelUnreachable, DataError) as fault:
        raise InvariantBroken(str(fault), SAVE_AGAIN) from None
    if wrong := saved.misfits or saved.unsaved:
        raise InvariantBroken(unfit_weights(model, wrong), SAVE_AGAIN)
    return saved.tensors


def require_other(saved: Path, start: Path) -> None:
    """Refuse saved weights that are all equal to those that training began with.

    Raises:
        InvariantBroken: they are.
    """
    import torch

    after, before = _tensors(saved), _tensors(start)
    if not after.keys() <= before.keys():  # the start has names of its own, and transformers writes others
        after, before = _loaded(saved), _loaded(start)
    for name, read in after.items():
        tensor, first = read(), before[name]()
        if tensor.shape != first.shape or not torch.equal(tensor, first.to(tensor.dtype)):
            return
    raise InvariantBroken(
        f"every weight in {saved} equals that of {start}: nothing was learned",
        "raise the learning rate, or lower the global batch so that there are more steps",
    )


def _loaded(model: Path) -> dict[str, Callable[[], Any]]:
    """Return what `_tensors` does, under the names of the model in memory."""
    state = load(model, dtype="auto").state_dict()
    return {name: partial(state.__getitem__, name) for name in state}


def _tensors(model: Path) -> dict[str, Callable[[], Any]]:
    """Return name → a function that reads the tensor."""
    return {name: partial(_tensor, file, name) for file in weight_files(model) for name in tensors(file)}


def _tensor(file: Path, name: str) -> Any:
    from safetensors import safe_open

    with safe_open(file, "pt") as content:
        return content.get_tensor(name)


# ---- a model of ours, and its manifest ----------------------------------------------------------


def require_loadable(model: Path) -> None:
    """Refuse a model folder that is damaged, names code, or has no safetensors files.

    Raises:
        ModelUnreachable: a weight file is missing.
        DataError: the first of its faults.
    """
    for faults in (damage_faults(model), config_faults(model), weight_faults(model, needed=True)):
        for fault in faults:
            raise DataError(str(fault), fault.hint)
    weight_files(model)


def manifest_of(folder: Path) -> tuple[Path, str] | None:
    """Return the folder whose manifest names a model's files, and what their names begin with; None if it is foreign.

    A run's model is in RUN/model, and the manifest in RUN; a student has its own.
    """
    if folder.name == "model" and (folder.parent / kinds.JOB).is_file():
        return folder.parent, "model/"
    try:
        content = parsed(folder / manifest.NAME)
    except OSError:
        return None
    except ValueError:
        return folder, ""
    is_ours = isinstance(content, dict) and ("self_digest" in content or content.get("kind") == "student")
    return (folder, "") if is_ours else None


def damage_faults(folder: Path, *, dry: bool = True) -> Iterator[Fault]:
    """Yield the files of a model of ours that do not match its manifest.

    Args:
        folder: of the model.
        dry: trust a file that has the recorded size and time of change. If False, every sha256 is compared, except
            those of the weights, which `model_digest` compares, so that they are read once.
    """
    place = manifest_of(folder)
    if place is None:
        return
    where, prefix = place
    try:
        content = manifest.read(where)
    except DataError as fault:
        yield Fault(BROKEN, str(fault), _repair(where))
        return
    recorded: dict[str, FileEntry] = content["files"]
    if where == folder and content["kind"] == "model":  # a published run, of which only some files may be here
        recorded = {name: entry for name, entry in recorded.items() if (folder / name).is_file()}
    loaded = {prefix + name for name in (WEIGHTS, INDEX, CONFIG) if (folder / name).is_file()}
    names = sorted(loaded | {name for name in recorded if name.startswith(prefix)})
    heavy = [name for name in names if name.endswith(".safetensors") and not dry]
    rest = [name for name in names if name not in heavy]
    faults = chain(_sizes(where, recorded, heavy), file_faults(where, recorded, hashed=not dry, names=rest))
    for name, what in islice(faults, MOST):
        yield Fault(BROKEN, f"{where / name} {what}: {where / manifest.NAME} says otherwise", _repair(where))


def _sizes(where: Path, recorded: Mapping[str, FileEntry], names: Iterable[str]) -> Iterator[FileFault]:
    """Yield the files that are missing or have another size than recorded, without reading them."""
    for name in names:
        entry, file = recorded.get(name), where / name
        if entry is None:
            yield FileFault(name, "is not in the manifest")
        elif not file.is_file() or file.stat().st_size != entry["bytes"]:
            yield FileFault(name, f"is missing or does not have {entry['bytes']:,} bytes")


def _require_recorded(folder: Path, digests: Mapping[str, str]) -> None:
    """Compare the sha256 of files of a model with its manifest, if it is a model of ours.

    Raises:
        DataError: one differs, or the manifest is damaged; the hint says how to repair it.
    """
    place = manifest_of(folder)
    if place is None:
        return
    where, prefix = place
    recorded = manifest.read(where)["files"]
    for name, digest in digests.items():
        entry = recorded.get(prefix + name)
        if entry is None or entry["sha256"] != digest:
            what = "is not in the manifest" if entry is None else "has changed: another sha256"
            raise DataError(f"{folder / name} {what}", _repair(where))


def _repair(where: Path) -> str:
    """Return how a damaged run or student is made again."""
    step = json_file(where / kinds.JOB).get("step")
    command = f"zephyr train {step if step in OF_STEP else 'student'} --fresh"
    return (
        f"restore it from a copy, or make it again: `{command}`, with its other options; `zephyr run` with its recipe"
        " does that by itself"
    )
