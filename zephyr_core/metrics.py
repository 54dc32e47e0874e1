"""Rows of metrics.jsonl: what they measure, and what they do not."""

from collections.abc import Iterable, Mapping

from zephyr_core.records import MetricsRow
from zephyr_core.shape import fitting

SPLITS = ("train", "test")
FIRST_UPDATES = 2  # step 1 has rate 0 under warm-up, so step 2 still reads the unchanged weights
NOISE = 0.01  # β × nats: a mean margin below this in the first updates is rounding


def ordered(rows: Iterable[Mapping[str, object]]) -> list[MetricsRow]:
    """Return the rows that have a step and a split, by step, each as `measured`; the last row of a step counts."""
    fit = (fitting(row, MetricsRow) for row in rows if is_row(row))
    latest = {(row["step"], row["split"]): row for row in fit}
    return [measured(latest[key]) for key in sorted(latest)]


def is_row(row: Mapping[str, object]) -> bool:
    """Return whether an object has a step and a split, as every row of metrics does."""
    return isinstance(row.get("step"), int) and row.get("split") in SPLITS


def measured(row: MetricsRow) -> MetricsRow:
    """Return the row without its accuracy where no update has moved the weights.

    Policy and reference are equal there: margins are 0 up to rounding, and their signs mean nothing.
    """
    if _is_moved(row):
        return row
    moved = row.copy()
    moved.pop("accuracy", None)
    return moved


def _is_moved(row: MetricsRow) -> bool:
    step, margin = row["step"], row.get("margin")
    return step > FIRST_UPDATES or (step > 0 and margin is not None and abs(margin) >= NOISE)
