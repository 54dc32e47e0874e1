"""Two datasets compared: rows in one only, changed rows, and what shifts between them."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypedDict

import polars as pl

from zephyr_core import kinds
from zephyr_core.errors import UsageError
from zephyr_look.matching import CHANGES, SAME, matched_rows
from zephyr_look.opening import Dataset
from zephyr_look.row_index import MEASURES, row_index

ONLY_LEFT, ONLY_RIGHT = "only-left", "only-right"
_QUANTILES = {"p10": 0.1, "median": 0.5, "p90": 0.9}
Sides = tuple[int, int]  # rows of the left dataset, and of the right one
Figures = dict[str, float]  # mean, p10, median, p90


class Compared(TypedDict):
    """A comparison, JSON-ready; of two numbers the first is of the left dataset."""

    left: str
    right: str
    rows: Sides
    same: int  # in both, with the same content
    changes: dict[str, int]  # only-left, only-right, CHANGES → rows
    moved: int  # matched rows that are in train here and in test there; they may be changed too
    rescored: int  # matched rows with another score, where both datasets have scores
    resourced: int  # matched rows with another source, where both have sources
    measures: dict[str, tuple[Figures, Figures]]
    splits: dict[str, Sides]
    sources: dict[str, Sides]
    unfit: dict[str, Sides]  # why training leaves rows out
    dropped: dict[str, Sides]  # reasons in the audits, where both have one


@dataclass(frozen=True)
class Comparison:
    """The row indexes of two datasets, and which row is which."""

    left: Dataset
    right: Dataset
    left_rows: pl.DataFrame
    right_rows: pl.DataFrame
    matches: pl.DataFrame

    def numbers(self, change: str) -> pl.DataFrame:
        """Return left, right (numbers of rows, or null) of the rows with a change, in order."""
        if change == ONLY_LEFT:
            alone = pl.int_range(self.left_rows.height, dtype=pl.UInt32, eager=True).alias("left")
            rows = alone.to_frame().join(self.matches, on="left", how="anti", maintain_order="left")
            return rows.with_columns(right=pl.lit(None, pl.UInt32))
        if change == ONLY_RIGHT:
            alone = pl.int_range(self.right_rows.height, dtype=pl.UInt32, eager=True).alias("right")
            rows = alone.to_frame().join(self.matches, on="right", how="anti", maintain_order="left")
            return rows.select(pl.lit(None, pl.UInt32).alias("left"), "right")
        return self.matches.filter(pl.col("change") == change).select("left", "right")

    @cached_property
    def record(self) -> Compared:
        """Return all figures."""
        changes = Counter(dict(self.matches["change"].value_counts().rows()))
        return {
            "left": self.left.label,
            "right": self.right.label,
            "rows": (self.left_rows.height, self.right_rows.height),
            "same": changes[SAME],
            "changes": {
                ONLY_LEFT: self.left_rows.height - self.matches.height,
                ONLY_RIGHT: self.right_rows.height - self.matches.height,
                **{name: changes[name] for name in CHANGES},
            },
            "moved": self._moved(),
            "rescored": self._differing(("score_chosen", "score_rejected")),
            "resourced": self._differing(("source",)),
            "measures": self._measures(),
            "splits": self._counts("split"),
            "sources": self._counts("source"),
            "unfit": self._counts("unfit"),
            "dropped": self._dropped(),
        }

    @property
    def has_change(self) -> bool:
        """Return whether a row is in one only, changed, or in another split, with another score or source."""
        record = self.record
        return any((*record["changes"].values(), record["moved"], record["rescored"], record["resourced"]))

    def _differing(self, columns: Sequence[str]) -> int:
        """Return how many matched rows differ in one of the columns, of those that both datasets have."""
        mine, theirs = self.left_rows[self.matches["left"]], self.right_rows[self.matches["right"]]
        both = [name for name in columns if self.left_rows[name].count() and self.right_rows[name].count()]
        differs = [mine[name].ne_missing(theirs[name]).alias(name) for name in both]
        return pl.DataFrame(differs).select(pl.any_horizontal(pl.all()).sum()).item() if differs else 0

    def _moved(self) -> int:
        """Return how many matched rows are in train here and in test there; 0 unless both have both."""
        if any(len(_sides(dataset.read_splits)) < 2 for dataset in (self.left, self.right)):
            return 0
        sides = [
            rows["split"][self.matches[name]].str.starts_with("train")
            for rows, name in ((self.left_rows, "left"), (self.right_rows, "right"))
        ]
        return int((sides[0] != sides[1]).sum())

    def _counts(self, column: str) -> dict[str, Sides]:
        columns = (self.left_rows[column], self.right_rows[column])
        return _joined(*(dict(values.drop_nulls().value_counts().rows()) for values in columns))

    def _dropped(self) -> dict[str, Sides]:
        folders = [dataset.folder for dataset in (self.left, self.right) if dataset.folder is not None]
        if len(folders) < 2:
            return {}
        return _joined(*(kinds.read_dataset(folder)["counts"]["dropped"] for folder in folders))

    def _measures(self) -> dict[str, tuple[Figures, Figures]]:
        present = [name for name in MEASURES if any(rows[name].count() for rows in (self.left_rows, self.right_rows))]
        return {name: (_figures(self.left_rows[name]), _figures(self.right_rows[name])) for name in present}


def compare(left: Dataset, right: Dataset) -> Comparison:
    """Return two datasets compared; in memory are some numbers and digests of each row.

    Raises:
        UsageError: the datasets have rows of different kinds.
        DataError: a file is damaged.
    """
    if left.kind != right.kind:
        what = f"{left.label} has {left.kind}, {right.label} has {right.kind}"
        raise UsageError(f"{what}: they have no row in common", "compare rows of one kind; --split names other splits")
    indexes = row_index(left), row_index(right)
    return Comparison(left, right, *indexes, matched_rows(*indexes))


def _sides(splits: Iterable[str]) -> set[bool]:
    return {split.startswith("train") for split in splits}


def _joined(left: Mapping[str, int], right: Mapping[str, int]) -> dict[str, Sides]:
    return {name: (left.get(name, 0), right.get(name, 0)) for name in sorted({*left, *right})}


def _figures(values: pl.Series) -> Figures:
    """Return mean and quantiles of what is there; nothing of nothing."""
    if not values.count():
        return {}
    quantiles = {name: values.quantile(share, "linear") for name, share in _QUANTILES.items()}
    return {name: float(value) for name, value in {"mean": values.mean(), **quantiles}.items() if value is not None}  # type: ignore[arg-type]
