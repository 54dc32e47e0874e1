"""Selection and splits. Both hang on the prompt, so that all dialogues of one prompt go to one side."""

from collections.abc import Sequence

import polars as pl

from zephyr_core.keys import draws
from zephyr_data.stages import Stage, mark, nothing_found

NAME = "selection"
NOT_DRAWN = "not-drawn"
_CHOICES = 2**64
TEST_PROMPTS = 2_000  # card of ultrafeedback_binarized
SMALL_SET = 20_000  # prompts
SMALL_TEST_SHARE = 0.03


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


def assign_pair_sides(prompt_ids: pl.Series, test_prompts: int | None, seed: int) -> pl.Series:
    """Return "train", "test" or "test-sft" for each row; the last is the half of the test prompts drawn first.

    Without a number of test prompts it is 2,000, and 3 % of fewer than 20,000 prompts.
    """
    prompts = order_prompts(prompt_ids.unique(), seed, "split")
    few = round(SMALL_TEST_SHARE * len(prompts))
    wanted = test_prompts if test_prompts is not None else few if len(prompts) < SMALL_SET else TEST_PROMPTS
    tests = prompts.head(wanted)
    is_test, is_sft = (prompt_ids.is_in(part.implode()) for part in (tests, tests.head((len(tests) + 1) // 2)))
    side = pl.when("is_sft").then(pl.lit("test-sft")).when("is_test").then(pl.lit("test")).otherwise(pl.lit("train"))
    return pl.DataFrame({"is_test": is_test, "is_sft": is_sft}).select(side.alias("side")).to_series()


def draw_prompts(prompt_ids: pl.Series, rows: int, seed: int, purpose: str) -> pl.Series:
    """Return the prompts that a keyed draw puts first, until they hold about `rows` rows."""
    ordered = order_prompts(prompt_ids.unique(), seed, purpose)
    counted = prompt_ids.alias("prompt_id").value_counts(name="rows")
    sizes = pl.DataFrame({"prompt_id": ordered}).join(counted, on="prompt_id", how="left", maintain_order="left")[
        "rows"
    ]
    return ordered.head(nearest_prefix(sizes.to_list(), rows))


def order_prompts(prompts: pl.Series, seed: int, purpose: str) -> pl.Series:
    """Return different prompts in the order of a keyed draw."""
    drawn = pl.Series("draw", draws(seed, purpose, prompts, _CHOICES), dtype=pl.UInt64)
    return pl.DataFrame({"prompt_id": prompts, "draw": drawn}).sort("draw", "prompt_id")["prompt_id"]


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
