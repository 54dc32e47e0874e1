"""One line of JSON Lines → its object, or the name of its fault, for lines that a faster reader does not take.

A column that is not used is not judged: neither its bytes nor its keys and numbers.
"""

import json
import math
from typing import Any

SHOWN = 160  # characters of a text that the audit shows
UNREADABLE = ("cut-short", "not-utf8", "unreadable-line", "not-an-object")  # faults of lines that hold no object


class Object(dict[str, Any]):
    """An object of JSON in which some keys are repeated; the last value is kept."""

    repeated: frozenset[str] = frozenset()


def read_object(line: bytes) -> tuple[dict[str, Any], str | None]:
    """Return (object, None), or ({}, fault). Bytes that are not UTF-8 become lone surrogates in its texts."""
    try:
        row = json.loads(line.decode("utf-8", "surrogateescape"), object_pairs_hook=_object, parse_int=_integer)
    except (ValueError, RecursionError):
        return {}, "unreadable-line" if is_utf8(line) else "not-utf8"
    return (row, None) if isinstance(row, dict) else ({}, "not-an-object")


def is_utf8(line: bytes) -> bool:
    """Return whether a line is UTF-8."""
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def encoding_fault(line: bytes) -> str:
    """Return the fault of a line whose texts hold lone surrogates: written so, or bytes that are not UTF-8."""
    return "lone-surrogate" if is_utf8(line) else "not-utf8"


def repeats(row: dict[str, Any], *names: str) -> bool:
    """Return whether one of these keys of an object is repeated; without names, whether any is."""
    repeated = row.repeated if isinstance(row, Object) else frozenset[str]()
    return bool(repeated.intersection(names) if names else repeated)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) == len(pairs):
        return row
    keys = [key for key, _ in pairs]
    result = Object(row)
    result.repeated = frozenset(key for key in row if keys.count(key) > 1)
    return result


def _integer(digits: str) -> float:
    try:
        return int(digits)
    except ValueError:  # thousands of digits
        return math.inf
