"""One object → the columns of a raw dialogue, or the name of its fault; of JSON and of Parquet alike.

For the rows that are not read a block at a time: odd types, content in parts, one exchange in columns of its own.
"""

from typing import Any

import orjson

from zephyr_data.sources.carried import IDENTITY, carried_of
from zephyr_data.sources.lines import encoding_fault
from zephyr_data.sources.shapes import LISTS, OF_OBJECTS, Exchange
from zephyr_data.sources.values import Unfit, refuse_repeats, text_of, with_material

TURN_KEYS = ("role", "content", "from", "value")
_TEXT_PARTS = ("text", "input_text", "output_text")  # values of `type`

Row = dict[str, Any]


def typed_row(row: Row, line: bytes = b"") -> Row:
    """Return the columns of shapes.RAW, or the fault; the columns that are carried decide nothing."""
    ids = {name: carried_of(row, name) for name in IDENTITY}
    try:
        refuse_repeats(row, *LISTS)
        fields = {name: _list_of(name, row.get(name)) for name in LISTS}
        refuse_surrogates(fields, line)
    except Unfit as unfit:
        return {**ids, "fault": unfit.fault}
    return {**ids, **fields}


def exchange_row(row: Row, exchange: Exchange, line: bytes = b"") -> Row:
    """Return an exchange as the columns of shapes.RAW, its two texts as `data`, or the fault."""
    ids = {name: carried_of(row, name) for name in IDENTITY}
    try:
        refuse_repeats(row, *exchange.columns)
        texts = {name: text_of(row.get(name)) for name in exchange.columns}
        refuse_surrogates(texts, line)
    except Unfit as unfit:
        return {**ids, "fault": unfit.fault}
    if texts[exchange.prompt] is None and texts[exchange.answer] is None:
        return ids
    prompt = with_material(texts[exchange.prompt], texts[exchange.more] if exchange.more else None)
    return {**ids, "data": [prompt, texts[exchange.answer]]}


def _list_of(name: str, value: Any) -> Any:
    if value is None:
        return None
    if not isinstance(value, list):
        raise Unfit
    return [_turn(turn) if name in OF_OBJECTS else text_of(turn) for turn in value]


def _turn(turn: Any) -> Row | None:
    if turn is None:
        return None
    if not isinstance(turn, dict):
        raise Unfit
    refuse_repeats(turn, *TURN_KEYS)
    return {
        key: content_of(turn.get(key)) if key in ("content", "value") else text_of(turn.get(key)) for key in TURN_KEYS
    }


def content_of(value: Any) -> str | None:
    """Return a content's text, or its text parts joined with a line break.

    Raises:
        Unfit: it is neither, or a part is not text.
    """
    return "\n".join(map(_part, value)) if isinstance(value, list) else text_of(value)


def _part(part: Any) -> str:
    if isinstance(part, dict):
        refuse_repeats(part, "type", "text")
        if not isinstance(part.get("type"), str):
            raise Unfit
        if part["type"] not in _TEXT_PARTS:
            raise Unfit("not-text-part")
        part = part.get("text")
    if not isinstance(part, str):
        raise Unfit
    return part


def refuse_surrogates(fields: Row, line: bytes) -> None:
    """Raise if a text holds half of a surrogate pair, or bytes that are not UTF-8.

    Raises:
        Unfit: with the fault.
    """
    try:
        orjson.dumps(fields)
    except orjson.JSONEncodeError:
        raise Unfit(encoding_fault(line)) from None
