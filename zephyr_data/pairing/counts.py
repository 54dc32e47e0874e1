"""Counts over pairs: margins, ties, lengths, wins by model, and rows where mean and overall score disagree."""

from collections import Counter

import polars as pl

from zephyr_data.pairing import doubts
from zephyr_data.pairing.rows import pair_lines
from zephyr_data.pairing.scores import rated_answers, value_of
from zephyr_data.sources.rated_shapes import BY_RANK
from zephyr_data.stages.verbs import edits_of, number_rows

UNNAMED = "(unnamed)"


def measure(table: pl.DataFrame) -> Counter[str]:
    """Return the counts of a block's table after all stages; unreadable answers and agreement are those of all rows."""
    kept_rows = table.filter(pl.col("dropped_by").is_null())
    return Counter(
        {
            "repaired_scores": edits_of(kept_rows).height,
            "unreadable_answers": table.select(_unreadable().sum()).item(),
            "given_rows": kept_rows["sides"].count(),
            **{f"published:{side}": int((kept_rows["published"] == side).sum()) for side in ("train", "test")},
            "ranked_rows": kept_rows.select(_is_ranked().sum()).item(),
            "tied_rows": _rows_with(kept_rows, "gates", "tied-best"),
            **_of_ratings(table),
            **{f"{doubts.NAME}:{rule}": _rows_with(kept_rows, doubts.NAME, rule) for rule in doubts.RULES},
            **_of_pairs(pair_lines(kept_rows)),
            **_of_agreement(table),
        }
    )


def _unreadable() -> pl.Expr:
    return pl.col("completions").list.eval(pl.element().struct.field("unreadable").is_not_null()).list.sum()


def _is_ranked() -> pl.Expr:
    aspects = pl.element().struct.field("ratings").list.eval(pl.element().struct.field("aspect"))
    return pl.col("completions").list.eval(aspects.list.contains(BY_RANK)).list.any()


def _of_pairs(pairs: pl.DataFrame) -> dict[str, int]:
    text = {name: pl.col(name).struct.field("response") for name in ("chosen", "rejected")}
    model = {name: pl.col(name).struct.field("model").fill_null(UNNAMED) for name in ("chosen", "rejected")}
    starts = {name: value.str.head(1).str.contains(r"\s") for name, value in text.items()}
    lines = pairs.select(
        is_chosen_indented=starts["chosen"] & ~starts["rejected"],
        is_rejected_indented=starts["rejected"] & ~starts["chosen"],
        chosen_characters=text["chosen"].str.len_chars(),
        rejected_characters=text["rejected"].str.len_chars(),
        margin=(pl.col("score_chosen") - pl.col("score_rejected")).round(4).cast(pl.String),
        chosen_model=model["chosen"],
        rejected_model=model["rejected"],
    )
    longer, shorter = pl.col("chosen_characters"), pl.col("rejected_characters")
    sums = lines.select(
        pairs=pl.len(),
        longer_chosen_pairs=(longer > shorter).sum(),
        equally_long_pairs=(longer == shorter).sum(),
        indented_chosen_pairs=pl.col("is_chosen_indented").sum(),
        indented_rejected_pairs=pl.col("is_rejected_indented").sum(),
        chosen_characters=longer.sum(),
        rejected_characters=shorter.sum(),
    ).row(0, named=True)
    counts = {name: int(count) for name, count in sums.items()}
    for group, column in (("margins", "margin"), ("wins", "chosen_model"), ("losses", "rejected_model")):
        counts |= {f"{group}:{name}": count for name, count in lines[column].value_counts().rows()}
    return counts


def _of_agreement(table: pl.DataFrame) -> dict[str, int]:
    """Count the rows with at least two answers that have both scores, and those where no answer is best by both."""
    lines = rated_answers(number_rows(table)).with_columns(mean=value_of("mean"), overall=value_of("overall"))
    both = lines.filter(pl.col("mean").is_not_null() & pl.col("overall").is_not_null() & (pl.col("text") != ""))
    compared = both.filter(pl.len().over("row") > 1)
    agreed = compared.filter(pl.col(name) == pl.col(name).max().over("row") for name in ("mean", "overall"))
    rows = compared["row"].n_unique()
    return {"compared_rows": rows, "disagreeing_rows": rows - agreed["row"].n_unique()}


def _of_ratings(table: pl.DataFrame) -> dict[str, int]:
    """Count the answers with several ratings of one aspect, and those of them with different ones."""
    ratings = pl.element().struct.field("ratings")
    aspects = ratings.list.eval(pl.element().struct.field("aspect")).list.n_unique()
    counts = {"rated_twice_answers": ratings.list.len(), "rated_apart_answers": ratings.list.n_unique()}
    more = {name: pl.col("completions").list.eval(count > aspects).list.sum().sum() for name, count in counts.items()}
    return {name: int(count) for name, count in table.select(**more).row(0, named=True).items()}


def _rows_with(table: pl.DataFrame, stage: str, rule: str) -> int:
    hit = pl.element().struct
    is_hit = (hit.field("stage") == stage) & (hit.field("rule") == rule)
    return int(table.select(pl.col("hits").list.eval(is_hit).list.any().sum()).item())
