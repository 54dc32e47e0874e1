"""Several sources of rows as one: of each all rows, a share, or a number of rows, drawn by prompt.

Train is mixed with train and test with test. The train rows of each source are those whose prompts a keyed draw puts
first; test splits are whole. Nothing depends on the order of the sources or of their rows.
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from zephyr_core import amounts, keys, kinds, paths
from zephyr_core.amounts import Wanted, apportioned
from zephyr_core.errors import OptionError
from zephyr_core.records import MixedSource
from zephyr_train.errors import RowsUnfit
from zephyr_train.reader import DroppedRow, Source, open_data
from zephyr_train.tokenizing.keyed_rows import BATCH_ROWS, keyed_rows

if TYPE_CHECKING:
    import pyarrow

MIXED_AS = 1  # version of the draw; part of the digest
SEED = 42  # of the draw: not the run's, so that runs with other seeds, and the reference, see the same rows
TOO_FEW = "too-few-rows"
_CHOICES = 2**64


@dataclass(frozen=True)
class Mixture(Source):
    """Rows of several sources; opened by `mixed`."""

    sources: tuple[Source, ...] = ()
    wanted: tuple[Wanted, ...] = ()
    _rows: dict[str, list[tuple[int, int]]] = field(default_factory=dict, repr=False, compare=False)

    @property
    def datasets(self) -> tuple[Source, ...]:
        """Return the sources, as given."""
        return self.sources

    def tables(self, split: str) -> list[tuple[Source, Any]]:
        """Return each source with the rows that are taken of its split; none without that split."""
        table = self.table(split)
        rows = [count for count, _ in self._rows[split]]
        starts = [sum(rows[:place]) for place in range(len(rows))]
        return [
            (source, table.slice(start, count))
            for source, start, count in zip(self.sources, starts, rows, strict=True)
            if count
        ]

    @property
    def dropped_rows(self) -> list[DroppedRow]:
        """Return the rows of each source that cannot be trained on, whether or not they would have been drawn."""
        return [row for source in self.sources for row in source.dropped_rows]

    @property
    def other_fields(self) -> dict[str, int]:
        """Return field of messages that is not read → messages that have it, of all rows of the sources."""
        return dict(sum((Counter(source.other_fields) for source in self.sources), Counter()))

    def parts(self) -> list[MixedSource]:
        """Return what is taken of each source, as given; the rows are read if they were not yet.

        Raises:
            RowsUnfit: as of `table`.
        """
        for split in self.files:
            if split not in self._rows:
                self.table(split)
        train, test = self._rows["train"], self._rows.get("test", [(0, 0)] * len(self.sources))
        whole = sum(rows for rows, _ in train)
        return [
            {
                "source": source.label,
                "digest": source.digest,
                "rows": rows,
                "available": available,
                "share": rows / whole,
                "test_rows": test_rows,
            }
            for source, (rows, available), (test_rows, _) in zip(self.sources, train, test, strict=True)
        ]

    def let_go(self) -> None:
        """Free the tables read so far."""
        super().let_go()
        for source in self.sources:
            source.let_go()

    def _read(self, split: str) -> Any:
        """Return the rows of a split of all sources.

        Raises:
            RowsUnfit: as of a single source, with its name; or one has fewer rows than are wanted of it.
        """
        import pyarrow as pa

        tables = [_table(source, split) for source in self.sources]
        available = [0 if table is None else table.num_rows for table in tables]
        rows = available
        if split == "train":
            rows = rows_of_each(self.sources, self.wanted, available)
        drawn = [first_drawn(table, self.kind, count) for table, count in zip(tables, rows, strict=True) if table]
        self._rows[split] = list(zip(rows, available, strict=True))
        return pa.concat_tables(drawn)


def open_rows(texts: Sequence[str], kind: str, revision: str = "main") -> Source:
    """Return the rows that one text or several name, with or without amounts; none is read yet.

    Raises:
        OptionError: the texts do not fit together.
        ZephyrError: as of `reader.open_data`.
    """
    wanted = amounts.read_all(texts)
    return mixed([open_data(one.name, kind, revision) for one in wanted], wanted)


def mixed(sources: Sequence[Source], wanted: Sequence[Wanted]) -> Source:
    """Return several sources as one; a single one of which all rows are wanted is returned as it is.

    Raises:
        OptionError: two of them hold the same rows, or read the same file; or one is a dataset of another kind.
    """
    if len(sources) == 1 and not wanted[0].amount:
        return sources[0]
    kind = sources[0].kind
    for source in sources if len(sources) > 1 else ():
        folder = paths.expanded(source.name)
        if source.layout == "zephyr" and kinds.kind_of(folder) != kind:
            message = f"{source.name} is {kinds.describe(folder)}, and {kind} are mixed"
            raise OptionError(message, f"give {folder / 'data'}, if its answers are to be trained on as {kind}")
    for place, source in enumerate(sources):
        for other in sources[:place]:
            if source.digest == other.digest or _files(source) & _files(other):
                message = f"{other.name} and {source.name} hold the same rows"
                raise OptionError(message, "give each dataset once; `--epochs` repeats all of them")
    splits = dict.fromkeys(split for source in sources for split in source.files)
    files = {split: tuple(path for source in sources for path in source.files.get(split, ())) for split in splits}
    parts = sorted([source.digest, _canonical(one)] for source, one in zip(sources, wanted, strict=True))
    digest = keys.json_key(["mixture", MIXED_AS, SEED, parts])
    name = " + ".join(map(str, wanted))
    return Mixture(name, kind, "mixture", None, files, digest, sources=tuple(sources), wanted=tuple(wanted))


def _table(source: Source, split: str) -> Any:
    """Return the rows of a split; None if there is no such split."""
    try:
        return source.table(split) if split in source.files else None
    except RowsUnfit as fault:
        raise RowsUnfit(f"{source.name}: {fault}", fault.hint, fault.name) from None


def _files(source: Source) -> set[str]:
    return {str(path.resolve()) for paths in source.files.values() for path in paths}


def _canonical(wanted: Wanted) -> str:
    """Return an amount in one form: 0.7 and 0.70 are the same."""
    return str(wanted.share or wanted.rows or "")


def rows_of_each(sources: Sequence[Source], wanted: Sequence[Wanted], available: Sequence[int]) -> list[int]:
    """Return the number of train rows to take of each source.

    Shares are of the whole of which the source that is short of rows gives all it has, give or take a row.

    Raises:
        RowsUnfit: with the arithmetic, and the most that fits.
    """
    shares = [one.share for one in wanted if one.share is not None]
    if shares:
        return _rows_by_share(sources, shares, available)
    rows = [there if one.rows is None else one.rows for one, there in zip(wanted, available, strict=True)]
    scale = min(Fraction(there, count) for count, there in zip(rows, available, strict=True))
    if scale >= 1:
        return rows
    lacks = [
        f"{count:,} rows of {one.name} are wanted, and it has {there:,}"
        for one, count, there in zip(wanted, rows, available, strict=True)
        if count > there
    ]
    fitting = [replace(one, amount=str(max(1, int(one.rows * scale)))) if one.rows else one for one in wanted]
    total = sum(one.rows or there for one, there in zip(fitting, available, strict=True))
    hint = f"in this proportion {total:,} rows fit: {' '.join(f'--data {one}' for one in fitting)}"
    raise RowsUnfit("; ".join(lacks), hint, TOO_FEW)


def _rows_by_share(sources: Sequence[Source], shares: Sequence[Fraction], available: Sequence[int]) -> list[int]:
    wholes = [there / share for share, there in zip(shares, available, strict=True)]
    digests = [source.digest for source in sources]
    rows = apportioned(shares, math.ceil(min(wholes)), digests)
    if any(count > there for count, there in zip(rows, available, strict=True)):
        rows = apportioned(shares, int(min(wholes)), digests)
    if 0 in rows:
        least, limit = rows.index(0), wholes.index(min(wholes))
        message = (
            f"{sources[limit].name} has {available[limit]:,} rows, which are {float(shares[limit]):g} of"
            f" {sum(rows):,}; {float(shares[least]):g} of them is not one row of {sources[least].name}"
        )
        raise RowsUnfit(message, f"give {sources[least].name} a larger share, or leave it out", TOO_FEW)
    return rows


def first_drawn(table: "pyarrow.Table", kind: str, rows: int) -> "pyarrow.Table":
    """Return the `rows` rows whose prompts are drawn first; of the last prompt as many as are needed, by row key.

    Columns in: prompt_id, and those of the kind (keyed_rows.CONTENT)
    """
    import numpy as np
    import pyarrow as pa

    if rows == table.num_rows:
        return table
    places = np.array(keys.draws(SEED, "mixture", table["prompt_id"].to_pylist(), _CHOICES), np.uint64)
    last = np.partition(places, rows - 1)[rows - 1]
    is_last = places == last
    is_taken = places < last
    rest = rows - int(is_taken.sum())
    ordered = sorted(zip(_row_keys(table.filter(pa.array(is_last)), kind), np.flatnonzero(is_last), strict=True))
    is_taken[[place for _, place in ordered[:rest]]] = True
    return table.filter(pa.array(is_taken))


def _row_keys(table: "pyarrow.Table", kind: str) -> Iterator[str]:
    for batch in table.to_batches(max_chunksize=BATCH_ROWS):
        yield from (row.key for row in keyed_rows(batch, kind))
