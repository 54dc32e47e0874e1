"""The truecase stage: flag badly cased turns with one cheap expression, and restore only those."""

import re
from collections.abc import Iterable

import polars as pl

from zephyr_data import schemas
from zephyr_data.cleaning.truecase.bare import Bare, is_bare
from zephyr_data.cleaning.truecase.dialogue import DialogueNames
from zephyr_data.cleaning.truecase.evidence import CAPITALS, INSIDE
from zephyr_data.cleaning.truecase.restore import Recased, restore
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
        bad = {str(parity): _of_role(parity).list.eval(pl.element().str.contains(FLAG)) for parity in parities}
        cased = pl.col("turns").list.eval(pl.element().str.contains(INSIDE))
        marks = table.select("row", "turns", cased=cased, **bad)
        lost = pl.any_horizontal(~_of_role(parity, "cased").list.all() for parity in parities)
        is_suspect = pl.any_horizontal(pl.col(*bad).list.any()) | (pl.col("cased").list.any() & lost)
        suspects = marks.filter(is_suspect).with_columns(capitals=pl.col("turns").list.eval(_CAPITALS_OF_CASED))
        if suspects.is_empty():
            return nothing_changed()
        counts = statistics()
        turns: list[list[str]] = []
        edits: list[tuple[object, ...]] = []
        for row, texts, cased_turns, capitals, *flags in suspects.select(
            "row", "turns", "cased", "capitals", *bad
        ).rows():
            names = DialogueNames(texts, cased_turns, capitals, counts)
            changes = _restore_row(texts, dict(zip(parities, flags, strict=True)), names, counts)
            if changes:
                turns.append(texts)
                edits += [(row, *change) for change in changes]
        if not edits:
            return nothing_changed()
        lines = pl.DataFrame(edits, schema={"row": schemas.REWRITES["row"], **EDIT_FIELDS}, orient="row")
        edited = lines.group_by("row", maintain_order=True).agg(edits=pl.struct(*EDIT_FIELDS))
        return edited.select("row", pl.Series("turns", turns), "edits")

    return rewrite(NAME, edit)


_CAPITALS_OF_CASED = pl.element().filter(pl.element().str.contains(INSIDE)).str.extract_all(CAPITALS).list.explode()


def _of_role(parity: int, column: str = "turns") -> pl.Expr:
    return pl.col(column).list.gather_every(2, parity)


def _restore_row(
    turns: list[str], flags: dict[int, list[bool]], names: DialogueNames, counts: Statistics
) -> list[tuple[object, ...]]:
    """Restore flagged turns, and those that lost names of the dialogue; return the edits as values of EDIT_FIELDS."""
    edits: list[tuple[object, ...]] = []
    wholes = {turn: Bare(text) for turn, text in enumerate(turns) if not is_bare(text)}
    bare = [wholes[turn].text if turn in wholes else text for turn, text in enumerate(turns)]
    if wholes:
        names = DialogueNames.of(bare, counts)
    for turn, text in enumerate(bare):
        if turn % 2 not in flags:
            continue
        user_text, lost_names = bare[turn - 1] if turn % 2 else "", names.lost_in(turn)
        if (lost_names or flags[turn % 2][turn // 2]) and not ASKS_FOR_CASE.search(user_text):
            restored, changes = restore(text, counts, user_text, lost_names)
            if turn in wholes:
                changes = [Recased(*wholes[turn].span(change.start, change.end), change.rule) for change in changes]
                restored = wholes[turn].recased(restored)
            edits += [_edit(turn, change, turns[turn], restored) for change in changes]
            turns[turn] = restored
    return edits


def _edit(turn: int, change: Recased, before: str, after: str) -> tuple[object, ...]:
    span = slice(max(0, change.start - CONTEXT), change.end + CONTEXT)
    return turn, NAME, change.rule, change.start, change.end, before[span], after[span]
