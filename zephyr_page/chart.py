"""A line chart as SVG: few ticks, a name at each line's end instead of a legend, title and description for readers."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from zephyr_page import drawing
from zephyr_page.drawing import rule, text
from zephyr_page.markup import Html, element, join, real
from zephyr_page.series import Point, ticks

WIDTH, HEIGHT = 430.0, 230.0
LEFT, RIGHT, TOP, BOTTOM = 44.0, 120.0, 12.0, 40.0  # room for ticks, for names, for what is above and below
LABEL_GAP, LABEL_TOP = 15.0, 6.0
MOST_DOTS = 12  # on a line; more would hide it


@dataclass(frozen=True)
class Line:
    """A curve: `kind` is its colour, "train", "test", "chosen" or "rejected"; a faint one has no name."""

    kind: str
    points: Sequence[Point]
    name: str = ""
    is_faint: bool = False
    is_dashed: bool = False  # with a dot at each point, if they are few


@dataclass(frozen=True)
class Chart:
    """What is drawn: epochs on the horizontal axis, one unit on the vertical one."""

    anchor: str
    title: str
    unit: str
    lines: tuple[Line, ...]
    epochs: float
    level: float | None = None
    level_name: str = ""
    digits: int = 2
    bounds: tuple[float, float] | None = None  # of the vertical axis


@dataclass(frozen=True)
class _Frame:
    """Where a value is on the drawing."""

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
    return drawing.figure(chart.title, chart.unit, picture(chart))


def picture(chart: Chart, **place: object) -> Html:
    """Return the chart without its caption; `place` has further attributes, such as x and y on a sheet."""
    lines = [line for line in chart.lines if line.points]
    size, parts = (WIDTH, HEIGHT), _parts(chart, lines) if lines else _nothing()
    return drawing.svg(chart.anchor, chart.title, _description(chart, lines), size, parts, **place)


def _nothing() -> list[Html]:
    return [text(WIDTH / 2, HEIGHT / 2, "No values were logged.", "small", "middle")]


def _parts(chart: Chart, lines: Sequence[Line]) -> list[Html]:
    values = [value for line in lines for _, value in line.points] + ([] if chart.level is None else [chart.level])
    upward = ticks(*(chart.bounds or (min(values), max(values))))
    frame = _Frame((0.0, max(chart.epochs, 1e-9)), (upward[0], upward[-1]))
    return [
        *_upward_axis(frame, upward),
        *_epoch_axis(frame, chart.epochs),
        *_level(frame, chart),
        *(_curve(frame, line) for line in lines),
        *_names(frame, chart, lines),
    ]


def _description(chart: Chart, lines: Sequence[Line]) -> str:
    ends = [
        f"{_words(line)} goes from {real(line.points[0][1], chart.digits)} at epoch {line.points[0][0]:.3g} "
        f"to {real(line.points[-1][1], chart.digits)} at epoch {line.points[-1][0]:.3g}"
        for line in lines
        if line.name
    ]
    return f"{chart.title} in {chart.unit} by epoch: {'; '.join(ends) or 'no values'}."


def _words(line: Line) -> str:
    return line.name if line.name == line.kind else f"{line.kind}, {line.name}"


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
    ends = [mark for mark in marks if 0 < mark < epochs and mark.is_integer()]
    parts = [rule(frame.x(mark), TOP, frame.x(mark), bottom, "grid") for mark in ends]
    parts.append(rule(LEFT, bottom, WIDTH - RIGHT, bottom, "axis"))
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
    kind = f"curve {line.kind}{' faint' if line.is_faint else ''}{' dashed' if line.is_dashed else ''}"
    shapes = [element("path", "", class_=kind, d=path)]
    if len(places) == 1 or (line.is_dashed and len(places) <= MOST_DOTS):
        shapes += [
            element("circle", "", class_=f"dot {line.kind}", cx=f"{x:.1f}", cy=f"{y:.1f}", r=3.2) for x, y in places
        ]
    return join(shapes, "")


def _names(frame: _Frame, chart: Chart, lines: Sequence[Line]) -> list[Html]:
    """Return a name at each line's end, moved apart if two would touch."""
    labels = [
        (frame.y(line.points[-1][1]), f"{line.name} {real(line.points[-1][1], chart.digits)}", line.kind)
        for line in lines
        if line.name
    ]
    if chart.level is not None and chart.level_name:
        labels.append((frame.y(chart.level), chart.level_name, "small"))
    labels.sort()
    ys = _apart([y for y, _, _ in labels])
    return [text(WIDTH - RIGHT + 8, y + 4, name, kind) for y, (_, name, kind) in zip(ys, labels, strict=True)]


def _apart(ys: list[float]) -> list[float]:
    """Return places from top to bottom, near the wanted ones and at least LABEL_GAP apart."""
    for _ in range(20):
        for at, (above, below) in enumerate(pairwise(ys)):
            if below - above < LABEL_GAP:
                middle = (above + below) / 2
                ys[at], ys[at + 1] = middle - LABEL_GAP / 2, middle + LABEL_GAP / 2
    return list(accumulate(ys, lambda above, y: max(y, above + LABEL_GAP), initial=LABEL_TOP - LABEL_GAP))[1:]
