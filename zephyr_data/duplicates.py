"""Duplicates: dialogues that are equal when case, whitespace and punctuation are ignored."""

import hashlib
import unicodedata
from collections.abc import Iterable

import polars as pl

from zephyr_data import schemas
from zephyr_data.stages import Stage, mark

NAME = "duplicates"
RULES = {"dialogue": "same-dialogue", "prompt": "same-prompt"}
_SEPARATOR = "\x1e"
_ASCII_LOWER = bytes(ord(chr(code).lower()) if code < 128 else code for code in range(256))
_ASCII_IGNORED = bytes(
    code for code in range(128) if unicodedata.category(chr(code))[0] in "PZC" and chr(code) != _SEPARATOR
)
_IGNORED = r"[\p{P}\p{Z}\p{C}&&[^\x1e]]+"


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


def duplicate_keys(dialogues: pl.Series, scope: str) -> list[bytes | None]:
    """Return 16 bytes for each list of turns, equal for duplicates; `scope` is "dialogue" or "prompt"."""
    texts = dialogues.list.first() if scope == "prompt" else dialogues.list.join(_SEPARATOR)
    return text_keys(texts)


def text_keys(texts: pl.Series) -> list[bytes | None]:
    """Return 16 bytes for each text, equal when case, white space and punctuation are ignored."""
    return [None if text is None else hashlib.blake2b(text, digest_size=16).digest() for text in normalised(texts)]


def normalised(texts: pl.Series) -> Iterable[bytes | None]:
    """Yield each text in lower case without whitespace, punctuation and control characters; symbols stay.

    A text of nothing else is left as it is.
    """
    others = _normalised_others(texts)
    for text, other in zip(texts, others, strict=True):
        if text is None:
            yield None
        elif other is None:
            told = text.encode().translate(_ASCII_LOWER, _ASCII_IGNORED)
            yield told if told.strip(_SEPARATOR.encode()) else text.encode()
        else:
            yield (other if other.strip(_SEPARATOR) else text).encode()


def _normalised_others(texts: pl.Series) -> pl.Series:
    """Return the normalised texts that are not ASCII, null for the others: bytes are many times faster than a regex.

    ASCII characters are removed as bytes here too, so that the regex meets only the few others that go.
    """
    is_ascii = texts.str.len_bytes() == texts.str.len_chars()
    lower = texts.set(is_ascii, None).str.to_lowercase()
    cut = [None if text is None else text.encode().translate(None, _ASCII_IGNORED).decode() for text in lower]
    return pl.Series(cut, dtype=pl.String).str.replace_all(_IGNORED, "")
