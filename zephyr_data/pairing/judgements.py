"""What several rows say about the same answers: contradictions are recorded, and --annotators leaves one row of a pair.

Rows are compared by digests of prompt and answer in normal form (docs/dataset.md, Duplicates), so no texts are needed.
"""

import hashlib
from collections.abc import Iterator

import polars as pl

from zephyr_data import schemas
from zephyr_data.pairing.doubts import BOTH_SIDES, NAME, REPORTED, answer
from zephyr_data.stages.duplicates import text_keys
from zephyr_data.stages.verbs import LookUp, Stage, mark, nothing_found, number_rows, verdict

ANNOTATORS = "annotators"
COLUMNS = ("is_given", "chosen_keys", "rejected_keys")


def with_pair_keys(table: pl.DataFrame) -> pl.DataFrame:
    """Return the table with is_given, and a number for each pair's chosen and rejected answer; null without a pair.

    Columns in:  turns, completions, sides, pairs, dropped_by
    Columns out: is_given, chosen_keys, rejected_keys (lists, in the order of the pairs)
    """
    free = number_rows(table).filter(pl.col("dropped_by").is_null() & (pl.col("pairs").list.len() > 0))
    pairs = free.explode("pairs").unnest("pairs")
    prompts = text_keys(pairs["turns"].list.join("\x1e"))
    keys = {
        f"{side}_keys": pl.Series(_keys(prompts, pairs.select(answer(side)).to_series()), dtype=pl.UInt64)
        for side in ("chosen", "rejected")
    }
    by_row = pairs.select("row", **keys).group_by("row", maintain_order=True).agg(pl.all())
    joined = number_rows(table).join(by_row, on="row", how="left", maintain_order="left")
    return joined.drop("row").with_columns(is_given=pl.col("sides").is_not_null())


def _keys(prompts: list[bytes | None], texts: pl.Series) -> Iterator[int]:
    for prompt, text in zip(prompts, text_keys(texts), strict=True):
        yield int.from_bytes(hashlib.sha256((prompt or b"") + (text or b"")).digest()[:8], "big")


def mark_contradicted(look_up: LookUp) -> Stage:
    """Return a set stage that records rows with an answer that is on the other side in another row; `matched` names it.

    Columns in:  chosen_keys, rejected_keys; pairs, file, line of such rows, by `look_up`
    """

    def find(table: pl.DataFrame) -> pl.DataFrame:
        free = table.filter(pl.col("dropped_by").is_null())
        chosen, rejected = (
            free.select("row", key=pl.col(name)).explode("key").drop_nulls().unique() for name in COLUMNS[1:]
        )
        both = chosen.join(rejected, on="key", suffix="_rejected").filter(pl.col("row") != pl.col("row_rejected"))
        links = [both.select("row", other="row_rejected"), both.select(row="row_rejected", other="row")]
        others = pl.concat(links).group_by("row").agg(pl.col("other").min())
        if others.is_empty():
            return nothing_found()
        rows = look_up(free.join(others.select("row"), on="row", how="semi"), ("pairs", "file", "line"))
        names = rows.select(other="row", name=pl.format("{}:{}", "file", "line"))
        hits = rows.join(others, on="row").join(names, on="other").sort("row")
        place = pl.col("pairs").list.first().struct.field("chosen").cast(pl.Int32)
        verdicts = verdict(hits, BOTH_SIDES, turn=place, matched=pl.col("name"), drops=False)
        return verdicts.with_columns(unless=pl.lit(REPORTED))

    return mark(NAME, find)


def mark_outvoted(annotators: str, look_up: LookUp) -> Stage:
    """Return a set stage that leaves one row of each given pair that several rows judge.

    With `mean` the answer that more rows choose stays chosen; with `agree` all rows must choose it.

    Columns in:  is_given, chosen_keys, rejected_keys; row_key, source, file, line of repeated pairs, by `look_up`
    """

    def find(table: pl.DataFrame) -> pl.DataFrame:
        free = table.filter(pl.col("dropped_by").is_null() & pl.col("is_given"))
        sides = [pl.col(name).list.first() for name in COLUMNS[1:]]
        pairs = free.with_columns(
            low=pl.min_horizontal(sides), high=pl.max_horizontal(sides), is_low=sides[0] < sides[1]
        )
        repeated = pairs.filter(pl.len().over("low", "high") > 1)
        located = look_up(repeated, ("row_key", *schemas.LOCATION)).sort("row_key", *schemas.LOCATION)
        votes = located.with_columns(
            rows=pl.len().over("low", "high"), same=pl.len().over("low", "high", "is_low")
        ).with_columns(
            other=pl.col("rows") - pl.col("same"),
            is_first=pl.int_range(pl.len()).over("low", "high", "is_low") == 0,
            kept_key=pl.col("row_key").first().over("low", "high", "is_low"),
        )
        is_outvoted = pl.col("other") > (0 if annotators == "agree" else pl.col("same"))
        rule = (
            pl.when(pl.col("other") == pl.col("same"))
            .then(pl.lit("split-vote"))
            .when(is_outvoted)
            .then(pl.lit("outvoted" if annotators == "mean" else "contradicted"))
            .when(~pl.col("is_first"))
            .then(pl.lit("same-pair"))
        )
        excerpt = pl.when(pl.col("other") == 0).then("kept_key").otherwise(pl.format("{} of {} rows", "same", "rows"))
        judged = votes.with_columns(rule=rule, matched=excerpt).filter(pl.col("rule").is_not_null()).sort("row")
        return verdict(judged, pl.col("rule"), matched=pl.col("matched"))

    return mark(ANNOTATORS, find, is_final=True)
