"""Bars: drops by stage, split by reason; pairs by margin."""

from collections.abc import Iterator, Mapping, Sequence

from zephyr_core.records import Counts
from zephyr_page.drawing import figure, rectangle, rule, svg, text
from zephyr_page.markup import Html, count, join, note, share
from zephyr_run.report.on_disk import StepFiles

WIDTH, ROW = 400.0, 27.0
LEFT, RIGHT = 78.0, 124.0  # room for the stage's name, and for its numbers
HEIGHT, FLOOR, SIDE = 176.0, 36.0, 30.0  # of the histogram, below its axis, at its sides
BINS = 16
LEAST_PARTED = 2.5  # narrowest part that a gap would not swallow


def by_stage(dropped: Mapping[str, int], order: Sequence[str]) -> dict[str, dict[str, int]]:
    """Return stage → reason → rows: stages in the given order, unlisted ones last; reasons by their rows."""
    places = {stage: place for place, stage in enumerate(order)}

    def place(drop: tuple[str, int]) -> tuple[int, int, str]:
        return places.get(drop[0].partition("/")[0], len(places)), -drop[1], drop[0]

    stages: dict[str, dict[str, int]] = {}
    for name, rows in sorted(dropped.items(), key=place):
        stage, _, reason = name.partition("/")
        stages.setdefault(stage, {})[reason] = rows
    return stages


def drops(step: StepFiles) -> Html:
    """Return a bar for each stage that dropped rows, split by reason."""
    if step.counts is None:
        return note(f"{step.name}: {step.state}.")
    stages = by_stage(step.counts["dropped"], step.stages)
    if not any(sum(reasons.values()) for reasons in stages.values()):
        return note(f"{step.name}: no row was dropped.")
    totals = {stage: sum(reasons.values()) for stage, reasons in stages.items()}
    read, scale = step.counts["rows_read"], (WIDTH - LEFT - RIGHT) / max(totals.values())
    sums = "; ".join(f"{stage} {count(total)}" for stage, total in totals.items())
    parts = []
    for at, (stage, reasons) in enumerate(stages.items()):
        middle, end = ROW * at + 18, LEFT + totals[stage] * scale
        parts += [text(LEFT - 8, middle, stage, anchor="end"), *_parts(stage, reasons, ROW * at + 6, scale)]
        parts.append(text(end + 8, middle, f"{count(totals[stage])} · {share(totals[stage], read)}"))
    title = f"Dropped by {step.name}"
    described = f"Rows by stage: {sums}; of {count(read)} read."
    bars = svg(f"drops-{step.name}", title, described, (WIDTH, ROW * len(stages) + 4), parts)
    return figure(title, "rows by stage, split by reason; share of rows read", bars)


def margins(counts: Counts) -> Html:
    """Return a histogram of the pairs by score margin."""
    pairs = {float(margin): rows for margin, rows in counts.get("margins", {}).items()}
    if not pairs:
        return Html("")
    low, high = min(0.0, *pairs), max(1e-9, *pairs)
    heights = [0] * BINS
    for margin, rows in pairs.items():
        heights[min(int((margin - low) / (high - low) * BINS), BINS - 1)] += rows
    ground, most = HEIGHT - FLOOR, max(heights)
    parts = [
        *_columns(heights, (low, (high - low) / BINS), ground),
        rule(SIDE, ground, WIDTH - SIDE, ground, "axis"),
        *_scale(low, high, ground),
        text(SIDE - 8, 22, count(most), "small", "end"),
        text(SIDE - 8, ground + 4, "0", "small", "end"),
    ]
    words = f"Pairs by score margin, from {low:g} to {high:g}; the highest column has {count(most)}."
    histogram = svg("margins", "Margin of the scores", words, (WIDTH, HEIGHT), parts)
    return figure("Margin of the scores", f"number of pairs in each of {BINS} equal steps", histogram)


def _parts(stage: str, reasons: Mapping[str, int], top: float, scale: float) -> Iterator[Html]:
    x = LEFT
    for reason, rows in reasons.items():
        kind = "fill-lost gap" if rows * scale > LEAST_PARTED else "fill-lost"
        yield rectangle(x, top, rows * scale, 17, kind, f"{stage}/{reason}: {count(rows)} rows")
        x += rows * scale


def _columns(heights: list[int], bins: tuple[float, float], ground: float) -> Iterator[Html]:
    wide, scale, (low, size) = (WIDTH - 2 * SIDE) / BINS, (ground - 18) / max(heights), bins
    for at, rows in enumerate(heights):
        if rows:
            title = f"{low + at * size:.3g} to {low + (at + 1) * size:.3g}: {count(rows)} pairs"
            yield rectangle(SIDE + wide * at, ground - rows * scale, wide, rows * scale, "fill-train gap", title)


def _scale(low: float, high: float, ground: float) -> Iterator[Html]:
    for part in (0, 0.25, 0.5, 0.75, 1):
        x = SIDE + (WIDTH - 2 * SIDE) * part
        yield join([rule(x, ground, x, ground + 4, "axis")])
        yield text(x, ground + 17, f"{low + (high - low) * part:.3g}", "small", "middle")
    yield text(WIDTH / 2, ground + 33, "margin: score of chosen − score of rejected", "small", "middle")
