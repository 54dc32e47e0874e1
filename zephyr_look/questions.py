"""What rows are searched for: the prompts of a file, a folder of files, a dataset directory, or a Hub dataset."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from zephyr_core import hub, manifest, paths
from zephyr_core.errors import UsageError
from zephyr_data.stages.leakage import SUFFIXES, read_prompts
from zephyr_look.opening import EVERY, Dataset, open_dataset

INSTEAD = "give a local copy of the questions"
FORMS = f"give a file ({', '.join(SUFFIXES)}), a folder of such files, a dataset directory, or owner/name[@revision]"


@dataclass(frozen=True)
class Sought:
    """Questions of one source, each once, in order."""

    name: str
    questions: pl.Series


def sought(source: str) -> Sought:
    """Return the questions of a source: of a dataset of ours its prompts, of other files what `read_prompts` reads.

    Raises:
        UsageError: there is no such path, or no file of questions in the folder.
        SourceError: a file holds no questions.
        Unreachable: the Hub dataset cannot be fetched.
    """
    path = paths.expanded(source)
    if path.is_file():
        return _of_files(source, [path])
    if path.is_dir() and manifest.is_whole(path):
        return of_prompts(source, open_dataset(source, (EVERY,)))
    if path.is_dir():
        return _of_files(source, sorted(filter(_is_readable, path.rglob("*"))))
    repository, _, revision = source.partition("@")
    if not hub.is_hub_id(repository):
        raise UsageError(f"{source}: not a file or folder, and not the id of a Hub dataset", FORMS)
    fetched = hub.fetch(repository, "dataset", revision or "main", _readable, instead=INSTEAD)
    return _of_files(hub.with_commit(repository, fetched.commit), list(fetched.files.values()))


def of_prompts(name: str, dataset: Dataset) -> Sought:
    """Return the prompts of a dataset: the first user turn of a dialogue, the whole prompt of a pair."""
    prompts = [frame["prompt"] for frame in dataset.frames(("prompt",))]
    return _once(name, (text for part in prompts for text in part.drop_nulls()))


def _of_files(name: str, files: list[Path]) -> Sought:
    if not files:
        raise UsageError(f"{name} has no file of questions", FORMS)
    return _once(name, (text for file in files for text in read_prompts(file)))


def _once(name: str, texts: Iterable[str]) -> Sought:
    return Sought(name, pl.Series(list(dict.fromkeys(texts)), dtype=pl.String))


def _is_readable(path: Path) -> bool:
    return path.is_file() and path.suffix.lower() in SUFFIXES


def _readable(names: Iterable[str]) -> list[str]:
    return [name for name in names if Path(name).suffix.lower() in SUFFIXES and not name.startswith(".")]
