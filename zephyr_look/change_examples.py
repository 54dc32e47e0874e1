"""Examples of each change between two datasets, with their texts, which are read again."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import polars as pl
from rich.text import Text

from zephyr_core.console import one_line
from zephyr_look.comparison import ONLY_LEFT, ONLY_RIGHT, Comparison
from zephyr_look.matching import CHANGES, FLIPPED
from zephyr_look.opening import Dataset
from zephyr_look.row_form import PLACE
from zephyr_look.safe_text import visible
from zephyr_look.screen import Screen
from zephyr_look.word_changes import CAME, SAME, WENT, word_changes

_TEXTS = ("prompt", "reply", "chosen", "rejected")
_STYLES = {SAME: "", WENT: "black on red", CAME: "black on green"}
_MARKS = {SAME: ("", ""), WENT: ("[-", "-]"), CAME: ("{+", "+}")}
_SHORT = 300  # characters of a text that has no other to be compared with
Row = dict[str, Any]
Example = tuple[Row | None, Row | None]


def examples(comparison: Comparison, count: int) -> dict[str, list[Example]]:
    """Return change → the first rows with it, left and right; None where a row is in one dataset only."""
    numbers = {name: comparison.numbers(name).head(count) for name in (ONLY_LEFT, ONLY_RIGHT, *CHANGES)}
    sides = {
        "left": (comparison.left, comparison.left_rows),
        "right": (comparison.right, comparison.right_rows),
    }
    rows = {
        side: _rows(dataset, index, pl.concat([each[side] for each in numbers.values()]).drop_nulls())
        for side, (dataset, index) in sides.items()
    }
    return {
        name: [(rows["left"].get(left), rows["right"].get(right)) for left, right in each.iter_rows()]
        for name, each in numbers.items()
        if each.height
    }


def _rows(dataset: Dataset, index: pl.DataFrame, numbers: pl.Series) -> dict[int | None, Row]:
    """Return number → row, of some rows of an index."""
    places = index[numbers].select(PLACE).with_columns(number=numbers)
    table = dataset.rows_at(places, [*PLACE, "prompt_id", *_TEXTS]).join(places, on=PLACE)
    return {row.pop("number"): row for row in table.iter_rows(named=True)}


def example_texts(changes: Mapping[str, list[Example]], screen: Screen) -> Iterator[str]:
    """Yield each example as text: where it is, and what of its texts changed, word by word."""
    for change, pairs in changes.items():
        for pair in pairs:
            parts = [screen.lines(Text(f"── {change}  {place_of(pair)}", "bold"))]
            for title, words in changed_texts(change, pair):
                parts += [screen.lines(Text(title, "bold"), 2), screen.lines(_marked(words, screen), 4)]
            yield "\n".join(parts)


def place_of(pair: Example) -> str:
    """Return where the rows of an example are, and their prompt_id."""
    places = " ↔ ".join(f"{row['file']}:{row['row']}" for row in pair if row is not None)
    name = next(row["prompt_id"] for row in pair if row is not None)
    return visible(f"{places}  {name or ''}")


def changed_texts(change: str, pair: Example) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Yield the texts of an example by name, as the parts that `word_changes` yields; equal ones only of prompts."""
    left, right = pair
    if left is None or right is None or change == FLIPPED:
        row = left or right or {}
        yield from ((name, _short(row[name])) for name in _TEXTS if row[name] is not None)
        return
    for name in _TEXTS:
        before, after = left[name] or "", right[name] or ""
        if before != after:
            yield name, list(word_changes(before, after))
        elif name == "prompt" and before:
            yield name, _short(before)


def _short(text: str) -> list[tuple[str, str]]:
    return [(SAME, visible(one_line(text, _SHORT)))]


def _marked(parts: Iterable[tuple[str, str]], screen: Screen) -> Text:
    """Return parts in colour, or as `wdiff` writes them: [-went-]{+came+}."""
    text = Text()
    for kind, words in parts:
        start, stop = ("", "") if screen.colour else _MARKS[kind]
        text.append(f"{start}{words}{stop}", _STYLES[kind])
    return text
