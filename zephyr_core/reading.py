"""Read files on disk as far as possible: their caller reports what is damaged, instead of a crash."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any


def parsed(path: Path, parse: Callable[[str], Any] = json.loads) -> Any:
    """Return what a text file holds.

    Raises:
        OSError: it cannot be read.
        ValueError: it is damaged: not UTF-8, not what `parse` reads, or nested too deeply.
    """
    try:
        return parse(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def json_file(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file; an empty one if the file is missing or damaged."""
    try:
        content = parsed(path)
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def json_lines(path: Path) -> tuple[list[dict[str, Any]], int]:
    """Return the objects of a file of JSON lines, and how many lines are not objects."""
    rows: list[dict[str, Any]] = []
    if not path.is_file():
        return rows, 0
    lines = [line for line in path.read_text(encoding="utf-8", errors="replace").split("\n") if line.strip()]
    for line in lines:
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(row, dict):
            rows.append(row)
    return rows, len(lines) - len(rows)
