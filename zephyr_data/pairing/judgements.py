"""What several rows say about the same answers: contradictions are recorded, and --annotators leaves one row of a pair.

Rows are compared by digests of prompt and answer in normal form (docs/dataset.md, Duplicates), so no texts are needed.
"""

import hashlib

import polars as pl

from zephyr_core.texts import SEPARATOR
from zephyr_data import schemas
from zephyr_data.pairing.doubts import BOTH_SIDES, NAME, REPORTED, answer
from zephyr_data.stages.duplicates import text_keys
from zephyr_data.stages.verbs import LookUp, Stage, mark, nothing_found, verdict

ANNOTATORS = "annotators"
COLUMNS = ("is_given", "pair_count")
SIDES = ("chosen_keys", "rejected_keys")


def with_pair_counts(table: pl.DataFrame) -> pl.DataFrame:
    """Return the table with is_given and pair_count, what the whole set needs to know of pairs.

    Columns in:  sides, pairs
    """
    return table.with_columns(is_given=pl.col("sides").is_not_null(), pair_count=pl.col("pairs").list.len())


def _of_shared_prompts(table: pl.DataFrame, look_up: LookUp) -> pl.DataFrame:
    """Return the rows that are not dropped and share their prompt, with numbers for the two answers of their pairs.

    No others can hold the same pair.

    Columns in:  prompt_key; turns, completions, pairs, row_key, source, file, line, by `look_up`
    Columns out: row_key, source, file, line, first_chosen (place), chosen_keys, rejected_keys (in the order of pairs)
    """
    free = table.filter(pl.col("dropped_by").is_null() & (pl.col("pair_count") > 0))
    shared = free.filter(pl.len().over("prompt_key") > 1)
    return look_up(shared, ("turns", "completions", "pairs", "row_key", *schemas.LOCATION), _with_keys)


def _with_keys(rows: pl.DataFrame) -> pl.DataFrame:
    pairs = rows.with_row_index("number").explode("pairs").unnest("pairs")
    prompts = text_keys(pairs["turns"].list.join(SEPARATOR))
    chosen, rejected = (_keys(prompts, pairs.select(answer(side)).to_series()) for side in ("chosen", "rejected"))
    keyed = pairs.with_columns(chosen_keys=pl.Series(chosen), rejected_keys=pl.Series(rejected))
    lists = keyed.group_by("number", maintain_order=True).agg(*SIDES, first_chosen=pl.col("chosen").first())
    return pl.concat([rows.select("row_key", *schemas.LOCATION), lists.drop("number")], how="horizontal")


def _keys(prompts: list[bytes | None], texts: pl.Series) -> list[bytes]:
    return [
        hashlib.sha256((prompt or b"") + (text or b"")).digest()[:8]
        for prompt, text in zip(prompts, text_keys(texts), strict=True)
    ]


def mark_contradicted(look_up: LookUp) -> Stage:
    """Return a set stage that records rows with an answer that is on the other side in another row; `matched` names it.

    Columns in:  as for `_of_shared_prompts`
    """

    def find(table: pl.DataFrame) -> pl.DataFrame:
        rows = _of_shared_prompts(table, look_up)
        if rows.is_empty():
            return nothing_found()
        chosen, rejected = (rows.select("row", key=pl.col(side)).explode("key").unique() for side in SIDES)
        both = chosen.join(rejected, on="key", suffix="_rejected").filter(pl.col("row") != pl.col("row_rejected"))
        links = [both.select("row", other="row_rejected"), both.select(row="row_rejected", other="row")]
        others = pl.concat(links).group_by("row").agg(pl.col("other").min())
        names = rows.select(other="row", name=pl.format("{}:{}", "file", "line"))
        hits = rows.join(others, on="row").join(names, on="other").sort("row")
        place = pl.col("first_chosen").cast(pl.Int32)
        verdicts = verdict(hits, BOTH_SIDES, turn=place, matched=pl.col("name"), drops=False)
        return verdicts.with_columns(unless=pl.lit(REPORTED))

    return mark(NAME, find)


def mark_outvoted(annotators: str, look_up: LookUp) -> Stage:
    """Return a set stage that leaves one row of each given pair that several rows judge.

    With `mean` the answer that more rows choose stays chosen; with `agree` all rows must choose it.

    Columns in:  is_given, and as for `_of_shared_prompts`
    """

    def find(table: pl.DataFrame) -> pl.DataFrame:
        rows = _of_shared_prompts(table.filter("is_given"), look_up)
        if rows.is_empty():
            return nothing_found()
        sides = [pl.col(side).list.first() for side in SIDES]
        pairs = rows.with_columns(
            low=pl.min_horizontal(sides), high=pl.max_horizontal(sides), is_low=sides[0] < sides[1]
        )
        located = pairs.filter(pl.len().over("low", "high") > 1).sort("row_key", *schemas.LOCATION)
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
