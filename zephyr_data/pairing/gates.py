"""Gates: mark rows that cannot give a pair, whatever the policy draws, each with its fault."""

import polars as pl

from zephyr_data.options import BinarizeOptions
from zephyr_data.pairing.scores import answers, given_rows
from zephyr_data.sources.lines import SHOWN
from zephyr_data.stages.verbs import Stage, is_unread, mark, verdict

NAME = "gates"
NEEDS_LOWER = ("random", "lowest", "all-lower", "all-pairs")  # policies whose rejected answer scores strictly lower


def mark_unpairable(options: BinarizeOptions) -> Stage:
    """Return a stage that marks rows with too few usable answers, no lower one, equal texts, or a tie that drops.

    Rules in order: too-few-completions, empty-response, missing-score, no-lower-score, identical-texts,
    tied-best, unreadable-rating. An answer that is empty or lacks a score drops its row only if fewer than two
    others are left; every such answer is counted. A pair that was given needs no lower score.

    Columns in:  completions, sides, scores
    """

    def find(table: pl.DataFrame) -> pl.DataFrame:
        rows = table.filter(~is_unread())
        rules = _rules(_with_counts(answers(rows)), given_rows(rows), options)
        verdicts = [rule.with_columns(order=pl.lit(order)) for order, rule in enumerate(rules)]
        return pl.concat(verdicts).sort("row", "order", "turn", maintain_order=True).drop("order")

    return mark(NAME, find, is_final=True)


def _with_counts(lines: pl.DataFrame) -> pl.DataFrame:
    scored, usable = pl.col("score"), pl.col("score").filter("usable")
    return (
        lines.with_columns(
            has_text=pl.col("text").str.len_bytes() > 0,
            total=pl.len().over("row"),
            scoreds=scored.count().over("row"),
            top_scored=scored.max().over("row"),
            all_tie=(scored.min() == scored.max()).over("row").fill_null(False),
            usables=pl.col("usable").sum().over("row"),
            top_usable=usable.max().over("row"),
            usable_tie=(usable.min() == usable.max()).over("row").fill_null(False),
            texts=pl.col("text").filter("usable").n_unique().over("row"),
        )
        .with_columns(
            is_best=pl.col("usable") & (scored == pl.col("top_usable")),
            with_text=pl.col("has_text").sum().over("row"),
            is_repeated=pl.col("has_text") & ~pl.struct("row", "text").is_first_distinct(),
        )
        .with_columns(bests=pl.col("is_best").sum().over("row"))
    )


def _rules(lines: pl.DataFrame, given: pl.Series, options: BinarizeOptions) -> list[pl.DataFrame]:
    first = lines.unique("row", keep="first", maintain_order=True)
    lower = options.rejected in NEEDS_LOWER
    usable_tie = (pl.col("usables") >= 2) & pl.col("usable_tie")
    any_tie = usable_tie | ((pl.col("scoreds") >= 2) & pl.col("all_tie"))
    of_usable, of_scored = (
        pl.format("{} answers at {}", count, top)
        for count, top in (("usables", "top_usable"), ("scoreds", "top_scored"))
    )
    best = lines.filter("is_best").unique("row", keep="first", maintain_order=True)
    place = pl.col("place").cast(pl.Int32)  # of the faulty answer, if there is one
    return [
        verdict(first.filter(pl.col("total") < 2), "too-few-completions"),
        verdict(lines.filter(~pl.col("has_text")), "empty-response", turn=place, drops=pl.col("with_text") < 2),
        verdict(
            lines.filter(pl.col("has_text") & pl.col("score").is_null()),
            "missing-score",
            turn=place,
            drops=pl.col("usables") < 2,
        ),
        verdict(
            first.filter(any_tie),
            "no-lower-score",
            matched=pl.when(usable_tie).then(of_usable).otherwise(of_scored),
            drops=usable_tie & lower & ~pl.col("row").is_in(given.implode()),
        ),
        verdict(
            lines.filter("is_repeated"),
            "identical-texts",
            turn=place,
            matched=pl.col("text").str.slice(0, SHOWN),
            drops=pl.col("texts") < 2,
        ),
        verdict(
            best.filter(pl.col("bests") > 1),
            "tied-best",
            matched=pl.format("{} answers at {}", "bests", "top_usable"),
            drops=options.ties == "drop",
        ),
        verdict(
            lines.filter(pl.col("unreadable").is_not_null()),
            "unreadable-rating",
            turn=place,
            matched=pl.col("unreadable"),
            drops=False,
        ),
    ]
