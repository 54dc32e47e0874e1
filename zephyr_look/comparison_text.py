"""The figures of a comparison as tables, for a terminal and for a page."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from zephyr_core.console import share, table
from zephyr_look.comparison import ONLY_LEFT, ONLY_RIGHT, Compared, Sides

_WORDS = {
    ONLY_LEFT: "only left",
    ONLY_RIGHT: "only right",
    "flipped": "pairs flipped",
    "changed-rejected": "another rejected answer",
    "changed-chosen": "another chosen answer",
    "edited-prompt": "prompt edited",
    "edited-replies": "replies edited",
    "edited": "several parts edited",
}
_MARKS = {"moved": "in the other of train and test", "rescored": "another score", "resourced": "another source"}
_TABLES = {"splits": "split", "sources": "source", "unfit": "not trained on", "dropped": "dropped by"}


class Table(NamedTuple):
    """A table: its head and its rows; `align` has l or r for each column."""

    head: tuple[str, ...]
    rows: list[tuple[object, ...]]
    align: str


def comparison_text(record: Compared) -> str:
    """Return the figures of a comparison as text."""
    lines = ["\n".join(table([each.head, *each.rows], align=each.align)) for each in comparison_tables(record)]
    return "\n\n".join([names_of(record), *lines])


def names_of(record: Compared) -> str:
    """Return which dataset is which, and how many rows it has."""
    left, right = record["rows"]
    return f"left   {record['left']}: {left:,} rows\nright  {record['right']}: {right:,} rows"


def comparison_tables(record: Compared) -> Iterator[Table]:
    """Yield the figures of a comparison; what is 0 on both sides is left out."""
    yield Table(("rows", "left", "right", "of the larger"), [*_row_lines(record, max(record["rows"]))], "lrrr")
    measures = [*_measures(record)]
    if measures:
        head = ("measure", "mean left", "right", "shift", "median left", "right", "p90 left", "right")
        yield Table(head, measures, "l" + "r" * 7)
    for name, title in _TABLES.items():
        counts: Mapping[str, Sides] = record[name]  # type: ignore[literal-required]
        if counts:
            yield Table((title, "left", "right", "shift"), [*_counted(counts)], "lrrr")


def _row_lines(record: Compared, whole: int) -> Iterator[tuple[object, ...]]:
    yield "the same", record["same"], record["same"], share(record["same"], whole)
    for name, words in _WORDS.items():
        rows = record["changes"][name]
        if rows:
            yield words, "" if name == ONLY_RIGHT else rows, "" if name == ONLY_LEFT else rows, share(rows, whole)
    for name, words in _MARKS.items():
        rows = record[name]  # type: ignore[literal-required]
        if rows:
            yield words, rows, rows, share(rows, whole)


def _measures(record: Compared) -> Iterator[tuple[object, ...]]:
    for name, (left, right) in record["measures"].items():
        figures = [f"{side[key]:,.2f}" if side else "" for key in ("mean", "median", "p90") for side in (left, right)]
        shift = f"{right['mean'] - left['mean']:+,.2f}" if left and right else ""
        yield (name.replace("_", " "), *figures[:2], shift, *figures[2:])


def _counted(counts: Mapping[str, Sides]) -> Iterator[tuple[object, ...]]:
    for name, (left, right) in counts.items():
        yield name, left, right, f"{right - left:+,}" if right != left else ""
