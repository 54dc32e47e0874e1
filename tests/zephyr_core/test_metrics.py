"""Rows of metrics: which of them count, and which accuracy is a measurement."""

import math

import pytest

from zephyr_core.metrics import is_row, measured, ordered
from zephyr_core.records import MetricsRow


@pytest.mark.parametrize(
    ("row", "is_measured"),
    [
        ({"step": 0, "split": "test", "accuracy": 0.0, "margin": 0.0}, False),
        ({"step": 0, "split": "test", "accuracy": 1.0, "margin": 0.02}, False),  # rounding in bf16
        ({"step": 2, "split": "train", "accuracy": 0.9, "margin": 0.002}, False),
        ({"step": 2, "split": "train", "accuracy": 0.8, "margin": -0.2}, True),
        ({"step": 2, "split": "train", "accuracy": 0.8, "margin": math.nan}, False),
        ({"step": 3, "split": "train", "accuracy": 0.0, "margin": 0.0}, True),
    ],
)
def test_an_accuracy_is_measured_once_an_update_has_moved_the_weights(row: MetricsRow, is_measured: bool) -> None:
    assert ("accuracy" in measured(row)) == is_measured
    assert {**measured(row), "accuracy": row["accuracy"]} == row


def test_of_two_rows_for_a_step_the_later_counts_and_rows_come_by_step() -> None:
    rows = [
        {"step": 4, "split": "train", "loss": 2.0},
        {"step": 3, "split": "train", "loss": 1.0},
        {"step": 4, "split": "train", "loss": 3.0},
        {"step": 4, "split": "test", "loss": 9.0},
    ]
    assert [(row["step"], row["split"], row["loss"]) for row in ordered(rows)] == [
        (3, "train", 1.0),
        (4, "test", 9.0),
        (4, "train", 3.0),
    ]


def test_what_has_no_step_or_no_split_is_no_row_of_metrics() -> None:
    others = [{"loss": 1.0}, {"step": 1}, {"step": None, "split": "train"}, {"step": 1, "split": "dev"}]
    assert not any(map(is_row, others)) and ordered(others) == []


def test_an_accuracy_of_step_0_leaves_no_trace_among_ordered_rows() -> None:
    rows = [
        {"step": 0, "split": "test", "accuracy": 0.0, "margin": 0.0, "loss": 0.69},
        {"step": 9, "split": "test", "accuracy": 0.7, "margin": 1.0, "loss": 0.5},
    ]
    first, last = ordered(rows)
    assert first == {"step": 0, "split": "test", "margin": 0.0, "loss": 0.69}
    assert last == rows[1]
