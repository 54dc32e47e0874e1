"""The picture of where the rows went: two streams, drawn to scale, and the two trainings they feed."""

from dataclasses import dataclass

from zephyr_page.drawing import arrow, rectangle, svg, text
from zephyr_page.markup import Html, count, join, real
from zephyr_run.report.found import Run, Step

WIDTH, COLUMN = 380.0, 172.0
PLACES = {"clean-ultrachat": 0.0, "binarize": WIDTH - COLUMN}  # left ends of the columns
GAP, BAR, BOX = 8.0, 9.0, 62.0  # between bars; height of a bar, of a model's box
READ, KEPT, SPLIT, MODEL = 46.0, 132.0, 226.0, 322.0  # where each row of bars or boxes begins
WORDS = {"clean-ultrachat": ("raw dialogues", "cleaned", "sft"), "binarize": ("rated rows", "with a pair", "prefs")}


@dataclass(frozen=True)
class Stream:
    """A data step as row counts."""

    read: int
    kept: int
    train: int
    test: int


def stream(step: Step) -> Stream | None:
    """Return the row counts of a whole data step."""
    if not step.counts:
        return None
    kind, counts = WORDS[step.name][2], step.counts
    return Stream(counts["rows_read"], counts["kept_rows"], step.rows_of(f"train_{kind}"), step.rows_of(f"test_{kind}"))


def sums(step: Step) -> str:
    """Return the step's rows as sums, and whether they add up."""
    rows = stream(step)
    if rows is None or step.counts is None:
        return f"{step.name}: {step.state}."
    lost, whole = sum(step.counts["dropped"].values()), step.counts.get("pairs", rows.kept)
    told = [f"{count(rows.read)} read = {count(rows.kept)} kept + {count(lost)} dropped"]
    if whole != rows.kept:
        told.append(f"{count(rows.kept)} rows make {count(whole)} pairs")
    told.append(f"{count(whole)} = {count(rows.train)} train + {count(rows.test)} test")
    do_meet = rows.read == rows.kept + lost and whole == rows.train + rows.test
    return f"{step.name}: {'; '.join(told)}. {'The sums meet.' if do_meet else 'The sums do NOT meet.'}"


def picture(run: Run) -> Html:
    """Return the data flow as SVG; within a stream widths are to scale."""
    told = " ".join([*(sums(run.steps[name]) for name in PLACES), *(_told(run.steps[name]) for name in ("sft", "dpo"))])
    parts = [*(_column(run.steps[name], left) for name, left in PLACES.items()), *_models(run)]
    return svg("flow", "Data flow", told, (WIDTH, MODEL + BOX + 6), parts)


def _column(step: Step, left: float) -> Html:
    rows, (raw, kept, kind) = stream(step), WORDS[step.name]
    if rows is None or not rows.read:
        return join([rectangle(left, READ, COLUMN, BAR, "box absent"), *_label(left, READ - 24, step.state, raw)], "")
    wide = COLUMN - GAP
    keep = wide * rows.kept / rows.read
    gap = GAP if keep > 3 * GAP else 0.0
    train = (keep - gap) * rows.train / max(rows.train + rows.test, 1)
    lost, test = wide - keep, keep - gap - train
    parts = [
        _band(left, READ, left, KEPT, keep, "fill-train"),
        _band(left + keep, READ, left + keep + GAP, KEPT, lost, "fill-lost"),
        _band(left, KEPT, left, SPLIT, train, "fill-train"),
        _band(left + train, KEPT, left + train + gap, SPLIT, test, "fill-test"),
        rectangle(left, READ, wide, BAR, "fill-train"),
        rectangle(left, KEPT, keep, BAR, "fill-train"),
        rectangle(left + keep + GAP, KEPT, lost, BAR, "fill-lost"),
        rectangle(left, SPLIT, train, BAR, "fill-train"),
        rectangle(left + train + gap, SPLIT, test, BAR, "fill-test"),
        *_label(left, READ - 24, count(rows.read), raw),
        *_label(left, KEPT + 26, count(rows.kept), kept),
        *_label(left + COLUMN, KEPT + 26, count(rows.read - rows.kept), "dropped", "end"),
        *_label(left, SPLIT + 26, count(rows.train), f"train_{kind}"),
        *_label(left + COLUMN, SPLIT + 26, count(rows.test), f"test_{kind}", "end"),
    ]
    return join(parts, "")


def _models(run: Run) -> list[Html]:
    (left, right), middle = PLACES.values(), MODEL + BOX / 2
    down = [arrow(x + 12, SPLIT + 50, x + 12, MODEL - 1) for x in (left, right)]
    across = arrow(left + COLUMN, middle, right, middle)
    return [*down, across, *_box(run.steps["sft"], "dSFT", left), *_box(run.steps["dpo"], "dDPO", right)]


def _box(step: Step, name: str, left: float) -> list[Html]:
    frame = rectangle(left + 0.5, MODEL, COLUMN - 1, BOX, "box" if step.manifest else "box absent")
    lines = [text(left + 12, MODEL + 35 + 16 * at, line, "small") for at, line in enumerate(_figures(step))]
    return [frame, text(left + 12, MODEL + 19, name, "strong"), *lines]


def _figures(step: Step) -> list[str]:
    if step.model is None:
        return [step.state]
    last = dict((step.tests() or [{}])[-1])
    key, name = ("accuracy", "test accuracy") if step.name == "dpo" else ("loss", "test loss")
    return [f"{count(step.job.get('steps'))} steps", f"{name} {real(last.get(key), 2)}"]


def _told(step: Step) -> str:
    return f"{step.name}: {', '.join(_figures(step))}."


def _band(x1: float, y1: float, x2: float, y2: float, width: float, kind: str) -> Html:
    """Return a stream of one width between two bars."""
    top, bend = y1 + BAR, (y1 + BAR + y2) / 2
    there = f"M{x1:.1f} {top}C{x1:.1f} {bend} {x2:.1f} {bend} {x2:.1f} {y2}"
    back = f"H{x2 + width:.1f}C{x2 + width:.1f} {bend} {x1 + width:.1f} {bend} {x1 + width:.1f} {top}Z"
    return Html(f'<path class="band {kind}" d="{there}{back}"></path>')


def _label(x: float, y: float, number: str, word: str, anchor: str = "start") -> list[Html]:
    return [text(x, y, number, "strong", anchor), text(x, y + 15, word, "small", anchor)]
