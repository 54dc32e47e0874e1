"""Duplicates: dialogues of the same normal form, which differ in case, whitespace or punctuation, if at all."""

import hashlib
from collections.abc import Iterable

import polars as pl

from zephyr_core.texts import ASCII_IGNORED, ASCII_LOWER, IGNORED, QUOTES_AND_DASHES, SEPARATOR, STEADY
from zephyr_core.texts import folded as folded_text
from zephyr_data import schemas
from zephyr_data.stages.overruling import Reason
from zephyr_data.stages.turns import folded, folded_turns
from zephyr_data.stages.verbs import LookUp, Stage, at_hand, mark, nothing_found, verdict

NAME = "duplicates"
RULES = {"dialogue": "same-dialogue", "prompt": "same-prompt"}
REASONS = {
    f"{NAME}/same-dialogue": Reason("its turns agree, in normal form, with those of a dialogue that is kept"),
    f"{NAME}/same-prompt": Reason("its first turn agrees, in normal form, with that of a dialogue that is kept"),
}
READ, COMPARED = 320, 128  # bytes of each end of a text, and of its normal form, that make the number
LONGEST = 4  # bytes of a character
_CHANGING = f"[^{STEADY}]"


def mark_duplicates(scope: str, look_up: LookUp = at_hand, *, with_system: bool = False) -> Stage:
    """Return a stage that marks all but one of the rows of the same normal form; `scope` is "dialogue" or "prompt".

    The row with the smallest row_key survives, or the first by location if those are equal; `matched` names it.
    Dialogues whose system turns differ are no duplicates, as if these were folded into the first turn.

    Columns in:  duplicate_number; of rows that share one, also turns, row_key, source, file, line, by `look_up`, and
                 system if asked for
    """

    def keyed(rows: pl.DataFrame) -> pl.DataFrame:
        keys = text_keys(_texts(rows, scope, with_system))
        return rows.select("row_key", *schemas.LOCATION, duplicate_key=pl.Series(keys, dtype=pl.Binary))

    def find(table: pl.DataFrame) -> pl.DataFrame:
        free = table.select("dropped_by", "duplicate_number").filter(pl.col("dropped_by").is_null())
        ordered = free["duplicate_number"].sort()
        shared = ordered.filter(ordered == ordered.shift())
        suspects = table.filter(pl.col("dropped_by").is_null() & pl.col("duplicate_number").is_in(shared.implode()))
        if suspects.is_empty():
            return nothing_found()
        columns = ("turns", *(("system",) if with_system else ()), "row_key", *schemas.LOCATION)
        located = look_up(suspects, columns, keyed)
        alike = located.filter(pl.len().over("duplicate_key") > 1)
        groups = alike.sort("duplicate_key", "row_key", *schemas.LOCATION)
        survivor = pl.col("row_key").first().over("duplicate_key")
        later = groups.with_columns(survivor=survivor, is_first=pl.col("duplicate_key").is_first_distinct())
        return verdict(later.filter(~pl.col("is_first")), RULES[scope], matched=pl.col("survivor"))

    return mark(NAME, find)


def duplicate_numbers(table: pl.DataFrame, scope: str, *, with_system: bool = False) -> pl.Series:
    """Return a number for each row, the same for duplicates and for few others; null for a row without turns.

    It is made of the two ends of the normal form, and these of the two ends of the text: most rows are never
    normalised. Rows that share a number are compared whole.

    Columns in:  turns; system if asked for
    """
    texts = _texts(table, scope, with_system)
    ends = _ends(texts)
    places = [place for place, is_null in enumerate(texts.is_null()) if ends[place] is None and not is_null]
    for place, words in zip(places, normalised(texts.gather(places)), strict=True):
        ends[place] = None if words is None else words[:COMPARED] + words[-COMPARED:]
    digests = [None if pair is None else hashlib.sha256(pair).digest() for pair in ends]
    return pl.Series([digest and int.from_bytes(digest[:8]) for digest in digests], dtype=pl.UInt64)


def _ends(texts: pl.Series) -> list[bytes | None]:
    """Return the two ends of each text's normal form, as far as those of the text decide it.

    The last character of the first end may become another one: an accent may follow it.
    """
    whole = texts.cast(pl.Binary)
    ends: list[bytes | None] = []
    for first, last in zip(_forms(whole.bin.head(READ)), _forms(whole.bin.tail(READ)), strict=True):
        decided = len(first) >= COMPARED + LONGEST and len(last) >= COMPARED and first.strip(SEPARATOR.encode())
        ends.append(first[:COMPARED] + last[-COMPARED:] if decided else None)
    return ends


def _forms(parts: pl.Series) -> list[bytes]:
    """Return the normal form of the parts of texts; nothing where what stands next to a part may matter."""
    forms, others = [], {}
    for place, part in enumerate(parts.to_list()):
        words = part or b""
        if not words.isascii():
            words = QUOTES_AND_DASHES.sub(b"", words)
            if not words.isascii():
                others[place], words = part.decode("utf-8", "ignore"), b""
        forms.append(words.translate(ASCII_LOWER, ASCII_IGNORED))
    rest = pl.Series(others.values(), dtype=pl.String)
    cut = _cut(rest.str.to_lowercase())
    for place, words, is_changing in zip(others, cut.cast(pl.Binary), cut.str.contains(_CHANGING), strict=True):
        forms[place] = b"" if is_changing else words
    return forms


def _texts(table: pl.DataFrame, scope: str, with_system: bool) -> pl.Series:
    """Return what of each row is compared."""
    if scope == "prompt":
        text = folded() if with_system else pl.col("turns").list.first()
    else:
        text = (folded_turns() if with_system else pl.col("turns")).list.join(SEPARATOR)
    return table.select(text.alias("text")).to_series()


def text_keys(texts: pl.Series) -> list[bytes | None]:
    """Return 16 bytes for each text, equal for texts of the same normal form."""
    return [None if text is None else hashlib.sha256(text).digest()[:16] for text in normalised(texts)]


def normalised(texts: pl.Series) -> Iterable[bytes | None]:
    """Yield the normal form of each text: folded, without what is ignored; a text that would be empty stays as it is.

    ASCII texts are handled as bytes, many times faster than others, and so are those that are ASCII once their quotes
    and dashes are gone.
    """
    whole = texts.cast(pl.Binary).to_list()
    cut = [text if text is None or text.isascii() else QUOTES_AND_DASHES.sub(b"", text) for text in whole]
    places = [place for place, text in enumerate(cut) if text is not None and not text.isascii()]
    folds = dict(zip(places, _folded(texts.gather(places)), strict=True))
    for place, (text, ascii_text) in enumerate(zip(whole, cut, strict=True)):
        if text is None or ascii_text is None:
            yield None
        else:
            words = folds[place] if place in folds else ascii_text.translate(ASCII_LOWER, ASCII_IGNORED)
            yield words if words.strip(SEPARATOR.encode()) else text


def _folded(texts: pl.Series) -> pl.Series:
    """Return the texts, as bytes, folded and without what is ignored."""
    cut = _cut(texts.str.to_lowercase())
    others = (cut.str.len_bytes() != cut.str.len_chars()).arg_true()
    changing = others.filter(cut.gather(others).str.contains(_CHANGING))
    folds = pl.Series(map(folded_text, cut.gather(changing)), dtype=pl.String)
    return cut.scatter(changing, _cut(folds)).cast(pl.Binary)


def _cut(texts: pl.Series) -> pl.Series:
    """Return the texts without what is ignored."""
    cut = [text.translate(None, ASCII_IGNORED) for text in texts.cast(pl.Binary)]
    return pl.Series(cut, dtype=pl.Binary).cast(pl.String).str.replace_all(IGNORED, "")
