"""The readers of files that may be damaged or hostile: a fault names the file, and none of them crashes.

`checked` refuses, `json_file` and `json_lines` read as far as they can, `table_faults` is for the libraries of tables.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from zephyr_core.errors import DataError, ZephyrError, first_line

_OF_TABLES = ("pyarrow", "polars", "pyo3_runtime")  # whose errors have no common base


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


def checked(
    path: Path,
    parse: Callable[[str], Any] = json.loads,
    *,
    form: str = "JSON",
    error: type[ZephyrError] = DataError,
    hint: str | None = None,
) -> Any:
    """Return what a text file holds.

    Raises:
        error: it cannot be read or parsed; the message names the file and the form it should have.
    """
    try:
        return parsed(path, parse)
    except OSError as fault:
        raise error(f"{path} cannot be read: {fault.strerror or fault}", hint) from None
    except ValueError as fault:
        raise error(f"{path} is not valid {form}: {first_line(fault)}", hint) from None


@contextmanager
def table_faults(path: Path, *, error: type[ZephyrError] = DataError, hint: str | None = None) -> Iterator[None]:
    """Turn what polars, pyarrow or the system says about a damaged table into one error that names the file.

    Raises:
        error: the file is missing, damaged, or lacks a column.
    """
    try:
        yield
    except ZephyrError:
        raise
    except MemoryError:
        raise
    except BaseException as fault:
        is_of_tables = type(fault).__module__.split(".")[0] in _OF_TABLES
        if not (is_of_tables or isinstance(fault, OSError | ValueError | KeyError | TypeError)):
            raise
        raise error(f"{path} is damaged or cannot be read: {first_line(fault)}", hint) from None


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
