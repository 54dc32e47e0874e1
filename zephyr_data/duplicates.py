"""Duplicates: dialogues that are equal when case, whitespace and punctuation are ignored."""

import hashlib
import re
import sys
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

import polars as pl

from zephyr_data import schemas
from zephyr_data.stages import Stage, mark

NAME = "duplicates"
RULES = {"dialogue": "same-dialogue", "prompt": "same-prompt"}
_SEPARATOR = "\x1e"
_ASCII_LOWER = bytes(ord(chr(code).lower()) if code < 128 else code for code in range(256))
_ASCII_IGNORED = bytes(code for code in range(128) if unicodedata.category(chr(code))[0] in "PZC")


def mark_duplicates(scope: str) -> Stage:
    """Return a stage that names every row whose `duplicate_key` a row with a smaller key holds.

    The survivor is the smallest row_key, between equal keys the first location; `matched` names it.

    Columns in:  duplicate_key, row_key, source, file, line
    """

    def find(table: pl.DataFrame) -> pl.DataFrame:
        free = table.filter(pl.col("dropped_by").is_null())
        groups = free.filter(pl.len().over("duplicate_key") > 1).sort("duplicate_key", "row_key", *schemas.LOCATION)
        survivor = pl.col("row_key").first().over("duplicate_key")
        later = groups.with_columns(survivor=survivor, is_first=pl.col("duplicate_key").is_first_distinct())
        return later.filter(~pl.col("is_first")).select(
            "row",
            rule=pl.lit(RULES[scope]),
            turn=pl.lit(None, dtype=pl.Int32),
            matched="survivor",
            drops=pl.lit(True),
        )

    return mark(NAME, find)


def duplicate_keys(dialogues: Iterable[list[str]], scope: str) -> list[bytes]:
    """Return 16 bytes for each dialogue, equal for duplicates; `scope` is "dialogue" or "prompt"."""
    texts = (turns[0] if scope == "prompt" else _SEPARATOR.join(turns) for turns in dialogues)
    return [hashlib.blake2b(normalised(text), digest_size=16).digest() for text in texts]


def normalised(text: str) -> bytes:
    """Return the text in lower case without whitespace, punctuation and control characters; symbols stay."""
    if text.isascii():
        return text.encode().translate(_ASCII_LOWER, _ASCII_IGNORED) or text.encode()
    return _ignored().sub("", text.lower()).encode() or text.encode()


@lru_cache(maxsize=1)
def _ignored() -> re.Pattern[str]:
    codes = [code for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code))[0] in "PZC"]
    return re.compile("[" + "".join(_spans(codes)) + "]+")


def _spans(codes: list[int]) -> Iterable[str]:
    start = previous = codes[0]
    for code in [*codes[1:], sys.maxunicode + 2]:
        if code != previous + 1:
            yield f"\\U{start:08x}-\\U{previous:08x}"
            start = code
        previous = code
