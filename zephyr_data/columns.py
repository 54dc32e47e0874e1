"""Plain text in columns."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any


def share(part: int, whole: int) -> str:
    """Return a part of a whole in per cent, nothing when there is no whole."""
    return f"{100 * part / whole:.2f} %" if whole else ""


def columns(lines: Iterable[tuple[str, int, str]]) -> Iterator[str]:
    """Yield name, number and note of each line, one below the other."""
    rows = [(name, f"{number:,}", note) for name, number, note in lines]
    first, second = (max(len(row[column]) for row in rows) for column in (0, 1))
    for name, number, note in rows:
        yield f"{name:<{first}}  {number:>{second}}  {note}".rstrip()


def table(head: Sequence[str], body: Sequence[Sequence[Any]]) -> Iterator[str]:
    """Yield a head and rows of a name and numbers, one below the other."""
    rows = [head, *([str(row[0]), *(f"{number:,}" for number in row[1:])] for row in body)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    for row in rows:
        cells = [
            f"{row[0]:<{widths[0]}}",
            *(f"{cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True)),
        ]
        yield "  ".join(cells)


def one_line(text: str | None) -> str:
    """Return a text with every run of white space as one space."""
    return "" if text is None else " ".join(text.split())
