"""What was changed and dropped, shown on a few rows of the audit."""

import re

from zephyr_page.markup import Html, digest, element, join, safe, shorten
from zephyr_run.report import examples
from zephyr_run.report.on_disk import StepFiles

SNIPPET = 260  # characters of an example


def rewritten(step: StepFiles) -> Html:
    """Return up to three changed passages, before and after."""
    rows = examples.rewritten(step.folder)
    return join([element("h4", _title("rewritten passages", rows)), *map(_change, rows)]) if rows else Html("")


def dropped(step: StepFiles) -> Html:
    """Return up to three dropped rows with the reason and what was matched."""
    rows = examples.dropped(step.folder, step.counts["dropped"] if step.counts else {})
    return join([element("h4", _title("dropped rows", rows)), *map(_drop, rows)]) if rows else Html("")


def _title(what: str, rows: list[examples.Row]) -> str:
    return f"Three {what}" if len(rows) == examples.MOST else what.capitalize()


def _change(row: examples.Row) -> Html:
    signed = zip("−+", _marked(shorten(row["before"], SNIPPET), shorten(row["after"], SNIPPET)), strict=True)
    who = element("p", f"{row['stage']}/{row['rule']} · turn {row['turn']}", class_="who")
    lines = [element("p", join(pair, " "), class_="said", dir="auto") for pair in signed]
    return element("div", join([who, *lines]), class_="example")


def _marked(before: str, after: str) -> tuple[Html, Html]:
    """Return both texts with differing words marked, if they have the same number of words."""
    old, new = (re.split(r"(\s+)", text) for text in (before, after))
    if len(old) != len(new):
        return safe(before), safe(after)
    pairs = list(zip(old, new, strict=True))
    sides = [[pair[side] if pair[0] == pair[1] else element("mark", pair[side]) for pair in pairs] for side in (0, 1)]
    return join(sides[0], ""), join(sides[1], "")


def _drop(row: examples.Row) -> Html:
    place = f"{row['file']}:{row['line']}" + ("" if row["turn"] is None else f", turn {row['turn']}")
    who = element("p", join([element("strong", f"{row['stage']}/{row['rule']}"), f"· {place}"], " "), class_="who")
    return element("div", join([who, element("p", _match(row), class_="said", dir="auto")]), class_="example")


def _match(row: examples.Row) -> object:
    if not row["matched"]:
        return "(the audit keeps no text for this reason)"
    if row["stage"] == "duplicates":  # the match is the row that stays
        return join(["same as the row", digest(row["matched"])], " ")
    return re.sub(r"\s*\n\s*", " ", shorten(row["matched"], SNIPPET))
