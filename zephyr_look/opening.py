"""Open what a person names: a dataset directory, a file or folder of rows, or a dataset on the Hub."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from zephyr_core import hub, kinds, manifest, paths
from zephyr_core.errors import DataError, OptionError, UsageError
from zephyr_core.options import did_you_mean
from zephyr_data.engine.store import require_whole
from zephyr_look.file_rows import FileRows
from zephyr_look.row_form import ROW
from zephyr_train.reader import SPLITS
from zephyr_train.rows.row_files import SUFFIXES, missing_shards, splits_of

PACKED = ".jsonl.zst"  # read by cleaning only
INSTEAD = "give a local copy of the dataset"
EVERY = "all"


@dataclass(frozen=True)
class Dataset:
    """Rows that were opened and not yet read."""

    name: str  # as typed
    commit: str | None  # of a Hub dataset
    folder: Path | None  # of a dataset that zephyr made
    splits: tuple[str, ...]  # all that it has
    files: tuple[FileRows, ...]  # of the splits that are read

    @property
    def label(self) -> str:
        """Return the name, for people, with the commit of a Hub dataset."""
        return hub.with_commit(self.name, self.commit)

    @property
    def kind(self) -> str:
        """Return what the rows are, as the first file says: dialogues, pairs or rated."""
        return self.files[0].kind

    @property
    def read_splits(self) -> list[str]:
        """Return the names of the splits that are read, in their order."""
        return list(dict.fromkeys(file.split for file in self.files))

    def only(self, split: str) -> "Dataset":
        """Return the dataset with one of the splits that are read."""
        return replace(self, files=tuple(file for file in self.files if file.split == split))

    def without(self, start: str) -> "Dataset":
        """Return the dataset without the splits whose names begin so."""
        return replace(self, files=tuple(file for file in self.files if not file.split.startswith(start)))

    def frames(self, columns: Collection[str]) -> Iterator[pl.DataFrame]:
        """Yield some columns of row_form.ROW of all rows, a few thousand at a time; nothing is read ahead."""
        for file in self.files:
            yield from file.frames(columns)

    def rows_at(self, places: pl.DataFrame, columns: Collection[str] = tuple(ROW)) -> pl.DataFrame:
        """Return some columns of the rows at some places (PLACE), in the order of the rows."""
        parts = [pl.DataFrame(schema={name: ROW[name] for name in ROW if name in columns})]
        for file in self.files:
            rows = places.filter(split=file.split, file=file.name)["row"]
            if len(rows):
                parts += file.frames(columns, rows)
        return pl.concat(parts)


def open_dataset(source: str, splits: Sequence[str] = ()) -> Dataset:
    """Return the rows of a dataset; without `splits`, those of the splits that training reads, if it has them.

    Args:
        source: a dataset directory of ours, a file or folder of rows, or a Hub id: owner/name or owner/name@revision.
        splits: names of splits, or "all".

    Raises:
        WrongFolder: the folder is of another kind, or holds several datasets.
        OptionError: there is no split of that name.
        DataError: the dataset is damaged, lacks a shard, or holds no rows.
        UsageError: there is no such path.
        Unreachable: the Hub dataset cannot be fetched.
    """
    path = paths.expanded(source)
    if path.is_file():
        if not path.name.endswith((*SUFFIXES, PACKED)):
            raise UsageError(f"{source} is not a file of rows", f"rows are read from {', '.join((*SUFFIXES, PACKED))}")
        return _opened(source, {"train": [path.name]}, splits, {path.name: path})
    if path.is_dir():
        kinds.refuse_several(path)
        kinds.refuse(path, kinds.DATASET)
        return _ours(source, path, splits) if manifest.is_whole(path) else _folder(source, path, splits)
    repository, _, revision = source.partition("@")
    if hub.is_hub_id(repository):
        return _of_hub(source, repository, revision or "main", splits)
    raise UsageError(
        f"{source}: not a file or folder, and not the id of a Hub dataset",
        "give a dataset directory, a file of rows, or owner/name, owner/name@revision",
    )


def _ours(source: str, folder: Path, wanted: Sequence[str]) -> Dataset:
    names = [name for name in kinds.read_dataset(folder)["files"] if name.startswith("data/")]
    dataset = _opened(source, splits_of(names), wanted, {name: folder / name for name in names}, folder=folder)
    require_whole(folder, [f"data/{file.name}" for file in dataset.files])
    return dataset


def _folder(source: str, folder: Path, wanted: Sequence[str]) -> Dataset:
    files = {file.relative_to(folder).as_posix(): file for file in folder.rglob("*") if file.is_file()}
    return _opened(source, splits_of(files), wanted, files)


def _of_hub(source: str, repository: str, revision: str, wanted: Sequence[str]) -> Dataset:
    splits: dict[str, list[str]] = {}

    def choose(names: Iterable[str]) -> list[str]:
        splits.update(splits_of(names))
        return [name for split in _pick(source, splits, wanted) for name in splits[split]]

    fetched = hub.fetch(repository, "dataset", revision, choose, instead=INSTEAD)
    return _opened(source, splits, wanted, fetched.files, commit=fetched.commit)


def _opened(
    source: str,
    splits: Mapping[str, list[str]],
    wanted: Sequence[str],
    files: Mapping[str, Path],
    *,
    folder: Path | None = None,
    commit: str | None = None,
) -> Dataset:
    picked = _pick(source, splits, wanted)
    names = [name for split in picked for name in splits[split]]
    missing = missing_shards(names)
    if missing:
        raise DataError(f"{source} lacks {', '.join(missing)}", "fetch the set again; all shards of a split are needed")
    rows = [FileRows(split, files[name], name.removeprefix("data/")) for split in picked for name in splits[split]]
    return Dataset(source, commit, folder, tuple(splits), tuple(rows))


def _pick(source: str, splits: Mapping[str, list[str]], wanted: Sequence[str]) -> list[str]:
    """Return the splits to read, in their order."""
    if not splits:
        raise DataError(f"{source} has no file of rows", f"rows are read from {', '.join(SUFFIXES)}")
    if EVERY in wanted:
        return list(splits)
    unknown = next((name for name in wanted if name not in splits), None)
    if unknown is not None:
        raise OptionError(
            f"{source} has no split {unknown!r}; it has {', '.join(splits)}", did_you_mean(unknown, splits)
        )
    return list(dict.fromkeys(wanted)) or _usual(splits)


def _usual(splits: Mapping[str, list[str]]) -> list[str]:
    """Return the splits that training reads if they have the names of the published sets', else all."""
    for sides in (SPLITS["pairs"], SPLITS["dialogues"]):
        if sides["train"][0] in splits:
            return [name for names in sides.values() for name in names[:1] if name in splits]
    return list(splits)
