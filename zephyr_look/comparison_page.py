"""A comparison as a page of one file."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from zephyr_core.manifest import write_text_whole
from zephyr_look.change_examples import Example, changed_texts, place_of
from zephyr_look.comparison import Compared
from zephyr_look.comparison_text import Table, comparison_tables
from zephyr_look.word_changes import CAME, WENT
from zephyr_page.document import document
from zephyr_page.markup import Html, count, element, facts, folded, join, note, section, table

_ELEMENTS = {WENT: "del", CAME: "ins"}


def write_page(path: Path, record: Compared, changes: Mapping[str, list[Example]]) -> None:
    """Write the page, whole or not at all; a page that is there is replaced."""
    left, right = record["rows"]
    sides = facts([("left", record["left"]), ("rows", count(left)), ("right", record["right"]), ("rows", count(right))])
    parts = [section("Figures", "figures", [sides, *map(_table, comparison_tables(record))])]
    if changes:
        remark = note("The first rows of each change. What went is struck out, what came is underlined.")
        parts.append(section("Examples", "examples", [remark, *(_examples(*each) for each in changes.items())]))
    title = f"{record['left']} and {record['right']} compared"
    body = [element("header", element("h1", title)), element("main", join(parts))]
    write_text_whole(path, document(title, join(body)))


def _table(each: Table) -> Html:
    cells = [tuple(count(cell) if isinstance(cell, int) else cell for cell in row) for row in each.rows]
    return table(each.head[0], each.head, cells, each.align)


def _examples(change: str, pairs: Iterable[Example]) -> Html:
    return folded(change, join(_example(change, pair) for pair in pairs))


def _example(change: str, pair: Example) -> Html:
    texts = [
        (name, element("p", join((_part(*part) for part in parts), ""), class_="text"))
        for name, parts in changed_texts(change, pair)
    ]
    return join([note(place_of(pair)), facts(texts)])


def _part(kind: str, words: str) -> object:
    return element(_ELEMENTS[kind], words) if kind in _ELEMENTS else words
