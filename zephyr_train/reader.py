"""Open rows to train on: our dataset directory, a published set (local or on the Hub), or a file of rows."""

import shlex
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zephyr_core import hub, keys, kinds, manifest, paths
from zephyr_core.folder import faults
from zephyr_train.errors import ModelUnreachable, RowsUnfit
from zephyr_train.rows import column_layouts
from zephyr_train.rows.row_files import SUFFIXES, chunks, missing_shards, row_faults, splits_of

SPLITS = {
    "dialogues": {"train": ("train_sft", "train"), "test": ("test_sft", "test", "validation", "eval")},
    "pairs": {"train": ("train_prefs", "train"), "test": ("test_prefs", "test", "validation", "eval")},
}
COMMANDS = {"dialogues": "zephyr data clean-ultrachat", "pairs": "zephyr data binarize"}
INSTEAD = "give a local copy of the dataset with --data"
READ_AS = 1  # version of the row normalisation; part of the digest, so a change rebuilds what is derived from rows
State = tuple[int, int, int]  # of a file: size, time of change, inode


@dataclass(frozen=True)
class DroppedRow:
    """A row that cannot be trained on, and where it is; rows of a file are numbered from 1."""

    split: str
    reason: str
    file: str
    row: int


@dataclass(frozen=True)
class Source:
    """Rows to train on, found but not yet read."""

    name: str  # as typed
    kind: str  # dialogues | pairs
    layout: str  # zephyr: our dataset directory | published: splits named like the published sets' | rows: others
    commit: str | None  # of a Hub dataset
    files: dict[str, tuple[Path, ...]]  # "train" and, where there is one, "test"
    digest: str  # hex sha256 that identifies the rows
    _states: dict[Path, State | None] = field(default_factory=dict, repr=False, compare=False)  # before the digest
    _dropped: dict[str, list[DroppedRow]] = field(default_factory=dict, repr=False, compare=False)
    _others: dict[str, Counter[str]] = field(default_factory=dict, repr=False, compare=False)
    _tables: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def datasets(self) -> tuple["Source", ...]:
        """Return the datasets that the rows are of: this one."""
        return (self,)

    @property
    def label(self) -> str:
        """Return the name, for people, with the commit of a Hub dataset."""
        return hub.with_commit(self.name, self.commit)

    @property
    def has_test(self) -> bool:
        """Return whether there is a test split."""
        return "test" in self.files

    @property
    def dropped_rows(self) -> list[DroppedRow]:
        """Return the rows left out of the tables read so far, ordered by split, file and row."""
        return [row for split in sorted(self._dropped, reverse=True) for row in self._dropped[split]]

    @property
    def dropped(self) -> dict[str, int]:
        """Return reason → number of rows left out of the tables read so far."""
        return dict(Counter(row.reason for row in self.dropped_rows))

    @property
    def other_fields(self) -> dict[str, int]:
        """Return field of messages that is not read → messages that have it, of the tables read so far."""
        return dict(sum(self._others.values(), Counter()))

    def table(self, split: str) -> Any:
        """Return, as a pyarrow Table, the rows of "train" or "test" that can be trained on; it is read once and kept.

        Columns out: dialogues: prompt_id, messages, silent (numbers of the messages without a loss); pairs: prompt_id,
        prompt, chosen, rejected (the completions only).
        Messages are list<struct<role, content>>.

        Raises:
            KeyError: there is no such split.
            RowsUnfit: the rows are not of this kind, a file is damaged or not the one that the digest names, or no row
                of "train" can be trained on.
        """
        if split not in self._tables:
            self._tables[split] = self._read(split)
        return self._tables[split]

    def tables(self, split: str) -> list[tuple["Source", Any]]:
        """Return each dataset with its rows in `table`, in the order of that."""
        return [(self, self.table(split))]

    def let_go(self) -> None:
        """Free the tables read so far; the record of dropped rows is kept."""
        self._tables.clear()

    def _read(self, split: str) -> Any:
        import pyarrow as pa

        tables, dropped, others = [column_layouts.empty(self.kind)], [], Counter[str]()
        for path in self.files[split]:
            for chunk, origin in chunks(path, column_layouts.COLUMNS[self.kind]):
                with row_faults(path, origin.rows[0] - 1):
                    part = column_layouts.normalise(self.kind, chunk, origin)
                tables.append(part.table)
                others += part.others
                out = sorted((row, reason) for reason, rows in part.dropped.items() for row in rows)
                dropped += [DroppedRow(split, reason, origin.file, origin.rows[row]) for row, reason in out]
            if path in self._states and _state(path) != self._states[path]:
                raise RowsUnfit(f"{path} has changed while it was read", "run the command again once it stays as it is")
        self._dropped[split], self._others[split] = dropped, others
        whole = pa.concat_tables(tables)
        if split == "train" and not whole.num_rows:
            reasons = Counter(row.reason for row in dropped)
            listed = ", ".join(f"{rows} {reason}" for reason, rows in reasons.items()) or "the split is empty"
            raise RowsUnfit(
                f"no row of {self.name} can be trained on: {listed}", f"make it again: `{COMMANDS[self.kind]}`"
            )
        return whole


def open_data(source: str, kind: str, revision: str = "main") -> Source:
    """Return the rows of a dataset directory, a folder or file of rows, or a Hub dataset; no row is read yet.

    Args:
        source: a path, or the id of a Hub dataset, owner/name.
        kind: dialogues | pairs.
        revision: of a Hub dataset; resolved to its commit once.

    Raises:
        WrongFolder: it is a model, a run, or another zephyr folder that is not a dataset; or it holds datasets.
        RowsUnfit: it holds no rows of that kind, or some of its files are missing.
        ModelUnreachable: there is no such path.
        Unreachable: the Hub dataset cannot be fetched.
    """
    path = paths.expanded(source)
    kinds.refuse_several(path)
    kinds.refuse(path, kinds.DATASET)
    if path.is_dir() and manifest.is_whole(path):
        return _ours(source, kind, path)
    if path.is_dir():
        names = [file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file()]
        return _foreign(source, kind, None, {name: path / name for name in _split_files(source, kind, names)})
    if path.is_file():
        if not path.name.endswith(SUFFIXES):
            raise RowsUnfit(f"{source} is not a file of rows", f"rows are read from {', '.join(SUFFIXES)}")
        return _of_bytes(source, kind, "rows", None, {"train": (path,)})
    if hub.is_hub_id(source):
        fetched = hub.fetch(
            source, "dataset", revision, lambda names: _split_files(source, kind, names), instead=INSTEAD
        )
        return _foreign(source, kind, fetched.commit, fetched.files)
    raise ModelUnreachable(
        f"{source}: not a file or folder, and not the id of a Hub dataset",
        f"`{COMMANDS[kind]}` makes a dataset; an interrupted run continues where it stopped",
    )


def _ours(source: str, kind: str, folder: Path) -> Source:
    content = kinds.read_dataset(folder)
    counts = content["splits"]
    names = [name for name in content["files"] if name.startswith("data/")]
    filled = {split: parts for split, parts in splits_of(names).items() if split in counts and counts[split]["rows"]}
    picked = _pick(source, kind, filled)
    files = {side: tuple(folder / name for name in names) for side, (_, names) in picked.items()}
    states = _states(files)
    for fault in faults(folder, names=[name for _, names in picked.values() for name in names]):
        verify, again = f"`zephyr data verify {shlex.quote(source)}`", f"`{COMMANDS[kind]} --overwrite`"
        hint = f"{verify} lists what is damaged; make the set again with {again}"
        raise RowsUnfit(f"{fault.name} of {source} {fault.what}", hint)
    digest = _digest(kind, {side: [counts[split]["rows_digest"]] for side, (split, _) in picked.items()})
    return Source(source, kind, "zephyr", None, files, digest, states)


def _foreign(source: str, kind: str, commit: str | None, paths: Mapping[str, Path]) -> Source:
    picked = _pick(source, kind, splits_of(paths))
    files = {side: tuple(paths[name] for name in names) for side, (_, names) in picked.items()}
    return _of_bytes(source, kind, "published" if "_" in picked["train"][0] else "rows", commit, files)


def _of_bytes(source: str, kind: str, layout: str, commit: str | None, files: dict[str, tuple[Path, ...]]) -> Source:
    """Return rows that are identified by the bytes of their files."""
    states = _states(files)
    digest = _digest(kind, {side: [manifest.file_digest(path) for path in paths] for side, paths in files.items()})
    return Source(source, kind, layout, commit, files, digest, states)


def _states(files: Mapping[str, Iterable[Path]]) -> dict[Path, State | None]:
    return {path: _state(path) for paths in files.values() for path in paths}


def _state(path: Path) -> State | None:
    """Return what changes when a file is written or replaced; None if it is not there."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns, status.st_ino


def _split_files(source: str, kind: str, names: Iterable[str]) -> list[str]:
    return [name for _, files in _pick(source, kind, splits_of(names)).values() for name in files]


def _pick(source: str, kind: str, splits: Mapping[str, list[str]]) -> dict[str, tuple[str, list[str]]]:
    """Return "train" and, where there is one, "test" → the split's own name and its files."""
    picked = {}
    for side, names in SPLITS[kind].items():
        name = next((name for name in names if name in splits), None)
        if name is not None:
            picked[side] = (name, splits[name])
    if "train" not in picked:
        contents = f"its splits with rows are {', '.join(splits)}" if splits else "it has no file of rows"
        raise RowsUnfit(
            f"{source} has no split {SPLITS[kind]['train'][0]}: {contents}",
            f"`{COMMANDS[kind]}` makes a set that has it",
        )
    missing = missing_shards(name for _, files in picked.values() for name in files)
    if missing:
        raise RowsUnfit(f"{source} lacks {', '.join(missing)}", "fetch the set again; all shards of a split are needed")
    return picked


def _digest(kind: str, content: Mapping[str, list[str]]) -> str:
    return keys.json_key([READ_AS, kind, dict(content)])
