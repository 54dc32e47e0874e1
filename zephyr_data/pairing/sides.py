"""Which side of the split each row is on: a published split of given pairs stays, all else is drawn (decision 0046)."""

import polars as pl

from zephyr_data.options import BinarizeOptions
from zephyr_data.stages.splits import assign_pair_sides
from zephyr_data.stages.verbs import Stage, mark, nothing_found, verdict

NAME = "splits"


def mark_in_test(options: BinarizeOptions) -> Stage:
    """Return a set stage that marks rows of a published train side whose prompt is in the test side.

    Columns in:  published, prompt_id
    """

    def find(table: pl.DataFrame) -> pl.DataFrame:
        free = table.filter(pl.col("dropped_by").is_null())
        if not _stays(free, options):
            return nothing_found()
        tests = free.filter(published="test")["prompt_id"].unique()
        return verdict(free.filter(pl.col("prompt_id").is_in(tests.implode()), published="train"), "prompt-in-test")

    return mark(NAME, find, is_final=True)


def sides_of(kept_rows: pl.DataFrame, options: BinarizeOptions) -> pl.Series:
    """Return "train", "test" or "test-sft" for each row, as `assign_pair_sides` does.

    Rows without a published side follow their prompt if it has one, and are drawn otherwise.

    Columns in:  published, prompt_id
    """
    if not _stays(kept_rows, options):
        return assign_pair_sides(kept_rows["prompt_id"], options.test_prompts, options.seed)
    by_prompt = kept_rows.select("prompt_id", known="published").drop_nulls().unique("prompt_id")
    rows = kept_rows.select("prompt_id").join(by_prompt, on="prompt_id", how="left", maintain_order="left")
    rows = rows.with_row_index()
    test, others = rows.filter(known="test"), rows.filter(pl.col("known").is_null())
    parts = [
        rows.filter(known="train").select("index", side=pl.lit("train")),
        _drawn(test, test["prompt_id"].n_unique(), options),
        _drawn(others, None, options),
    ]
    return pl.concat(parts).sort("index")["side"]


def _drawn(rows: pl.DataFrame, test_prompts: int | None, options: BinarizeOptions) -> pl.DataFrame:
    return rows.select("index", side=assign_pair_sides(rows["prompt_id"], test_prompts, options.seed))


def _stays(rows: pl.DataFrame, options: BinarizeOptions) -> bool:
    """Return whether both sides are published, and no other size of the test side was asked for."""
    return options.test_prompts is None and {"train", "test"} <= set(rows["published"].unique())
