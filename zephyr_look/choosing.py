"""Which rows of a table are looked at: an SQL condition, a name, a draw, a place."""

import itertools
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import polars as pl

from zephyr_core.errors import OptionError, first_line
from zephyr_core.keys import draws
from zephyr_core.options import did_you_mean

LEAST_NAME = 8  # characters of a digest that name a row


@dataclass(frozen=True)
class Choice:
    """What was asked for."""

    rows: int
    skip: int = 0
    where: str | None = None
    name: str | None = None  # of a row: id, prompt_id, key, or the beginning of a digest
    seed: int | None = None  # of a draw, instead of the first rows


class Rows(Protocol):
    """Rows that are read as they are asked for."""

    def frames(self, columns: Collection[str]) -> Iterator[pl.DataFrame]:
        """Yield some columns of all rows, block by block."""

    def rows_at(self, places: pl.DataFrame) -> pl.DataFrame:
        """Return the rows at some places, in their order."""


def chosen_rows(
    rows: Rows, choice: Choice, schema: pl.Schema, names: Sequence[str], place: Sequence[str]
) -> pl.DataFrame:
    """Return the rows that a choice names, in their order.

    Rows are read no further than to the last one; the first time only what decides, without texts unless they do.

    Args:
        rows: where they are.
        choice: what was asked for.
        schema: the columns of the rows.
        names: columns by which a row is named; the last one is a digest of its content.
        place: columns that say where a row is.

    Raises:
        OptionError: the condition cannot be computed.
    """
    filters = [] if choice.where is None else [condition(choice.where, schema)]
    filters += [] if choice.name is None else [_is_named(choice.name, names)]
    needed = {*place, *(name for each in filters for name in each.meta.root_names())}
    if choice.seed is not None:
        needed.add(names[-1])
    with _computing(choice.where):
        nothing = pl.DataFrame(schema={name: kind for name, kind in schema.items() if name in needed})
        parts = _filtered(itertools.chain([nothing], rows.frames(nothing.columns)), filters)
        chosen = _first(parts, choice) if choice.seed is None else _drawn(pl.concat(parts), choice, names[-1], place)
    return rows.rows_at(chosen.select(place))


def _filtered(frames: Iterator[pl.DataFrame], filters: Sequence[pl.Expr]) -> Iterator[pl.DataFrame]:
    """Yield the rows that meet all conditions; one with an aggregate is computed over all rows at once."""
    if not all(each.meta.is_row_separable() for each in filters):
        frames = iter([pl.concat(frames)])
    for frame in frames:
        yield frame.filter(*filters) if filters else frame


def _first(parts: Iterator[pl.DataFrame], choice: Choice) -> pl.DataFrame:
    """Return the rows from `skip` on, and read no more than these."""
    frames = [next(parts)]
    while sum(frame.height for frame in frames) < choice.skip + choice.rows and (part := next(parts, None)) is not None:
        frames.append(part)
    return pl.concat(frames).slice(choice.skip, choice.rows)


def _drawn(rows: pl.DataFrame, choice: Choice, key: str, place: Sequence[str]) -> pl.DataFrame:
    numbers = draws(choice.seed or 0, "order", rows[key].fill_null("").to_list(), 2**64)
    order = rows.with_columns(draw=pl.Series(numbers, dtype=pl.UInt64)).sort("draw", *place)
    return order.slice(choice.skip, choice.rows)


def condition(where: str, schema: pl.Schema) -> pl.Expr:
    """Return an SQL condition as an expression.

    Raises:
        OptionError: it is not SQL, or names a column that does not exist.
    """
    try:
        expression = pl.sql_expr(where)
    except pl.exceptions.PolarsError as fault:
        hint = "--where takes a condition of SQL, such as \"margin > 2 AND prompt LIKE '%python%'\""
        raise OptionError(f"--where {where!r} is not SQL: {first_line(fault)}", hint) from None
    unknown = next((name for name in expression.meta.root_names() if name not in schema), None)
    if unknown is not None:
        near = did_you_mean(unknown, schema)
        raise OptionError(f"--where names a column {unknown!r}; there are {', '.join(schema)}", near)
    return expression


@contextmanager
def _computing(where: str | None) -> Iterator[None]:
    """Turn what polars says about a condition into an error that names it.

    Raises:
        OptionError: the condition cannot be computed.
    """
    try:
        yield
    except pl.exceptions.PolarsError as fault:
        if where is None:
            raise
        message = f"--where {where!r} cannot be computed: {first_line(fault)}"
        raise OptionError(
            message, "a condition is true or false for each row; docs/look.md lists the columns"
        ) from None


def _is_named(name: str, columns: Sequence[str]) -> pl.Expr:
    same = [pl.col(column) == name for column in columns]
    digests = [column for column in columns if column != "id"]
    starts = [pl.col(column).str.starts_with(name) for column in digests if len(name) >= LEAST_NAME]
    return pl.any_horizontal(*same, *starts).fill_null(False)
