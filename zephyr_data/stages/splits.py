"""Selection and splits. Both depend on the prompt, so all dialogues with the same prompt go to the same side."""

from collections.abc import Sequence

import polars as pl

from zephyr_core.keys import draws
from zephyr_data.stages.overruling import Reason
from zephyr_data.stages.verbs import Stage, mark, nothing_found, verdict

NAME = "selection"
NOT_DRAWN = "not-drawn"
REASONS = {f"{NAME}/{NOT_DRAWN}": Reason("the draw had reached the size before its prompt")}
_CHOICES = 2**64
TEST_PROMPTS = 2_000  # card of ultrafeedback_binarized
SMALL_SET = 20_000  # prompts
SMALL_TEST_SHARE = 0.03


def mark_unselected(size: int) -> Stage:
    """Return a stage that keeps `size` dialogues, as nearly as whole prompts allow, and marks the rest `not-drawn`.

    Columns in:  select_draw
    """

    def find(table: pl.DataFrame) -> pl.DataFrame:
        free = table.select("row", "dropped_by", "select_draw").filter(pl.col("dropped_by").is_null())
        if free.height <= size:
            return nothing_found()
        rest = free.filter(~drawn_first(free["select_draw"], size))
        return verdict(rest, NOT_DRAWN)

    return mark(NAME, find)


def assign_sides(split_draws: pl.Series, test_share: float) -> pl.Series:
    """Return "train" or "test" for each row, the test side as close to `test_share` of the rows as prompts allow."""
    is_test = drawn_first(split_draws, round(test_share * len(split_draws)))
    return (
        pl.DataFrame({"is_test": is_test})
        .select(pl.when("is_test").then(pl.lit("test")).otherwise(pl.lit("train")))
        .to_series()
    )


def assign_pair_sides(prompt_ids: pl.Series, test_prompts: int | None, seed: int) -> pl.Series:
    """Return "train", "test" or "test-sft" for each row; "test-sft" is the half of the test prompts drawn first.

    If `test_prompts` is None, it is 2,000, or 3 % of the prompts if there are fewer than 20,000.
    """
    prompts = order_prompts(prompt_ids.unique(), seed, "split")
    few = round(SMALL_TEST_SHARE * len(prompts))
    test_count = test_prompts if test_prompts is not None else few if len(prompts) < SMALL_SET else TEST_PROMPTS
    tests = prompts.head(test_count)
    is_test, is_sft = (prompt_ids.is_in(part.implode()) for part in (tests, tests.head((len(tests) + 1) // 2)))
    side = pl.when("is_sft").then(pl.lit("test-sft")).when("is_test").then(pl.lit("test")).otherwise(pl.lit("train"))
    return pl.DataFrame({"is_test": is_test, "is_sft": is_sft}).select(side.alias("side")).to_series()


def prompt_draws(prompts: Sequence[str | None], seed: int, purpose: str) -> pl.Series:
    """Return the keyed draw of each prompt_id, null for null."""
    values = iter(draws(seed, purpose, (prompt for prompt in prompts if prompt is not None), _CHOICES))
    return pl.Series([None if prompt is None else next(values) for prompt in prompts], dtype=pl.UInt64)


def drawn_first(prompt_draws: pl.Series, rows: int) -> pl.Series:
    """Return which rows belong to the prompts drawn first: as close to `rows` rows as whole prompts allow, or fewer.

    A prompt is identified by its draw: among a million prompts, two share a draw once in 40 million sets.
    """
    if rows >= len(prompt_draws):
        return pl.repeat(True, len(prompt_draws), eager=True)
    ordered = prompt_draws.sort()
    last = ordered[rows]  # the draw of the prompt that straddles the limit
    fewer, more = (ordered.search_sorted(last, side=side) for side in ("left", "right"))
    is_first = prompt_draws < last if rows - fewer <= more - rows else prompt_draws <= last
    return pl.Series(is_first)


def order_prompts(prompts: pl.Series, seed: int, purpose: str) -> pl.Series:
    """Return distinct prompts in the order of a keyed draw."""
    values = pl.Series("draw", draws(seed, purpose, prompts, _CHOICES), dtype=pl.UInt64)
    return pl.DataFrame({"prompt_id": prompts, "draw": values}).sort("draw", "prompt_id")["prompt_id"]
