"""The truecase stage: flag badly cased turns with one cheap expression, and restore only those."""

import re
from collections.abc import Iterable

import polars as pl

from zephyr_data import schemas
from zephyr_data.cleaning.truecase.names import has_names, names_said
from zephyr_data.cleaning.truecase.restore import NO_NAMES, Recased, restore
from zephyr_data.cleaning.truecase.statistics import Statistics, statistics
from zephyr_data.stages.verbs import Stage, nothing_changed, rewrite

NAME = "truecase"
EDIT_FIELDS = {field.name: field.dtype for field in schemas.EDIT.fields}
CONTEXT = 40  # characters shown on either side of a changed word
# A sentence end before a small letter, a lone i, a small first letter, or a beginning all in capitals.
FLAG = (
    r"""[.!?]["”’')*_]*\s+["“‘'(*_]*[a-zß-öø-ÿ]"""
    r"""|(?:^|[\s("“])i(?:['’](?:m|ve|ll|d)(?-u:\b)|[\s,;!?]|$)"""
    r"""|^[\s"“'(*_]*[a-zß-öø-ÿ]"""
    r"""|^[^a-zß-öø-ÿ\p{Lo}]*[A-Z][^a-zß-öø-ÿ\p{Lo}]{20}"""
)
# If the user mentions letter case, the answer's case is left alone.
ASKS_FOR_CASE = re.compile(
    r"(?i)\b(?:lower|upper)[- ]?case|\ball[- ]caps\b|\bin caps\b|\bcapital(?: letter|i[sz])|\bcapitals\b"
)


def truecase(roles: Iterable[str] = ("assistant",)) -> Stage:
    """Return a stage that restores the case of badly cased turns of those roles.

    Columns in:  turns
    """
    parities = sorted({"user": 0, "assistant": 1}[role] for role in roles)

    def edit(table: pl.DataFrame) -> pl.DataFrame:
        flagged = pl.element().str.contains(FLAG)
        in_role = {str(parity): pl.col("turns").list.gather_every(2, parity).list.eval(flagged) for parity in parities}
        suspects = table.select("row", "turns", **in_role).filter(pl.any_horizontal(pl.col(*in_role).list.any()))
        if suspects.is_empty():
            return nothing_changed()
        counts = statistics()
        turns: list[list[str]] = []
        edits: list[tuple[object, ...]] = []
        for row, texts, *flags in suspects.rows():
            changes = _restore_row(texts, dict(zip(parities, flags, strict=True)), counts)
            if changes:
                turns.append(texts)
                edits += [(row, *change) for change in changes]
        if not edits:
            return nothing_changed()
        lines = pl.DataFrame(edits, schema={"row": schemas.REWRITES["row"], **EDIT_FIELDS}, orient="row")
        edited = lines.group_by("row", maintain_order=True).agg(edits=pl.struct(*EDIT_FIELDS))
        return edited.select("row", pl.Series("turns", turns), "edits")

    return rewrite(NAME, edit)


def _restore_row(turns: list[str], flags: dict[int, list[bool]], counts: Statistics) -> list[tuple[object, ...]]:
    """Restore flagged turns in place; return the edits, each as the values of EDIT_FIELDS."""
    edits: list[tuple[object, ...]] = []
    as_said = tuple(turns)
    for turn, text in enumerate(as_said):
        user_text = turns[turn - 1] if turn % 2 else ""
        is_flagged = turn % 2 in flags and flags[turn % 2][turn // 2]
        if is_flagged and not ASKS_FOR_CASE.search(user_text):
            names = NO_NAMES if has_names(text) else names_said(as_said)  # its own names are capitalised already
            restored, changes = restore(text, counts, user_text, names)
            turns[turn] = restored
            edits += [_edit(turn, change, text, restored) for change in changes]
    return edits


def _edit(turn: int, change: Recased, before: str, after: str) -> tuple[object, ...]:
    span = slice(max(0, change.start - CONTEXT), change.end + CONTEXT)
    return turn, NAME, change.rule, change.start, change.end, before[span], after[span]
