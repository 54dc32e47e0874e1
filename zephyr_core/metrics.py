"""Rows of metrics.jsonl: what they measure, and what they do not."""

from collections.abc import Iterable, Mapping
from typing import Any

SPLITS = ("train", "test")
FIRST_UPDATES = 2  # step 1 has rate 0 under warm-up, so step 2 still reads the unmoved weights
NOISE = 0.01  # β × nats: a mean margin below this in the first updates is rounding

Row = Mapping[str, Any]


def ordered(rows: Iterable[Row]) -> list[Row]:
    """Return the rows that have a step and a split, by step, each as `measured`; the later row of a step counts."""
    latest = {(row["step"], row["split"]): row for row in rows if is_row(row)}
    return [measured(latest[key]) for key in sorted(latest)]


def is_row(row: Row) -> bool:
    """Return whether an object has a step and a split, as every row of metrics does."""
    return isinstance(row.get("step"), int) and row.get("split") in SPLITS


def measured(row: Row) -> Row:
    """Return the row without its accuracy where no update has moved the weights.

    Policy and reference are equal there: margins are 0 up to rounding, and their signs are no measurement.
    """
    return row if _is_moved(row) else {name: value for name, value in row.items() if name != "accuracy"}


def _is_moved(row: Row) -> bool:
    step, margin = row.get("step"), row.get("margin")
    if not isinstance(step, int) or step <= 0:
        return False
    return step > FIRST_UPDATES or (isinstance(margin, int | float) and abs(margin) >= NOISE)
