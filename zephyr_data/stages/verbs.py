"""A stage is a function from a table to a table, and there are four verbs.

    mark            fills `dropped_by` where it is null; texts and row count unchanged
    rewrite         changes texts and records it; keys and row count unchanged
    fill            fills a column of the rows not dropped; those that it cannot fill get a reason
    split_verdict   separates kept from dropped; once, at the end

The functions below make the first three from a plain finder or editor, so the laws hold by construction.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import polars as pl

from zephyr_data import schemas
from zephyr_data.stages.overruling import overrule

SLICE = 50_000  # rows judged at a time: a set has many
Find = Callable[[pl.DataFrame], pl.DataFrame]  # table → schemas.VERDICTS or SPARED_VERDICTS
Compute = Callable[[pl.DataFrame], tuple[pl.DataFrame, pl.DataFrame]]  # table → (row, column, edits), VERDICTS
Derive = Callable[[pl.DataFrame], pl.DataFrame]  # rows → as many rows with other columns
Edit = Callable[[pl.DataFrame], pl.DataFrame]  # table → schemas.REWRITES


class LookUp(Protocol):
    """Reads what a set stage's table lacks."""

    def __call__(self, rows: pl.DataFrame, columns: tuple[str, ...], derive: Derive | None = None, /) -> pl.DataFrame:
        """Return the rows, in any order, with those columns, or with what is derived of them."""
        ...


@dataclass(frozen=True)
class Stage:
    """One step over a table; call it with a table."""

    name: str
    verb: str
    apply: Callable[[pl.DataFrame, frozenset[str]], pl.DataFrame]
    without: frozenset[str] = frozenset()  # rules that the user overruled, as "stage/rule"

    def __call__(self, table: pl.DataFrame) -> pl.DataFrame:
        """Return the table after this stage."""
        return self.apply(table, self.without)


def mark(name: str, find: Find, *, is_final: bool = False) -> Stage:
    """Return a stage that marks each row not yet dropped with the first rule that `find` reports for it.

    A verdict that the user overruled drops nothing and is recorded as spared, unless the stage `is_final`: what it
    drops cannot be a row of the result.

    Columns in:  what `find` reads; spare_names
    Columns out: dropped_by, dropped_turn, matched where dropped_by was null; hits gains every reported rule
    """

    def apply(table: pl.DataFrame, without: frozenset[str]) -> pl.DataFrame:
        verdicts = find(number_rows(table))
        if verdicts.is_empty():
            return table
        if "unless" not in verdicts.columns:
            verdicts = verdicts.with_columns(unless=pl.lit(None, dtype=pl.String))
        if not is_final:
            verdicts = overrule(name, verdicts, table, without)
        parts = []
        for start in range(0, table.height, SLICE):
            here = verdicts.filter(pl.col("row").is_between(start, start + SLICE - 1))
            parts.append(_marked(name, table.slice(start, SLICE), here.with_columns(pl.col("row") - start)))
        return pl.concat(parts)

    return Stage(name, "mark", apply)


def _marked(name: str, table: pl.DataFrame, verdicts: pl.DataFrame) -> pl.DataFrame:
    spared = verdicts.with_columns(shown=pl.when(pl.col("unless").is_not_null()).then("matched"))
    hits = spared.group_by("row", maintain_order=True).agg(
        pl.struct(pl.lit(name).alias("stage"), "rule", "turn", "unless", matched="shown").alias("new_hits"),
        pl.col("rule", "turn", "matched").filter("drops").first().name.prefix("first_"),
    )
    free = pl.col("dropped_by").is_null() & pl.col("first_rule").is_not_null()
    marks = _join_rows(table, hits).select(
        "row",
        dropped_by=pl.when(free).then(pl.format("{}/{}", pl.lit(name), "first_rule")).otherwise("dropped_by"),
        dropped_turn=pl.when(free).then("first_turn").otherwise("dropped_turn"),
        matched=pl.when(free).then("first_matched").otherwise("matched"),
        hits=_append("hits", "new_hits"),
    )
    return _with_rows(table, marks)


def rewrite(name: str, edit: Edit) -> Stage:
    """Return a stage that replaces the turns of the rows not yet dropped that `edit` returns.

    Columns in:  what `edit` reads
    Columns out: turns, and edits, which gains each change under this stage's name
    """

    def apply(table: pl.DataFrame, _: frozenset[str]) -> pl.DataFrame:
        numbered = number_rows(table)
        changed = edit(numbered.filter(pl.col("dropped_by").is_null()))
        if changed.is_empty():
            return table
        changed = changed.rename({"edits": "new_edits"})
        joined = _join_rows(table.drop("turns"), changed)
        return _with_rows(table, joined.select("row", "turns", edits=_append("edits", "new_edits")))

    return Stage(name, "rewrite", apply)


def fill(name: str, column: str, compute: Compute) -> Stage:
    """Return a stage that fills `column` on the rows not yet dropped and gives a reason for those it cannot fill.

    Its verdicts are final; what the user overruled is for `compute` to spare.

    Columns in:  what `compute` reads
    Columns out: `column`; edits and hits gain what `compute` reports; dropped_by where it was null
    """

    def apply(table: pl.DataFrame, without: frozenset[str]) -> pl.DataFrame:
        numbered = number_rows(table)
        values, verdicts = compute(numbered.filter(pl.col("dropped_by").is_null()))
        filled = _join_rows(table.drop(column), values.select("row", column, new_edits="edits"))
        filled = filled.select("row", column, edits=_append("edits", "new_edits"))
        return mark(name, lambda _: verdicts, is_final=True)(_with_rows(table, filled))

    return Stage(name, "fill", apply)


def split_verdict(table: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return (kept, dropped). The only place that drops rows."""
    is_kept = pl.col("dropped_by").is_null()
    return table.filter(is_kept), table.filter(~is_kept)


def at_hand(rows: pl.DataFrame, _: tuple[str, ...], derive: Derive | None = None, /) -> pl.DataFrame:
    """Look nothing up, for a table that already has all columns."""
    return rows if derive is None else with_derived(rows, derive(rows))


def with_derived(rows: pl.DataFrame, derived: pl.DataFrame) -> pl.DataFrame:
    """Return the rows with the derived columns, which replace those of the same name."""
    return pl.concat([rows.drop(derived.columns, strict=False), derived], how="horizontal")


def edits_of(kept_rows: pl.DataFrame) -> pl.DataFrame:
    """Return one line per change on a row: row, row_key, and the fields of an edit."""
    exploded = kept_rows.with_row_index("row").filter(pl.col("edits").is_not_null()).select("row", "row_key", "edits")
    return exploded.explode("edits").unnest("edits")


def is_unread() -> pl.Expr:
    """Return whether a row was dropped on reading; its turns may then be anything."""
    return pl.col("dropped_by").str.starts_with("read/").fill_null(False)


def number_rows(table: pl.DataFrame) -> pl.DataFrame:
    """Return the table with `row`, the number that verdicts know its rows by."""
    return table.with_row_index("row")


def verdict(
    rows: pl.DataFrame,
    rule: str | pl.Expr,
    *,
    turn: pl.Expr | None = None,
    matched: pl.Expr | None = None,
    drops: bool | pl.Expr = True,
) -> pl.DataFrame:
    """Return the verdict of a rule on each of the rows; `turn` and `matched` are null if not given."""
    return rows.select(
        "row",
        rule=pl.lit(rule) if isinstance(rule, str) else rule,
        turn=pl.lit(None, dtype=pl.Int32) if turn is None else turn,
        matched=pl.lit(None, dtype=pl.String) if matched is None else matched,
        drops=pl.lit(drops) if isinstance(drops, bool) else drops,
    )


def nothing_found() -> pl.DataFrame:
    """Return verdicts on no row."""
    return pl.DataFrame(schema=schemas.VERDICTS)


def nothing_changed() -> pl.DataFrame:
    """Return rewrites of no row."""
    return pl.DataFrame(schema=schemas.REWRITES)


def _join_rows(table: pl.DataFrame, lines: pl.DataFrame) -> pl.DataFrame:
    """Return `lines`, each about one row, with the table's columns for that row."""
    return pl.concat([lines, table[lines["row"]]], how="horizontal")


def _with_rows(table: pl.DataFrame, new: pl.DataFrame) -> pl.DataFrame:
    """Return the table with the values of `new` in the rows that it names; the rest is neither copied nor read."""
    places = pl.int_range(table.height, table.height + new.height, dtype=pl.UInt32, eager=True)
    indices = pl.int_range(table.height, dtype=pl.UInt32, eager=True).scatter(new["row"], places)
    columns = [name for name in new.columns if name != "row"]
    replaced = [pl.concat([table[name], new[name].cast(table.schema[name])]).gather(indices) for name in columns]
    return table.with_columns(replaced)


def _append(old: str, new: str) -> pl.Expr:
    missing = pl.col(new).is_null()
    return pl.when(missing).then(old).when(pl.col(old).is_null()).then(new).otherwise(pl.concat_list(old, new))
