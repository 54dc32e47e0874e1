"""The curves of a run as SVG and PNG: for dDPO the paper's Figure 3, left, and what explains it; for dSFT the loss.

The same metrics give the same SVG, byte for byte, with the same matplotlib.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zephyr_train.results.curve_points import Points, epoch_boundaries, moving_mean, points, window

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FILES = ("curves.svg", "curves.png")
LEAST_NAMED = 0.12  # of the run; a shorter epoch is marked and not named
TRAIN, TEST, CHOSEN, REJECTED, GREY = "#1f5fa8", "#d1495b", "#2a7f4f", "#b5651d", "#767676"
_STYLE: dict[Any, Any] = {
    "svg.hashsalt": "zephyr",
    "svg.fonttype": "path",
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e8e8e8",
    "grid.linewidth": 0.7,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "legend.handlelength": 2.2,
    "legend.columnspacing": 1.2,
    "legend.borderaxespad": 0,
    "legend.borderpad": 0,
}


@dataclass(frozen=True)
class Panel:
    """One plot: metrics with their colours and names in the legend, and a level to compare them with."""

    title: str
    unit: str
    lines: tuple[tuple[str, str, str], ...]  # metric, colour of train, name
    test_colour: str | None = TEST  # None: that of train
    level: float | None = None
    level_name: str | None = None
    is_smoothed: bool = True


DPO = (
    Panel("Accuracy", "share of pairs", (("accuracy", TRAIN, "train"),), level=0.5, level_name="chance"),
    Panel("Loss", "nats per pair", (("loss", TRAIN, "train"),), level=math.log(2), level_name="ln 2"),
    Panel("Reward margin", "β × nats", (("margin", TRAIN, "train"),), level=0.0),
    Panel(
        "Rewards",
        "β × nats",
        (("reward_chosen", CHOSEN, "chosen"), ("reward_rejected", REJECTED, "rejected")),
        test_colour=None,
        level=0.0,
    ),
)
SFT = (
    Panel("Loss", "nats per token", (("loss", TRAIN, "train"),)),
    Panel("Learning rate", "", (("learning_rate", TRAIN, "train"),), is_smoothed=False),
)


def draw(metrics: Sequence[Mapping[str, Any]], folder: Path) -> None:
    """Write the curves of a run into a folder: four panels when the metrics know pairs (dDPO), else two (dSFT).

    Columns in: step, epoch, split ("train" | "test"); loss, accuracy, margin, reward_chosen, reward_rejected,
        learning_rate: each may be absent from a row, or no number. Of two rows for a step the later one counts.
    """
    import matplotlib as mpl

    folder.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context(_STYLE):
        drawn = figure(metrics)
        drawn.savefig(folder / FILES[0], dpi=200, metadata={"Date": None})
        drawn.savefig(folder / FILES[1], dpi=160)


def figure(metrics: Sequence[Mapping[str, Any]]) -> "Figure":
    """Return the panels as a figure."""
    from matplotlib.figure import Figure

    is_dpo = any("margin" in row or "accuracy" in row for row in metrics)
    panels = DPO if is_dpo else SFT
    whole = Figure(figsize=(9.6, 6.4) if is_dpo else (9.6, 3.4), layout="constrained", facecolor="white")
    plots = list(whole.subplots(len(panels) // 2, 2, sharex=True, squeeze=False).flat)
    for letter, panel, plot in zip("abcd", panels, plots, strict=False):
        _fill(plot, panel, metrics)
        plot.set_title(f"{letter}  {panel.title}", loc="left", fontweight="bold", fontsize=10, pad=17)
    for plot in plots[-2:]:
        plot.set_xlabel("optimiser step")
    _steps_axis(plots[0], metrics)
    whole.supxlabel(_caption(metrics), fontsize=7.5, color=GREY)
    return whole


def _steps_axis(plot: Any, metrics: Sequence[Mapping[str, Any]]) -> None:
    """Set the steps that all panels share."""
    from matplotlib.ticker import MaxNLocator, StrMethodFormatter

    last = max((row["step"] for row in metrics), default=1)
    plot.set_xlim(0, max(last, 1) * 1.02)
    plot.xaxis.set_major_locator(MaxNLocator(nbins=7, integer=True, steps=[1, 2, 5, 10]))
    plot.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))


def _fill(plot: Any, panel: Panel, metrics: Sequence[Mapping[str, Any]]) -> None:
    """Draw one panel."""
    plot.set_ylabel(panel.unit)
    boundaries = epoch_boundaries(metrics)
    _mark_epochs(plot, boundaries, max((row["step"] for row in metrics), default=1))
    drawn: list[float] = []
    tested = False
    for metric, colour, name in panel.lines:
        drawn += _draw_train(plot, points(metrics, metric, "train"), boundaries, colour, name, panel.is_smoothed)
    style = {"marker": "o", "markersize": 4, "linewidth": 1.4, "linestyle": "--"}
    for metric, colour, _ in panel.lines:
        steps, values = points(metrics, metric, "test")
        if steps:
            plot.plot(steps, values, color=panel.test_colour or colour, **style)
            drawn += values
            tested = True
    if tested:
        plot.plot([], [], color=panel.test_colour or GREY, label="test", **style)
    if panel.level is not None:
        plot.axhline(panel.level, color=GREY, linewidth=1, linestyle=(0, (5, 3)), label=panel.level_name)
    if not drawn:
        plot.text(0.5, 0.5, "no values", transform=plot.transAxes, ha="center", va="center", color=GREY)
        return
    plot.legend(loc="lower right", bbox_to_anchor=(1, 1.085), ncols=4)
    if panel.title == "Accuracy":
        plot.set_ylim(min(0.4, min(drawn) - 0.02), 1.02)
    if panel.title == "Learning rate":
        _scale(plot, max(drawn))


def _draw_train(
    plot: Any, found: Points, boundaries: Sequence[float], colour: str, name: str, is_smoothed: bool
) -> list[float]:
    """Draw the moving mean, over faint values as logged; return what was drawn strongly."""
    steps, values = found
    if not steps:
        return []
    width = window(len(steps)) if is_smoothed else 1
    means = moving_mean(steps, values, boundaries, width)
    if width > 1:
        plot.plot(steps, values, color=colour, linewidth=0.5, alpha=0.22, rasterized=True)
    marker = "o" if len(steps) <= 3 else None
    plot.plot(steps, means, color=colour, linewidth=1.5, marker=marker, markersize=3.5, label=name)
    return means


def _mark_epochs(plot: Any, boundaries: Sequence[float], last: float) -> None:
    for boundary in boundaries:
        plot.axvline(boundary, color=GREY, linewidth=0.9, linestyle=(0, (1, 2)))
    ends = [0, *boundaries, last] if boundaries else []
    for number, (start, stop) in enumerate(pairwise(ends), 1):
        if stop - start >= LEAST_NAMED * last:
            middle, place = (start + stop) / 2, plot.get_xaxis_transform()
            style = {"ha": "center", "va": "bottom", "fontsize": 7.5, "color": GREY}
            plot.text(middle, 1.015, f"epoch {number}", transform=place, **style)


def _scale(plot: Any, most: float) -> None:
    """Show small numbers as multiples of a power of ten that stands beside the axis."""
    from matplotlib.ticker import FuncFormatter

    exponent = math.floor(math.log10(most)) if most > 0 else 0
    plot.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / 10**exponent:.4g}"))
    plot.set_ylabel(f"× $10^{{{exponent}}}$")


def _caption(metrics: Sequence[Mapping[str, Any]]) -> str:
    rows = sum(row["split"] == "train" for row in metrics)
    width = window(rows)
    return f"train: mean of {width} logged steps around each, within its epoch; faint: as logged" if width > 1 else " "
