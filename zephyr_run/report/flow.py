"""The picture of where the rows went: two streams, drawn to scale, and the two trainings they feed."""

from collections.abc import Iterator
from dataclasses import dataclass

from zephyr_page.drawing import arrow, rectangle, svg, text
from zephyr_page.markup import Html, count, join, real
from zephyr_run.report.on_disk import Run, StepFiles

WIDTH, COLUMN = 380.0, 172.0
GAP, BAR, BOX = 8.0, 9.0, 62.0  # between bars; height of a bar, of a model's box
READ, KEPT, SPLIT, MODEL = 46.0, 132.0, 226.0, 322.0  # where each row of bars or boxes begins


@dataclass(frozen=True)
class Stream:
    """A data step as row counts."""

    read: int
    kept: int
    train: int
    test: int


def stream(step: StepFiles) -> Stream | None:
    """Return the row counts of a whole data step."""
    if not step.counts:
        return None
    train, test = map(step.rows_of, step.step.splits)
    return Stream(step.counts["rows_read"], step.counts["kept_rows"], train, test)


def sums(step: StepFiles) -> str:
    """Return the step's rows as sums, and whether they add up."""
    rows = stream(step)
    if rows is None or step.counts is None:
        return f"{step.name}: {step.state}."
    dropped, whole = sum(step.counts["dropped"].values()), step.counts.get("pairs", rows.kept)
    parts = [f"{count(rows.read)} read = {count(rows.kept)} kept + {count(dropped)} dropped"]
    if whole != rows.kept:
        parts.append(f"{count(rows.kept)} rows make {count(whole)} pairs")
    parts.append(f"{count(whole)} = {count(rows.train)} train + {count(rows.test)} test")
    do_meet = rows.read == rows.kept + dropped and whole == rows.train + rows.test
    return f"{step.name}: {'; '.join(parts)}. {'The sums meet.' if do_meet else 'The sums do NOT meet.'}"


def picture(run: Run) -> Html:
    """Return the data flow as SVG; within a stream widths are to scale."""
    data, models = run.of_kind("dataset"), run.of_kind("model")
    words = " ".join([*map(sums, data), *(f"{step.name}: {', '.join(_figures(step))}." for step in models)])
    columns = {step.name: place * (WIDTH - COLUMN) / max(len(data) - 1, 1) for place, step in enumerate(data)}
    parts = [*(_column(step, columns[step.name]) for step in data), *_models(run, columns)]
    return svg("flow", "Data flow", words, (WIDTH, MODEL + BOX + 6), parts)


def _column(step: StepFiles, x: float) -> Html:
    """Return a data step's stream, whose left end is at x."""
    rows, (raw, cleaned), (train_split, test_split) = stream(step), step.step.rows, step.step.splits
    if rows is None or not rows.read:
        return join([rectangle(x, READ, COLUMN, BAR, "box absent"), *_label(x, READ - 24, step.state, raw)], "")
    wide = COLUMN - GAP
    keep = wide * rows.kept / rows.read
    gap = GAP if keep > 3 * GAP else 0.0
    train = (keep - gap) * rows.train / max(rows.train + rows.test, 1)
    dropped, test = wide - keep, keep - gap - train
    parts = [
        _band(x, READ, x, KEPT, keep, "fill-train"),
        _band(x + keep, READ, x + keep + GAP, KEPT, dropped, "fill-lost"),
        _band(x, KEPT, x, SPLIT, train, "fill-train"),
        _band(x + train, KEPT, x + train + gap, SPLIT, test, "fill-test"),
        rectangle(x, READ, wide, BAR, "fill-train"),
        rectangle(x, KEPT, keep, BAR, "fill-train"),
        rectangle(x + keep + GAP, KEPT, dropped, BAR, "fill-lost"),
        rectangle(x, SPLIT, train, BAR, "fill-train"),
        rectangle(x + train + gap, SPLIT, test, BAR, "fill-test"),
        *_label(x, READ - 24, count(rows.read), raw),
        *_label(x, KEPT + 26, count(rows.kept), cleaned),
        *_label(x + COLUMN, KEPT + 26, count(rows.read - rows.kept), "dropped", "end"),
        *_label(x, SPLIT + 26, count(rows.train), train_split),
        *_label(x + COLUMN, SPLIT + 26, count(rows.test), test_split, "end"),
    ]
    return join(parts, "")


def _models(run: Run, columns: dict[str, float]) -> Iterator[Html]:
    """Yield the boxes of the trained models, each below the data it reads, and the arrows that lead to them."""
    places: dict[str, float] = {}
    for step in run.of_kind("model"):
        source = run.source(step)
        x = columns[source.name] if source else 0.0
        yield arrow(x + 12, SPLIT + 50, x + 12, MODEL - 1)
        for before in filter(places.__contains__, step.step.reads):
            yield arrow(places[before] + COLUMN, MODEL + BOX / 2, x, MODEL + BOX / 2)
        yield from _box(step, x)
        places[step.name] = x


def _box(step: StepFiles, x: float) -> list[Html]:
    frame = rectangle(x + 0.5, MODEL, COLUMN - 1, BOX, "box" if step.manifest else "box absent")
    lines = [text(x + 12, MODEL + 35 + 16 * at, line, "small") for at, line in enumerate(_figures(step))]
    return [frame, text(x + 12, MODEL + 19, step.step.title, "strong"), *lines]


def _figures(step: StepFiles) -> list[str]:
    if step.model is None:
        return [step.state]
    last = dict((step.tests() or [{}])[-1])
    key, name = ("accuracy", "test accuracy") if step.is_of_pairs else ("loss", "test loss")
    return [f"{count(step.job.get('steps'))} steps", f"{name} {real(last.get(key), 2)}"]


def _band(x1: float, y1: float, x2: float, y2: float, width: float, kind: str) -> Html:
    """Return a stream of one width between two bars."""
    top, bend = y1 + BAR, (y1 + BAR + y2) / 2
    there = f"M{x1:.1f} {top}C{x1:.1f} {bend} {x2:.1f} {bend} {x2:.1f} {y2}"
    back = f"H{x2 + width:.1f}C{x2 + width:.1f} {bend} {x1 + width:.1f} {bend} {x1 + width:.1f} {top}Z"
    return Html(f'<path class="band {kind}" d="{there}{back}"></path>')


def _label(x: float, y: float, number: str, word: str, anchor: str = "start") -> list[Html]:
    return [text(x, y, number, "strong", anchor), text(x, y + 15, word, "small", anchor)]
