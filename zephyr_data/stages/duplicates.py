"""Duplicates: dialogues of the same normal form, which differ in case, whitespace or punctuation, if at all."""

import hashlib
import re
from collections.abc import Iterable

import polars as pl

from zephyr_core.texts import ASCII_IGNORED, ASCII_LOWER, IGNORED, SEPARATOR, STEADY, folded
from zephyr_data import schemas
from zephyr_data.stages.overruling import Reason
from zephyr_data.stages.verbs import LookUp, Stage, at_hand, mark, verdict

NAME = "duplicates"
RULES = {"dialogue": "same-dialogue", "prompt": "same-prompt"}
REASONS = {
    f"{NAME}/same-dialogue": Reason("its turns agree, in normal form, with those of a dialogue that is kept"),
    f"{NAME}/same-prompt": Reason("its first turn agrees, in normal form, with that of a dialogue that is kept"),
}
_QUOTES_AND_DASHES = re.compile(rb"\xe2\x80[\x93\x94\x98\x99\x9c\x9d\xa2\xa6]")  # – — ‘ ’ “ ” • …


def mark_duplicates(scope: str, look_up: LookUp = at_hand) -> Stage:
    """Return a stage that marks all but one of the rows that share a `duplicate_key`.

    The row with the smallest row_key survives, or the first by location if those are equal; `matched` names it.

    Columns in:  duplicate_hash; for rows that share one, also duplicate_key, row_key, source, file, line, by `look_up`
    """

    def find(table: pl.DataFrame) -> pl.DataFrame:
        free = table.select("dropped_by", "duplicate_hash").filter(pl.col("dropped_by").is_null())
        ordered = free["duplicate_hash"].sort()
        shared = ordered.filter(ordered == ordered.shift())
        suspects = table.filter(pl.col("dropped_by").is_null() & pl.col("duplicate_hash").is_in(shared.implode()))
        located = look_up(suspects, ("duplicate_key", "row_key", *schemas.LOCATION))
        alike = located.filter(pl.len().over("duplicate_key") > 1)
        groups = alike.sort("duplicate_key", "row_key", *schemas.LOCATION)
        survivor = pl.col("row_key").first().over("duplicate_key")
        later = groups.with_columns(survivor=survivor, is_first=pl.col("duplicate_key").is_first_distinct())
        return verdict(later.filter(~pl.col("is_first")), RULES[scope], matched=pl.col("survivor"))

    return mark(NAME, find)


def duplicate_keys(dialogues: pl.Series, scope: str) -> list[bytes | None]:
    """Return 16 bytes for each list of turns, equal for duplicates; `scope` is "dialogue" or "prompt"."""
    texts = dialogues.list.first() if scope == "prompt" else dialogues.list.join(SEPARATOR)
    return text_keys(texts)


def text_keys(texts: pl.Series) -> list[bytes | None]:
    """Return 16 bytes for each text, equal for texts of the same normal form."""
    return [None if text is None else hashlib.sha256(text).digest()[:16] for text in normalised(texts)]


def normalised(texts: pl.Series) -> Iterable[bytes | None]:
    """Yield the normal form of each text: folded, without what is ignored; a text that would be empty stays as it is.

    ASCII texts are handled as bytes, many times faster than others, and so are those that are ASCII once their quotes
    and dashes are gone.
    """
    whole = texts.cast(pl.Binary).to_list()
    cut = [text if text is None or text.isascii() else _QUOTES_AND_DASHES.sub(b"", text) for text in whole]
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
    changing = others.filter(cut.gather(others).str.contains(f"[^{STEADY}]"))
    folds = pl.Series(map(folded, cut.gather(changing)), dtype=pl.String)
    return cut.scatter(changing, _cut(folds)).cast(pl.Binary)


def _cut(texts: pl.Series) -> pl.Series:
    """Return the texts without what is ignored."""
    cut = [text.translate(None, ASCII_IGNORED) for text in texts.cast(pl.Binary)]
    return pl.Series(cut, dtype=pl.Binary).cast(pl.String).str.replace_all(IGNORED, "")
