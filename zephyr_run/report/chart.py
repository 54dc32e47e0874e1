"""A line chart as SVG: few ticks, a name at each line's end instead of a legend, title and description for readers."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from zephyr_run.report import drawing
from zephyr_run.report.drawing import rule, text
from zephyr_run.report.markup import Html, element, join, note, real
from zephyr_run.report.series import Point, ticks

WIDTH, HEIGHT = 400.0, 230.0
LEFT, RIGHT, TOP, BOTTOM = 44.0, 90.0, 12.0, 40.0  # room for ticks, for names, for what is above and below
LABEL_GAP = 15.0
MOST_DOTS = 12  # of a line; more would hide it


@dataclass(frozen=True)
class Line:
    """A curve: `kind` is "train" or "test"; a faint one has no name."""

    kind: str
    points: Sequence[Point]
    name: str = ""
    is_faint: bool = False


@dataclass(frozen=True)
class Chart:
    """What is drawn: epochs across, one unit upwards."""

    anchor: str
    title: str
    unit: str
    lines: tuple[Line, ...]
    epochs: float
    level: float | None = None
    level_name: str = ""
    digits: int = 2
    bounds: tuple[float, float] | None = None  # of the axis upwards


@dataclass(frozen=True)
class _Frame:
    """The place of a value on the drawing."""

    across: tuple[float, float]
    upward: tuple[float, float]

    def x(self, value: float) -> float:
        low, high = self.across
        return LEFT + (value - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        low, high = self.upward
        return HEIGHT - BOTTOM - (value - low) / (high - low) * (HEIGHT - TOP - BOTTOM)


def figure(chart: Chart) -> Html:
    """Return the chart with its caption."""
    drawn = [line for line in chart.lines if line.points]
    if not drawn:
        return drawing.figure(chart.title, chart.unit, note("No values were logged."))
    return drawing.figure(chart.title, chart.unit, _svg(chart, drawn))


def _svg(chart: Chart, lines: Sequence[Line]) -> Html:
    values = [value for line in lines for _, value in line.points] + ([] if chart.level is None else [chart.level])
    upward = ticks(*(chart.bounds or (min(values), max(values))))
    frame = _Frame((0.0, max(chart.epochs, 1e-9)), (upward[0], upward[-1]))
    parts = [
        *_upward_axis(frame, upward),
        *_epoch_axis(frame, chart.epochs),
        *_level(frame, chart),
        *(_curve(frame, line) for line in lines),
        *_names(frame, chart, lines),
    ]
    return drawing.svg(chart.anchor, chart.title, _description(chart, lines), (WIDTH, HEIGHT), parts)


def _description(chart: Chart, lines: Sequence[Line]) -> str:
    told = [
        f"{line.name} goes from {real(line.points[0][1], chart.digits)} at epoch {line.points[0][0]:.3g} "
        f"to {real(line.points[-1][1], chart.digits)} at epoch {line.points[-1][0]:.3g}"
        for line in lines
        if line.name
    ]
    return f"{chart.title} in {chart.unit} by epoch: {'; '.join(told)}."


def _upward_axis(frame: _Frame, marks: Sequence[float]) -> list[Html]:
    digits = max(len(f"{mark:.6f}".rstrip("0").partition(".")[2]) for mark in marks)
    parts = []
    for mark in marks:
        y = frame.y(mark)
        parts += [rule(LEFT, y, WIDTH - RIGHT, y, "grid"), text(LEFT - 7, y + 4, real(mark, digits), "small", "end")]
    return parts


def _epoch_axis(frame: _Frame, epochs: float) -> list[Html]:
    bottom = HEIGHT - BOTTOM
    whole = [float(mark) for mark in range(int(epochs) + 1)]
    marks = whole if 2 <= epochs <= 6 else [mark for mark in ticks(0, epochs, 4) if mark <= epochs + 1e-9]
    parts = [rule(LEFT, bottom, WIDTH - RIGHT, bottom, "axis")]
    for mark in marks:
        parts += [rule(frame.x(mark), bottom, frame.x(mark), bottom + 4, "axis")]
        parts += [text(frame.x(mark), bottom + 17, f"{mark:g}", "small", "middle")]
    return [*parts, text((LEFT + WIDTH - RIGHT) / 2, bottom + 34, "epoch", "small", "middle")]


def _level(frame: _Frame, chart: Chart) -> list[Html]:
    if chart.level is None:
        return []
    y = frame.y(chart.level)
    return [rule(LEFT, y, WIDTH - RIGHT, y, "level")]


def _curve(frame: _Frame, line: Line) -> Html:
    places = [(frame.x(at), frame.y(value)) for at, value in line.points]
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
    kind = f"curve {line.kind}{' faint' if line.is_faint else ''}{' dashed' if line.kind == 'test' else ''}"
    drawn = [element("path", "", class_=kind, d=path)]
    if len(places) == 1 or (line.kind == "test" and len(places) <= MOST_DOTS):
        drawn += [
            element("circle", "", class_=f"dot {line.kind}", cx=f"{x:.1f}", cy=f"{y:.1f}", r=3.2) for x, y in places
        ]
    return join(drawn, "")


def _names(frame: _Frame, chart: Chart, lines: Sequence[Line]) -> list[Html]:
    """Return a name at each line's end, moved apart where two would touch."""
    wanted = [
        (frame.y(line.points[-1][1]), f"{line.name} {real(line.points[-1][1], chart.digits)}", line.kind)
        for line in lines
        if line.name
    ]
    if chart.level is not None and chart.level_name:
        wanted.append((frame.y(chart.level), chart.level_name, "small"))
    wanted.sort()
    ys = [y for y, _, _ in wanted]
    for _ in range(20):
        for at, (above, below) in enumerate(pairwise(ys)):
            if below - above < LABEL_GAP:
                middle = (above + below) / 2
                ys[at], ys[at + 1] = middle - LABEL_GAP / 2, middle + LABEL_GAP / 2
    return [text(WIDTH - RIGHT + 8, y + 4, name, kind) for y, (_, name, kind) in zip(ys, wanted, strict=True)]
