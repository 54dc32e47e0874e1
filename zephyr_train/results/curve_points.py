"""What a curve goes through: a metric by step, its moving mean, the ends of epochs."""

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

WINDOW_SHARE = 1 / 50  # of the logged train rows, in a moving mean
Points = tuple[list[float], list[float]]  # steps, values


def points(metrics: Sequence[Mapping[str, Any]], metric: str, split: str) -> Points:
    """Return the steps and finite values of a metric, in the order of steps; the later row of a step counts."""
    known = {row["step"]: row[metric] for row in metrics if row["split"] == split and row.get(metric) is not None}
    finite = sorted((step, value) for step, value in known.items() if math.isfinite(value))
    return [step for step, _ in finite], [value for _, value in finite]


def window(rows: int) -> int:
    """Return how many logged rows a moving mean covers: an odd number near 1/50 of them."""
    return round(rows * WINDOW_SHARE) // 2 * 2 + 1


def moving_mean(
    steps: Sequence[float], values: Sequence[float], boundaries: Sequence[float], width: int
) -> list[float]:
    """Return the mean of each value and its neighbours, `width` in all; only of its own epoch, so that jumps stay."""
    cuts = [0, *(bisect_left(steps, boundary + 0.5) for boundary in boundaries), len(values)]
    means = []
    for first, stop in pairwise(cuts):
        for at in range(first, stop):
            near = values[max(first, at - width // 2) : min(stop, at + width // 2 + 1)]
            means.append(math.fsum(near) / len(near))
    return means


def epoch_boundaries(metrics: Sequence[Mapping[str, Any]]) -> list[float]:
    """Return the last step of each epoch but the last one."""
    reached = max(((row["step"], row["epoch"]) for row in metrics if row.get("epoch")), default=None)
    if reached is None:
        return []
    step, epoch = reached
    return [step * whole / epoch for whole in range(1, math.ceil(epoch - 1e-6))]
