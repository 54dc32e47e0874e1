"""The curves of a training run: dSFT's loss and rate; dDPO's accuracy (the paper's Figure 3, left), loss, rewards."""

import math
from collections.abc import Mapping, Sequence

from zephyr_core.metrics import ordered
from zephyr_core.records import MetricsRow
from zephyr_page.chart import Chart, Line
from zephyr_page.series import finite, points, smoothed, thinned, window
from zephyr_page.sheet import sheet

NAME = "curves.svg"
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")

Rows = Sequence[Mapping[str, object]]  # as read
OrderedRows = Sequence[MetricsRow]  # as `ordered` returns them


def file_text(rows: Rows, title: str) -> str:
    """Return curves.svg; equal for equal metrics, whatever their order."""
    return sheet(title, charts(rows, "curves"), remarks(rows))


def charts(rows: Rows, anchor: str) -> tuple[Chart, ...]:
    """Return four charts if the metrics have pairs (dDPO), else two (dSFT); ids begin with `anchor`.

    Columns in: step, epoch, split ("train" | "test"); loss, accuracy, margin, reward_chosen, reward_rejected,
        learning_rate: each may be absent from a row, or not a number.
    """
    in_order = ordered(rows)
    return _of_pairs(in_order, anchor) if _has_pairs(rows) else _of_dialogues(in_order, anchor)


def remarks(rows: Rows) -> list[str]:
    """Return the sentences that a reader of the charts needs."""
    in_order = ordered(rows)
    width, (epoch, step) = _width(in_order), _reached(in_order)
    sentences = [f"An epoch is {round(step / epoch):,} steps."] if epoch else []
    sentences.append("Dashed: evaluations on the test split.")
    if _has_pairs(rows):
        sentences.append(
            "Accuracy is the paper's Figure 3, left; it starts at the first update: before it, margins are rounding."
        )
    if width > 1:
        sentences.append(f"Train: mean of {width} logged steps around each, within its epoch; faint: as logged.")
    return sentences


def _of_pairs(rows: OrderedRows, anchor: str) -> tuple[Chart, ...]:
    epochs, accuracy = _epochs(rows), _lines(rows, "accuracy")
    least = min((value for line in accuracy for _, value in line.points), default=0.5)
    rewards = (*_lines(rows, "reward_chosen", "chosen"), *_lines(rows, "reward_rejected", "rejected"))
    return (
        Chart(
            f"{anchor}-accuracy",
            "Accuracy",
            "share of pairs with a margin above 0",
            accuracy,
            epochs,
            level=0.5,
            level_name="chance 0.50",
            bounds=(0.4 if least >= 0.4 else 0.0, 1.0),
        ),
        Chart(f"{anchor}-loss", "Loss", "nats per pair", _lines(rows, "loss"), epochs, math.log(2), "ln 2"),
        Chart(
            f"{anchor}-margin",
            "Reward margin",
            "β × nats, chosen − rejected",
            _lines(rows, "margin"),
            epochs,
            level=0.0,
        ),
        Chart(f"{anchor}-rewards", "Rewards", "β × nats", rewards, epochs, level=0.0),
    )


def _of_dialogues(rows: OrderedRows, anchor: str) -> tuple[Chart, ...]:
    loss = Chart(f"{anchor}-loss", "Loss", "nats per token", _lines(rows, "loss"), _epochs(rows))
    return loss, _rate(rows, f"{anchor}-rate")


def _rate(rows: OrderedRows, anchor: str) -> Chart:
    """Return the learning rate as it was, in multiples of a power of ten."""
    rates = points(rows, "learning_rate", "train")
    most = max((rate for _, rate in rates), default=0.0)
    exponent = math.floor(math.log10(most)) if most > 0 else 0
    line = Line("train", thinned([(at, rate / 10.0**exponent) for at, rate in rates]), "train")
    return Chart(anchor, "Learning rate", f"× 10{str(exponent).translate(SUPERSCRIPTS)}", (line,), _epochs(rows))


def _lines(rows: OrderedRows, metric: str, kind: str = "train") -> tuple[Line, ...]:
    """Return train's moving mean over its faint values, and test's values, dashed."""
    train, width = points(rows, metric, "train"), _width(rows)
    faint = [Line(kind, thinned(train), is_faint=True)] if width > 1 else []
    means = Line(kind, thinned(smoothed(train, width)), kind)
    test = Line("test" if kind == "train" else kind, points(rows, metric, "test"), "test", is_dashed=True)
    return (*faint, means, test)


def _has_pairs(rows: Rows) -> bool:
    return any("margin" in row or "accuracy" in row for row in rows)


def _width(rows: OrderedRows) -> int:
    return window(sum(row["split"] == "train" for row in rows))


def _epochs(rows: OrderedRows) -> float:
    return _reached(rows)[0] or 1.0


def _reached(rows: OrderedRows) -> tuple[float, int]:
    """Return the last epoch and step."""
    return max(((epoch, row["step"]) for row in rows if (epoch := finite(row.get("epoch")))), default=(0.0, 0))
