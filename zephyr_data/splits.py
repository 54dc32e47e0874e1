"""Selection and splits. Both hang on the prompt, so that all dialogues of one prompt go to one side."""

from collections.abc import Sequence

import polars as pl

from zephyr_core.keys import draws
from zephyr_data.stages import Stage, mark, nothing_found

NAME = "selection"
NOT_DRAWN = "not-drawn"
_CHOICES = 2**64


def mark_unselected(size: int, seed: int) -> Stage:
    """Return a stage that keeps `size` dialogues, as near as whole prompts allow, and names the rest `not-drawn`.

    Columns in:  prompt_id
    """

    def find(table: pl.DataFrame) -> pl.DataFrame:
        free = table.filter(pl.col("dropped_by").is_null())
        if free.height <= size:
            return nothing_found()
        chosen = draw_prompts(free["prompt_id"], size, seed, "select")
        rest = free.filter(~pl.col("prompt_id").is_in(chosen.implode()))
        nothing = pl.lit(None, dtype=pl.String)
        return rest.select(
            "row",
            rule=pl.lit(NOT_DRAWN),
            turn=pl.lit(None, dtype=pl.Int32),
            matched=nothing,
            drops=pl.lit(True),
        )

    return mark(NAME, find)


def assign_sides(prompt_ids: pl.Series, test_share: float, seed: int) -> pl.Series:
    """Return "train" or "test" for each row, the test side as near to `test_share` of the rows as prompts allow."""
    chosen = draw_prompts(prompt_ids, round(test_share * len(prompt_ids)), seed, "split")
    is_test = prompt_ids.is_in(chosen.implode())
    return (
        pl.DataFrame({"is_test": is_test})
        .select(pl.when("is_test").then(pl.lit("test")).otherwise(pl.lit("train")))
        .to_series()
    )


def draw_prompts(prompt_ids: pl.Series, rows: int, seed: int, purpose: str) -> pl.Series:
    """Return the prompts that a keyed draw puts first, until they hold about `rows` rows."""
    counted = prompt_ids.alias("prompt_id").value_counts(name="rows")
    drawn = pl.Series("draw", draws(seed, purpose, counted["prompt_id"], _CHOICES), dtype=pl.UInt64)
    ordered = counted.with_columns(drawn).sort("draw", "prompt_id")
    return ordered["prompt_id"].head(nearest_prefix(ordered["rows"].to_list(), rows))


def nearest_prefix(sizes: Sequence[int], target: int) -> int:
    """Return how many leading sizes sum up nearest to `target`; of two equally near, the fewer."""
    total, best, best_miss = 0, 0, abs(target)
    for count, size in enumerate(sizes, start=1):
        total += size
        if abs(total - target) < best_miss:
            best, best_miss = count, abs(total - target)
        if total >= target:
            break
    return best
