"""System turns: the published sets have none, so a dialogue that has one is dropped, or its turn folded or kept."""

from dataclasses import replace

import polars as pl

from zephyr_data.sources.dialogue_turns import STAGE, SYSTEM
from zephyr_data.sources.lines import SHOWN
from zephyr_data.stages.turns import folded_turns
from zephyr_data.stages.verbs import Stage, is_unread, mark, rewrite, verdict


def settle_system_turns(way: str) -> tuple[Stage, ...]:
    """Return the stage that drops the dialogues with system turns, or folds these into the first user turn.

    To `keep` them takes none: they are set apart from the turns, and written as a message of their own.

    Columns in:  turns, system
    """
    if way == "keep":
        return ()
    stage = mark(STAGE, _find, is_final=True) if way == "drop" else rewrite(STAGE, _fold)
    return (replace(stage, name="system-turns"),)


def _find(table: pl.DataFrame) -> pl.DataFrame:
    return verdict(_with_system(table), SYSTEM, turn=_first_turn(), matched=_excerpt())


def _fold(table: pl.DataFrame) -> pl.DataFrame:
    edit = pl.struct(
        turn=_first_turn(),
        stage=pl.lit(STAGE),
        rule=pl.lit(SYSTEM),
        start=pl.lit(None, dtype=pl.Int32),
        end=pl.lit(None, dtype=pl.Int32),
        before=_excerpt(),
        after=pl.lit("(folded into the first user turn)"),
    )
    return _with_system(table).select("row", turns=folded_turns(), edits=pl.concat_list(edit))


def _with_system(table: pl.DataFrame) -> pl.DataFrame:
    return table.filter(pl.col("system").is_not_null() & ~is_unread())


def _first_turn() -> pl.Expr:
    return pl.lit(0, dtype=pl.Int32)


def _excerpt() -> pl.Expr:
    return pl.col("system").str.slice(0, SHOWN)
