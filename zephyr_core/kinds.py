"""What a folder is, by the files that zephyr leaves in it; if another kind is needed, what was probably meant."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from zephyr_core import manifest
from zephyr_core.errors import WrongFolder
from zephyr_core.reading import json_file
from zephyr_core.records import DatasetManifest

JOB = "job.json"  # of a training run: the job as every process reads it, written first
RECORD = "run.json"  # of a whole run: what `zephyr run` did for each step; older training runs gave their job this name
ABLATIONS = "ablations.json"
OTHER, ABSENT = "other", "absent"
UNFINISHED, OLD = "unfinished-run", "old-run"

# Kind → what it is, and what to do with it.
WORDS = {
    "dialogues": ("a dataset of dialogues", "`zephyr train sft --data {folder}` trains on it"),
    "pairs": ("a dataset of preference pairs", "`zephyr train dpo --data {folder}` trains on it"),
    "sft-run": ("a dSFT run", "`zephyr train dpo --model {folder}` trains its model further"),
    "dpo-run": ("a dDPO run", "`zephyr train measure {folder} --pairs {folder}` measures its model"),
    UNFINISHED: ("a training run that is not finished", "run its command again: it continues"),
    OLD: ("a training run begun by an older zephyr", "train it again with --fresh, or give another --out"),
    "model": ("a model", "`zephyr train sft --model {folder}` trains it further"),
    "student": ("a new student, a model with random weights", "`zephyr train sft --model {folder}` trains it"),
    "whole-run": ("a whole run of `zephyr run`", "`zephyr reproduce {folder}` runs it again and compares"),
    "tokens": (
        "a set of token rows, which training keeps",
        "`zephyr train` finds them by itself: give the dataset instead",
    ),
    "reference": ("a set of reference log-probs, which training keeps", "`zephyr train dpo` finds them by itself"),
    "ablations": ("the folder of `zephyr ablate`", "its page is {folder}/ablations.html"),
    OTHER: ("a folder that zephyr does not know", ""),
    ABSENT: ("absent", ""),
}


@dataclass(frozen=True)
class Requirement:
    """What a command takes: a phrase, and the kinds of folders that fit."""

    phrase: str
    kinds: tuple[str, ...]


DATASET = Requirement("a dataset", ("dialogues", "pairs"))
MODEL = Requirement("a model", ("sft-run", "dpo-run", "model", "student"))
DPO_RUN = Requirement("a dDPO run", ("dpo-run",))
WHOLE_RUN = Requirement("a whole run of `zephyr run`", ("whole-run",))
RAW_DIALOGUES = Requirement("raw dialogues", ())
RATED_ROWS = Requirement("a set of rated rows", ("pairs",))  # a dataset of pairs keeps the rows it was made from


def kind_of(folder: Path) -> str:
    """Return the kind of a folder, a key of WORDS."""
    if not folder.is_dir():
        return OTHER if folder.exists() else ABSENT
    content, record = json_file(folder / manifest.NAME), json_file(folder / RECORD)
    kind = str(content.get("kind"))
    if kind == "model":
        return "dpo-run" if content.get("step") == "dpo" else "sft-run"
    signs = (
        (kind, kind in WORDS),
        (UNFINISHED, (folder / JOB).is_file()),
        (OLD, "model_digest" in record),
        ("whole-run", isinstance(record.get("steps"), dict)),
        ("ablations", (folder / ABLATIONS).is_file()),
        ("model", "model_type" in json_file(folder / "config.json")),
    )
    return next((name for name, is_there in signs if is_there), OTHER)


def describe(folder: Path) -> str:
    """Return what a folder is, as a phrase."""
    return WORDS[kind_of(folder)][0]


def refuse(folder: Path, requirement: Requirement) -> None:
    """Raise if zephyr recognises the folder and it is not what is wanted; an unknown one passes.

    Raises:
        WrongFolder: says what the folder is, and which path or command was probably meant.
    """
    kind = kind_of(folder)
    if kind in (*requirement.kinds, OTHER, ABSENT):
        return
    what, use = WORDS[kind]
    meant = next(filter(None, (_fitting(places, requirement) for places in _nearby(folder))), [])
    hint = f"{requirement.phrase} is {' or '.join(meant)}" if meant else use.format(folder=shlex.quote(str(folder)))
    raise WrongFolder(f"{folder} is {what}, not {requirement.phrase}", hint)


def refuse_several(folder: Path) -> None:
    """Raise if there are datasets of ours in a folder that is not one itself: read as one, they would be merged.

    Raises:
        WrongFolder: the hint has the command that trains on each.
    """
    if kind_of(folder) in DATASET.kinds:
        return
    datasets = [place for file in sorted(folder.rglob(manifest.NAME)) if kind_of(place := file.parent) in DATASET.kinds]
    if datasets:
        what = f"is {describe(folder)}, not a dataset" if kind_of(folder) != OTHER else "is not a dataset itself"
        uses = [WORDS[kind_of(place)][1].format(folder=shlex.quote(str(place))) for place in datasets]
        raise WrongFolder(f"{folder} {what}, but holds {', '.join(map(str, datasets))}", "; ".join(uses))


def read_dataset(folder: Path) -> DatasetManifest:
    """Return the manifest of a dataset.

    Raises:
        WrongFolder: the folder is of another kind.
        DataError: it does not hold a finished dataset, or its manifest is damaged.
    """
    refuse(folder, DATASET)
    return manifest.read_as(folder, DatasetManifest)


def _nearby(folder: Path) -> Iterator[list[Path]]:
    """Yield the groups of folders that may include the intended one, likeliest first."""
    yield sorted(folder.glob("*/"))
    yield sorted(folder.glob("*/*/"))
    yield [folder.parent]
    yield sorted(folder.parent.glob("*/")) if kind_of(folder.parent) == "whole-run" else []


def _fitting(places: list[Path], requirement: Requirement) -> list[str]:
    return [str(place) for place in places if kind_of(place) in requirement.kinds]
