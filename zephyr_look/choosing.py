"""Which rows of a table are looked at: an SQL condition, a name, a draw, a place."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

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


def chosen_rows(table: pl.LazyFrame, choice: Choice, names: Sequence[str], place: Sequence[str]) -> pl.DataFrame:
    """Return the rows that a choice names, in the order of the table; of the rest nothing stays in memory.

    Args:
        table: read from its beginning, once or, for a draw, twice.
        choice: what was asked for.
        names: columns by which a row is named; the last one is a digest of its content.
        place: columns that say where a row is.

    Raises:
        OptionError: the condition cannot be computed.
    """
    rows = table if choice.where is None else table.filter(condition(choice.where, table.collect_schema()))
    if choice.name is not None:
        rows = rows.filter(_is_named(choice.name, names))
    with _computing(choice.where):
        if choice.seed is None:
            return rows.slice(choice.skip, choice.rows).collect(engine="streaming")
        places = rows.select(*place, names[-1]).collect(engine="streaming")
        numbers = draws(choice.seed, "order", places[names[-1]].fill_null("").to_list(), 2**64)
        order = places.with_columns(draw=pl.Series(numbers, dtype=pl.UInt64)).sort("draw", *place)
        drawn = order.slice(choice.skip, choice.rows).select(place)
        return table.join(drawn.lazy(), on=list(place), how="semi", maintain_order="left").collect(engine="streaming")


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
