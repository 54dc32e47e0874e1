"""The points of a curve: a metric by epoch, thinned and smoothed; ticks of an axis."""

import math
from collections.abc import Sequence
from itertools import groupby

from zephyr_core.records import MetricsRow

Point = tuple[float, float]
MOST_POINTS = 400  # of a drawn line
LEAST_SMOOTHED = 12  # logged rows; fewer are left as they are


def points(rows: Sequence[MetricsRow], metric: str, split: str) -> list[Point]:
    """Return (epoch, value) of a metric where it is a finite number."""
    values = [(finite(row.get("epoch")), finite(row.get(metric))) for row in rows if row["split"] == split]
    return [(at, value) for at, value in values if at is not None and value is not None]


def window(number: int) -> int:
    """Return how many logged rows a moving mean covers: an odd number near the square root of `number`."""
    return math.isqrt(number) // 2 * 2 + 1 if number >= LEAST_SMOOTHED else 1


def smoothed(line: Sequence[Point], width: int) -> list[Point]:
    """Return each point as the mean of up to `width` neighbours from its own epoch, so that jumps stay."""
    means: list[Point] = []
    for _, group in groupby(line, key=lambda point: math.ceil(point[0] - 1e-6)):
        own = list(group)
        for at, (epoch, _) in enumerate(own):
            near = own[max(0, at - width // 2) : at + width // 2 + 1]
            means.append((epoch, math.fsum(value for _, value in near) / len(near)))
    return means


def thinned(line: Sequence[Point]) -> list[Point]:
    """Return at most MOST_POINTS points, each the mean of equally many neighbours."""
    size = math.ceil(len(line) / MOST_POINTS)
    if size <= 1:
        return list(line)
    groups = [line[at : at + size] for at in range(0, len(line), size)]
    return [tuple(math.fsum(axis) / len(group) for axis in zip(*group, strict=True)) for group in groups]  # type: ignore[misc]


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Return round numbers that span low..high, at most `most` + 1 of them."""
    if not high > low:
        low, high = low - (abs(low) or 1) / 2, high + (abs(high) or 1) / 2
    rough = (high - low) / most
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * factor for factor in (1, 2, 2.5, 5, 10) if size * factor >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(number * step, 12) for number in range(first, last + 1)]


def interval(share: float, number: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a share seen in `number` cases."""
    z = 1.96
    middle = (share + z * z / (2 * number)) / (1 + z * z / number)
    half = z * math.sqrt(share * (1 - share) / number + z * z / (4 * number**2)) / (1 + z * z / number)
    return max(0.0, middle - half), min(1.0, middle + half)


def finite(value: object) -> float | None:
    """Return a number that can be drawn, else None."""
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None
