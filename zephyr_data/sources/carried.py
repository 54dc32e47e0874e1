"""Columns that are carried along and never relied on (id, prompt_id, source, model): they decide nothing.

A text is kept, a whole number is written with its digits, and any other value is left out.
"""

from decimal import Decimal
from typing import Any

import polars as pl

from zephyr_data.sources.lines import repeats

IDENTITY = ("id", "prompt_id")  # the first that is there
_EXACT = 2**53  # beyond it, a float is not the number that was meant
_TEXTS = (pl.String, pl.Categorical, pl.Enum)


def carried(value: Any) -> str | None:
    """Return a value as text: a text, a whole number of 64 bits (a float up to 2^53), or None."""
    if isinstance(value, str):
        return value if value.isascii() or not any("\ud800" <= char <= "\udfff" for char in value) else None
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    if isinstance(value, float) and not abs(value) < _EXACT:  # NaN too
        return None
    number = int(value)
    return str(number) if number == value and -(2**63) <= number < 2**64 else None


def carried_of(row: dict[str, Any], *names: str) -> str | None:
    """Return the first of these values of a row that is kept; a key that is repeated has none."""
    values = (carried(row.get(name)) for name in names if not repeats(row, name))
    return next((value for value in values if value is not None), None)


def with_carried(frame: pl.DataFrame, names: tuple[str, ...]) -> pl.DataFrame:
    """Return a table with those of its columns as texts."""
    return frame.with_columns(carried_column(frame[name]) for name in names if name in frame.columns)


def carried_column(column: pl.Series) -> pl.Series:
    """Return a column as texts; its type decides what is converted, so that no odd value can be a fault."""
    if column.dtype in _TEXTS or column.dtype.is_integer():
        return column.cast(pl.String)
    values = column.to_list() if column.dtype.is_numeric() else [None] * len(column)
    return pl.Series(column.name, [carried(value) for value in values], dtype=pl.String)
