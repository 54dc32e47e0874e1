"""Rows of a shape that is not words: what was found, the known shape nearest to it, and the line that converts it."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from zephyr_data.sources import trees
from zephyr_data.sources.shapes import EXCHANGES, LISTS

KNOWN = ", ".join((*LISTS, *(each.name for each in EXCHANGES), trees.NAME))
_ROLE_KEYS = ("role", "from", "speaker", "author", "sender", "user")
_TEXT_KEYS = ("content", "value", "text", "message", "utterance", "body")
_PROMPTS = ("prompt", "instruction", "question", "query", "input", "inputs", "human", "user", "problem", "request")
_ANSWERS = ("completion", "response", "output", "answer", "reply", "assistant", "solution", "target", "targets")
_OF_TREE = {"message_id", "parent_id", "text"}


def hint(row: Mapping[str, Any], is_parquet: bool) -> str:
    """Return what to do about a row: the known shape nearest to it, and the line that converts a file to it."""
    if set(row) >= _OF_TREE:
        return "each row is one message of a tree; trees are read: give OASST's file whose name ends in .trees.jsonl.gz"
    shape, program = _nearest(row)
    line = f"`jq -c '{program}' FILE > FILE.jsonl`"
    if is_parquet:
        write = 'polars.read_parquet("FILE").write_ndjson("ROWS")'
        line = f"`python -c 'import polars; {write}'` and {line.replace('FILE >', 'ROWS >')}"
    return f"a dialogue is read from {KNOWN}; nearest is {shape}: convert with {line}"


def _nearest(row: Mapping[str, Any]) -> tuple[str, str]:
    for name, value in row.items():
        first = next(iter(value), None) if isinstance(value, list) else None
        if isinstance(first, Mapping) and (turn := _turn(first)) is not None:
            return "messages", f"{{messages: [{_field(name)}[] | {turn}]}}"
        if isinstance(first, str) and len(value) > 1:
            return "data", f"{{data: {_field(name)}}}"
    question, answer = _closest(row, _PROMPTS), _closest(row, _ANSWERS)
    prompt_field, answer_field = (_field(name or other) for name, other in ((question, "PROMPT"), (answer, "ANSWER")))
    return "prompt + completion", f"{{prompt: {prompt_field}, completion: {answer_field}}}"


def _turn(turn: Mapping[str, Any]) -> str | None:
    role, text = (next((key for key in keys if key in turn), None) for keys in (_ROLE_KEYS, _TEXT_KEYS))
    return f"{{role: {_field(role)}, content: {_field(text)}}}" if role and text else None


def _closest(names: Iterable[str], words: tuple[str, ...]) -> str | None:
    by_name = {name.lower(): name for name in names}
    same = (by_name[name] for name in words if name in by_name)
    near = (by_name[match] for name in words for match in difflib.get_close_matches(name, by_name, n=1, cutoff=0.75))
    return next(same, next(near, None))


def _field(name: str) -> str:
    return f".{name}" if name.isidentifier() and name.isascii() else f'.["{name}"]'
