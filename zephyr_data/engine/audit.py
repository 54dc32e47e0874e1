"""The audit: every dropped and rewritten row with its reason, and the counts that must add up."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, cast

import polars as pl

from zephyr_core.records import Counts
from zephyr_data import schemas
from zephyr_data.engine.store import sum_faults
from zephyr_data.errors import ContractBroken
from zephyr_data.stages import splits
from zephyr_data.stages.overruling import SPARE_NAMES, Reasons
from zephyr_data.stages.verbs import edits_of

KEPT = "kept"


@dataclass
class RowTally:
    """Counts over all blocks; they are sums, so the order of blocks does not matter."""

    rows_read: int = 0
    kept_rows: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    measured: Counter[str] = field(default_factory=Counter)
    hits: list[pl.DataFrame] = field(default_factory=list)

    def add(self, table: pl.DataFrame, measured: Counter[str]) -> None:
        """Add one block's table after all stages, and what the step measured on it."""
        self.rows_read += table.height
        self.kept_rows += table["dropped_by"].null_count()
        self.dropped.update(dict(table.drop_nulls("dropped_by")["dropped_by"].value_counts().rows()))
        self.measured.update(measured)
        self.measured.update(_spared(table))
        self.hits.append(_hits_by_rule(table))

    def counts(self) -> Counts:
        """Return the counts for the manifest.

        Raises:
            ContractBroken: the sums do not add up; a bug, never the data's fault.
        """
        counts: Counts = {
            "rows_read": self.rows_read,
            "kept_rows": self.kept_rows,
            "dropped": dict(sorted(self.dropped.items())),
        }
        faults = sum_faults(counts)
        if faults:
            raise ContractBroken(f"rows were lost: {faults[0]}", "please report this with the input")
        measured: dict[str, Any] = {}
        for name, count in sorted(self.measured.items()):
            group, _, member = name.partition(":")
            if member:
                measured.setdefault(group, {})[member] = count
            else:
                measured[name] = count
        return {**counts, **cast(Counts, measured)}

    def rules(self, reasons: Reasons) -> pl.DataFrame:
        """Return the table of rules, with the reasons that are known: audit/rules.parquet."""
        drops = {"reason": list(self.dropped), "dropped_rows": list(self.dropped.values())}
        dropped = pl.DataFrame(drops, schema={"reason": pl.String, "dropped_rows": pl.Int64})
        parts = pl.col("reason").str.splitn("/", 2).struct
        dropped = dropped.select(parts[0].alias("stage"), parts[1].alias("rule"), "dropped_rows")
        summed = pl.concat(self.hits).group_by("stage", "rule").sum() if self.hits else _no_hits()
        joined = summed.join(dropped, on=["stage", "rule"], how="full", coalesce=True)
        # a read fault is not a rule that could have hit elsewhere: its hits are its drops
        own = [pl.col(name).fill_null(pl.col("dropped_rows")) for name in ("hit_rows", "only_hit_rows")]
        counted = (
            joined.with_columns(own)
            .with_columns(pl.col("dropped_rows", "hit_turns", "spared_rows").fill_null(0))
            .sort("stage", "rule")
        )
        names = counted.select(pl.format("{}/{}", "stage", "rule")).to_series()
        values = [reasons.get(name) for name in names]
        texts = {"why": [each and each.why for each in values], "why_source": [each and each.source for each in values]}
        return counted.with_columns(pl.Series(name, column, dtype=pl.String) for name, column in texts.items())


def dropped_table(dropped: pl.DataFrame) -> pl.DataFrame:
    """Return audit/dropped.parquet's rows; for rows that were not drawn, only their key and place."""
    parts = pl.col("dropped_by").str.splitn("/", 2).struct
    return dropped.select(
        "row_key",
        "id",
        *schemas.LOCATION,
        parts[0].alias("stage"),
        parts[1].alias("rule"),
        pl.col("dropped_turn").alias("turn"),
        "matched",
    )


def rewritten_table(kept_rows: pl.DataFrame) -> pl.DataFrame:
    """Return audit/rewritten.parquet's rows: one for each changed word, one for each cut."""
    return edits_of(kept_rows).select(schemas.REWRITTEN.names)


def spared_table(table: pl.DataFrame) -> pl.DataFrame:
    """Return audit/spared.parquet's rows: one for each hit that an exemption or an option spared, dropped rows too."""
    hit = table.filter(pl.col("hits").is_not_null()).select("row_key", "id", *schemas.LOCATION, "hits")
    return hit.explode("hits").unnest("hits").filter(pl.col("unless").is_not_null())


def is_selection(reason: str) -> bool:
    """Return whether a drop says nothing about the row except that it was not drawn."""
    return reason == f"{splits.NAME}/{splits.NOT_DRAWN}"


def _spared(table: pl.DataFrame) -> Counter[str]:
    """Return the hits that each exemption or option spared, and what became of the rows that --spare names."""
    counts = Counter({f"spared:{unless}": hits for unless, hits in spared_table(table)["unless"].value_counts().rows()})
    named = table.filter(pl.col(SPARE_NAMES).is_not_null())["dropped_by"].fill_null(KEPT)
    return counts + Counter({f"named_rows:{end}": rows for end, rows in named.value_counts().rows()})


def _hits_by_rule(table: pl.DataFrame) -> pl.DataFrame:
    hit = table.with_row_index("row").filter(pl.col("hits").is_not_null()).select("row", "hits")
    if hit.is_empty():
        return _no_hits()
    fired = hit.explode("hits").unnest("hits")
    counts = pl.col("unless").is_null()
    by_row = fired.group_by("row", "stage", "rule").agg(turns=counts.sum(), is_spared=(~counts).any())
    is_hit = pl.col("turns") > 0
    alone = by_row.with_columns(is_only=is_hit & (is_hit.sum().over("row") == 1))
    return alone.group_by("stage", "rule").agg(
        hit_rows=is_hit.sum().cast(pl.Int64),
        only_hit_rows=pl.col("is_only").sum().cast(pl.Int64),
        hit_turns=pl.col("turns").sum().cast(pl.Int64),
        spared_rows=pl.col("is_spared").sum().cast(pl.Int64),
    )


def _no_hits() -> pl.DataFrame:
    counts = {"hit_rows": pl.Int64(), "only_hit_rows": pl.Int64(), "hit_turns": pl.Int64(), "spared_rows": pl.Int64()}
    return pl.DataFrame(schema={"stage": pl.String(), "rule": pl.String(), **counts})
