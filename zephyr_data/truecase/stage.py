"""The truecase stage: flag badly cased turns by one cheap expression, restore only those."""

import re
from collections.abc import Iterable

import polars as pl

from zephyr_data import schemas
from zephyr_data.stages import Stage, nothing_changed, rewrite
from zephyr_data.truecase.names import has_names, names_said
from zephyr_data.truecase.restore import NOTHING_KNOWN, Recased, restore
from zephyr_data.truecase.statistics import Statistics, statistics

NAME = "truecase"
CONTEXT = 40  # characters shown on either side of a changed word
# A sentence end before a small letter, a lone i, a small first letter, or capitals all over the beginning.
FLAG = (
    r"""[.!?]["”’')*_]*\s+["“‘'(*_]*[a-zß-öø-ÿ]"""
    r"""|(?:^|[\s("“])i(?:['’](?:m|ve|ll|d)(?-u:\b)|[\s,;!?]|$)"""
    r"""|^[\s"“'(*_]*[a-zß-öø-ÿ]"""
    r"""|^[^a-zß-öø-ÿ\p{Lo}]*[A-Z][^a-zß-öø-ÿ\p{Lo}]{20}"""
)
# A user who speaks of letter case gets the answer's case as it is.
ASKS_FOR_CASE = re.compile(
    r"(?i)\b(?:lower|upper)[- ]?case|\ball[- ]caps\b|\bin caps\b|\bcapital(?: letter|i[sz])|\bcapitals\b"
)


def truecase(roles: Iterable[str] = ("assistant",)) -> Stage:
    """Return a stage that restores the case of badly cased turns of those roles.

    Columns in:  turns
    """
    parities = {"user": 0, "assistant": 1}
    chosen = sorted(parities[role] for role in roles)

    def edit(table: pl.DataFrame) -> pl.DataFrame:
        flagged = pl.element().str.contains(FLAG)
        in_role = {str(parity): pl.col("turns").list.gather_every(2, parity).list.eval(flagged) for parity in chosen}
        suspects = table.select("row", "turns", **in_role).filter(pl.any_horizontal(pl.col(*in_role).list.any()))
        if suspects.is_empty():
            return nothing_changed()
        counts = statistics()
        changed = [
            _edit_row(row, turns, dict(zip(chosen, flags, strict=True)), counts)
            for row, turns, *flags in suspects.rows()
        ]
        columns = zip(*[row for row in changed if row], strict=True)
        return pl.DataFrame(dict(zip(schemas.REWRITES, columns, strict=False)), schema=schemas.REWRITES)

    return rewrite(NAME, edit)


def _edit_row(
    row: int, turns: list[str], flags: dict[int, list[bool]], counts: Statistics
) -> tuple[int, list[str], list[dict[str, object]]] | None:
    edits: list[dict[str, object]] = []
    as_said = tuple(turns)
    for turn, text in enumerate(turns):
        said = turns[turn - 1] if turn % 2 else ""
        is_flagged = turn % 2 in flags and flags[turn % 2][turn // 2]
        if is_flagged and not ASKS_FOR_CASE.search(said):
            known = NOTHING_KNOWN if has_names(text) else names_said(as_said)  # its own names stand in capitals already
            restored, changes = restore(text, counts, said, known)
            turns[turn] = restored
            edits += [_edit(turn, change, text, restored) for change in changes]
    return (row, turns, edits) if edits else None


def _edit(turn: int, change: Recased, before: str, after: str) -> dict[str, object]:
    span = slice(max(0, change.start - CONTEXT), change.end + CONTEXT)
    shown = {"before": before[span], "after": after[span]}
    return {"turn": turn, "stage": NAME, "rule": change.rule, "start": change.start, "end": change.end, **shown}
