"""Alternating user and assistant turns as messages."""

import polars as pl

from zephyr_data.sources.dialogue_turns import BETWEEN


def messages(column: str, without: int = 0, system: str | None = None) -> pl.Expr:
    """Return turns as a list of {content, role}, leaving off the last `without` turns.

    Where the column `system` is not null, its text comes first as a message of its own.
    """
    turns = pl.col(column).list.head(pl.col(column).list.len() - without)
    role = pl.when(pl.int_range(pl.len()) % 2 == 0).then(pl.lit("user")).otherwise(pl.lit("assistant"))
    spoken_turns = turns.list.eval(pl.struct(content=pl.element(), role=role))
    if system is None:
        return spoken_turns
    first = pl.concat_list(pl.struct(content=pl.col(system), role=pl.lit("system")))
    return pl.when(pl.col(system).is_null()).then(spoken_turns).otherwise(pl.concat_list(first, spoken_turns))


def folded() -> pl.Expr:
    """Return the first user turn with the system turns in front of it, which may be null."""
    first = pl.col("turns").list.first()
    return pl.when(pl.col("system").is_null()).then(first).otherwise(pl.format(f"{{}}{BETWEEN}{{}}", "system", first))


def folded_turns() -> pl.Expr:
    """Return the turns with the system turns folded into the first one."""
    return pl.concat_list(folded(), pl.col("turns").list.slice(1))
