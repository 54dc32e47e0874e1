"""Files on disk as far as they can be read: what is damaged is told by whoever looks after it, not by a crash."""

import json
from pathlib import Path
from typing import Any


def json_file(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file; an empty one when there is none or it is damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def json_lines(path: Path) -> tuple[list[dict[str, Any]], int]:
    """Return the objects of a file of JSON lines, and how many lines are none."""
    rows: list[dict[str, Any]] = []
    if not path.is_file():
        return rows, 0
    lines = [line for line in path.read_text(encoding="utf-8", errors="replace").split("\n") if line.strip()]
    for line in lines:
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict):
            rows.append(row)
    return rows, len(lines) - len(rows)
