"""One line of JSON Lines → its object, or the name of its fault. The standard library decides, strictly."""

import json
from collections.abc import Callable
from typing import Any

SHOWN = 160  # characters of a faulty line that the audit shows


class _DuplicateKey(ValueError):
    pass


def excerpt(line: bytes) -> str:
    """Return the beginning of a line, for the audit."""
    return line[:SHOWN].decode("utf-8", "replace").strip("\r")


def no_constant(name: str) -> Any:
    """Refuse NaN and the infinities, which are not JSON."""
    raise ValueError(f"{name} is not JSON")


def read_object(line: bytes, constant: Callable[[str], Any] = no_constant) -> tuple[dict[str, Any], str | None]:
    """Return (object, None), or ({}, fault); `constant` converts NaN and the infinities."""
    try:
        row = json.loads(line.decode("utf-8"), object_pairs_hook=_unique_keys, parse_constant=constant)
    except UnicodeDecodeError:
        return {}, "not-utf8"
    except _DuplicateKey:
        return {}, "duplicate-key"
    except (ValueError, RecursionError):
        return {}, "unreadable-line"
    return (row, None) if isinstance(row, dict) else ({}, "not-an-object")


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) != len(pairs):
        raise _DuplicateKey
    return row
