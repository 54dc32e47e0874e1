"""Kept rated rows → the rows of each split, in the trainer's columns or the published ones."""

from collections.abc import Iterator

import polars as pl

from zephyr_data.options import BinarizeOptions
from zephyr_data.pairing.scores import answers, in_canonical_order
from zephyr_data.stages.turns import messages
from zephyr_data.stages.verbs import number_rows

SPLITS = ("train_prefs", "test_prefs", "train_sft", "test_sft", "train_gen", "test_gen")
# Which sides of `splits.assign_pair_sides` each split holds.
SIDES = {
    "train_prefs": ("train",),
    "test_prefs": ("test", "test-sft"),
    "train_sft": ("train",),
    "test_sft": ("test-sft",),
    "train_gen": ("train",),
    "test_gen": ("test-sft",),
}


def split_rows(kept_rows: pl.DataFrame, options: BinarizeOptions) -> Iterator[tuple[str, pl.DataFrame]]:
    """Yield each split's rows: prefs holds every pair, sft and gen each row's first pair, gen without the answer."""
    pairs = _with_columns(pair_lines(kept_rows), candidates_of(kept_rows), options)
    for split, sides in SIDES.items():
        rows = pairs.filter(pl.col("side").is_in(sides))
        if not split.endswith("prefs"):
            rows = rows.filter("is_first")
        yield split, rows.with_columns(messages="said" if split.endswith("gen") else "conversation")


def pair_lines(kept_rows: pl.DataFrame) -> pl.DataFrame:
    """Return one line per pair: all columns of its row, and chosen, rejected (answers), their scores, is_first."""
    lines = number_rows(kept_rows).explode("pairs").unnest("pairs")
    places = {"chosen": pl.col("chosen"), "rejected": pl.col("rejected")}
    return lines.with_columns(
        is_first=pl.int_range(pl.len()).over("row") == 0,
        **{name: pl.col("completions").list.get(place) for name, place in places.items()},
        **{f"score_{name}": pl.col("scores").list.get(place) for name, place in places.items()},
    )


def candidates_of(kept_rows: pl.DataFrame) -> pl.DataFrame:
    """Return row and candidates: every answer with its score, in canonical order."""
    lines = in_canonical_order(answers(number_rows(kept_rows)))
    return lines.group_by("row", maintain_order=True).agg(candidates=pl.struct("response", "model", "score"))


def _with_columns(pairs: pl.DataFrame, candidates: pl.DataFrame, options: BinarizeOptions) -> pl.DataFrame:
    with_messages = pairs.with_columns(said=messages("turns"))
    texts = {name: pl.col(name).struct.field("response") for name in ("chosen", "rejected")}
    answer = {name: pl.concat_list(pl.struct(content=text, role=pl.lit("assistant"))) for name, text in texts.items()}
    whole = {name: pl.concat_list("said", value) for name, value in answer.items()}
    shaped = with_messages.with_columns(
        **(whole if options.layout == "h4" else answer),
        conversation=whole["chosen"],
        prompt=pl.col("turns").list.first() if options.layout == "h4" else pl.col("said"),
        margin=pl.col("score_chosen") - pl.col("score_rejected"),
        chosen_model=pl.col("chosen").struct.field("model"),
        rejected_model=pl.col("rejected").struct.field("model"),
    )
    return shaped.join(candidates, on="row", how="left", maintain_order="left")
