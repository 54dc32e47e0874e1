"""Alternating user and assistant turns as messages."""

import polars as pl


def messages(column: str, without: int = 0) -> pl.Expr:
    """Return turns as a list of {content, role}, leaving off the last `without` turns."""
    turns = pl.col(column).list.head(pl.col(column).list.len() - without)
    role = pl.when(pl.int_range(pl.len()) % 2 == 0).then(pl.lit("user")).otherwise(pl.lit("assistant"))
    return turns.list.eval(pl.struct(content=pl.element(), role=role))
