"""The curves of a training step: dSFT's loss; dDPO's accuracy (the paper's Figure 3, left), loss and margin."""

import math
from collections.abc import Sequence

from zephyr_core.records import MetricsRow
from zephyr_run.report.chart import Chart, Line, figure
from zephyr_run.report.found import Step
from zephyr_run.report.markup import Html, element, join, note
from zephyr_run.report.series import moved, points, smoothed, thinned, window

Rows = Sequence[MetricsRow]


def curves(step: Step) -> Html:
    """Return the charts of a training step."""
    charts = _pair_charts(step) if step.name == "dpo" else [_loss(step, "nats per token")]
    parts = [element("div", join(figure(chart) for chart in charts), class_="charts"), _smoothing(step)]
    if step.unreadable_lines:
        parts.append(note(f"{step.unreadable_lines} lines of metrics.jsonl are no rows of metrics and are not drawn."))
    return join(parts)


def _pair_charts(step: Step) -> list[Chart]:
    lines = _lines(moved(step.metrics), "accuracy", width=_width(step))
    least = min((value for line in lines for _, value in line.points), default=0.0)
    accuracy = Chart(
        f"{step.name}-accuracy",
        "Accuracy",
        "share of pairs with a margin above 0",
        lines,
        _epochs(step),
        level=0.5,
        level_name="chance 0.50",
        bounds=(0.4 if least >= 0.4 else 0.0, 1.0),
    )
    margin = Chart(
        f"{step.name}-margin",
        "Reward margin",
        "β × nats, chosen − rejected",
        _lines(step.metrics, "margin", width=_width(step)),
        _epochs(step),
        level=0.0,
    )
    return [accuracy, _loss(step, "nats per pair", level=math.log(2), level_name="ln 2"), margin]


def _loss(step: Step, unit: str, level: float | None = None, level_name: str = "") -> Chart:
    lines = _lines(step.metrics, "loss", width=_width(step))
    return Chart(f"{step.name}-loss", "Loss", unit, lines, _epochs(step), level, level_name)


def _lines(rows: Rows, metric: str, width: int) -> tuple[Line, ...]:
    train = points(rows, metric, "train")
    faint = [Line("train", thinned(train), is_faint=True)] if width > 1 else []
    means = Line("train", thinned(smoothed(train, width)), "train")
    return (*faint, means, Line("test", points(rows, metric, "test"), "test"))


def _smoothing(step: Step) -> Html:
    width, per_epoch = _width(step), step.plan.get("steps_per_epoch")
    told = [f"An epoch is {per_epoch:,} steps."] if per_epoch else []
    told.append("Dashed: evaluations on the test split.")
    if step.name == "dpo":
        told.append(
            "Accuracy is the paper's Figure 3, left; before the first update margins are rounding, so not drawn."
        )
    if width > 1:
        told.append(f"Train: mean of {width} logged steps around each, within its epoch; faint: as logged.")
    return note(" ".join(told))


def _width(step: Step) -> int:
    return window(sum(row["split"] == "train" for row in step.metrics))


def _epochs(step: Step) -> float:
    return max((row["epoch"] for row in step.metrics if isinstance(row.get("epoch"), int | float)), default=1.0) or 1.0
