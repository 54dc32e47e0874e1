"""Read the text of `--set key=value` as a value of its field's type; a field is a line of fields.json."""

import json
import math
from collections.abc import Callable, Sequence
from typing import NotRequired, TypedDict


class Field(TypedDict):
    """A line of fields.json."""

    kinds: list[str]
    default: object
    choices: NotRequired[list[str]]


class Unreadable(ValueError):
    """A text does not fit its field's type; the message says what the field takes."""


def parse(text: str, field: Field) -> object:
    """Return the text as a value of the field's type.

    Raises:
        Unreadable: it does not fit the type; the message says what the field takes.
    """
    kinds = field["kinds"]
    if text in ("none", "null") and "none" in kinds and field["default"] != text:
        return None
    for kind in _order(kinds):
        value = _READERS[kind](text, field)
        if value is not _NOT:
            return value
    raise Unreadable(_takes(field))


_NOT = object()  # the text is not of that kind


def _boolean(text: str, field: Field) -> object:
    return {"true": True, "false": False}.get(text.lower(), _NOT)


def _integer(text: str, field: Field) -> object:
    try:
        return int(text)
    except ValueError:
        return _NOT


def _number(text: str, field: Field) -> object:
    try:
        value = float(text)
    except ValueError:
        return _NOT
    return value if math.isfinite(value) else _NOT


def _text(text: str, field: Field) -> object:
    return text if text and text in field.get("choices", [text]) else _NOT


def _json(text: str, field: Field) -> object:
    """Return the JSON list or object; if the field is a list of texts, a bare word is a list of one."""
    try:
        value = json.loads(text, parse_constant=_refused)
    except ValueError:
        is_word = "list[str]" in field["kinds"] and "str" not in field["kinds"] and text and text[0] not in '[{"'
        return [text] if is_word else _NOT
    if isinstance(value, dict):
        return value if "dict" in field["kinds"] else _NOT
    member = _MEMBERS[next(iter({"list[str]", "list[float]"} & set(field["kinds"])), "")]
    return value if isinstance(value, list) and all(type(one) in member for one in value) else _NOT


def _refused(constant: str) -> object:
    raise ValueError(constant)  # NaN and infinities, which JSON does not have


_MEMBERS: dict[str, tuple[type, ...]] = {"list[str]": (str,), "list[float]": (float, int), "": ()}
_READERS: dict[str, Callable[[str, Field], object]] = {
    "bool": _boolean,
    "int": _integer,
    "float": _number,
    "dict": _json,
    "list[str]": _json,
    "list[float]": _json,
    "str": _text,
}
_WORDS = {
    "bool": "true or false",
    "int": "an integer",
    "float": "a number",
    "dict": "a JSON object",
    "str": "text",
    "list[str]": 'a JSON list such as ["a", "b"]',
    "list[float]": "a JSON list of numbers",
    "none": "none",
}


def _order(kinds: Sequence[str]) -> list[str]:
    """Return the kinds in the order they are tried; a field that takes a dict does not take a file name."""
    return [kind for kind in _READERS if kind in kinds and not (kind == "str" and "dict" in kinds)]


def _takes(field: Field) -> str:
    words = [_WORDS[kind] for kind in _order(field["kinds"]) if kind != "str" or "choices" not in field]
    words += field.get("choices", [])
    return " or ".join([*words, "none"] if "none" in field["kinds"] else words)
