"""Pairs that are kept but doubtful: hits that are recorded as spared, counted, and shown; nothing is dropped.

refusal-chosen          a shipped phrase rule hits the chosen answer
near-equal-sides        of the different words of both answers, at least 90 % are in both, and neither is much longer
chosen-and-rejected     in another row the chosen answer is rejected, or the rejected one chosen, for the same prompt
"""

import polars as pl

from zephyr_core.texts import IGNORED
from zephyr_data.pairing.policies import refusing
from zephyr_data.sources.lines import SHOWN
from zephyr_data.stages import rules
from zephyr_data.stages.verbs import Stage, mark, verdict

NAME = "doubts"
REFUSAL, NEAR_EQUAL, BOTH_SIDES = "refusal-chosen", "near-equal-sides", "chosen-and-rejected"
RULES = (REFUSAL, NEAR_EQUAL, BOTH_SIDES)
REPORTED = "report-only"  # what spares such a hit
DOUBTED = ("ultrachat",)  # shipped sets of phrases
SHARED_WORDS, LENGTHS = 0.9, 0.75  # at least: words in both, of those in either; the shorter answer, of the longer


def mark_doubtful() -> Stage:
    """Return a stage that records refusals as chosen answers, and pairs whose answers hardly differ.

    Columns in:  turns, completions, pairs
    """
    refusals = rules.load(DOUBTED)

    def find(table: pl.DataFrame) -> pl.DataFrame:
        pairs = _pairs(table)
        hits = refusing(table, pairs, refusals)
        near = _near_equal(table, pairs)
        verdicts = [
            verdict(hits, REFUSAL, turn=pl.col("chosen").cast(pl.Int32), matched=pl.col("refusal"), drops=False),
            verdict(near, NEAR_EQUAL, turn=pl.col("chosen").cast(pl.Int32), matched=pl.col("shown"), drops=False),
        ]
        return pl.concat(verdicts).with_columns(unless=pl.lit(REPORTED))

    return mark(NAME, find)


def _pairs(table: pl.DataFrame) -> pl.DataFrame:
    """Return row, chosen and rejected (places) of each pair of the rows that are not dropped."""
    free = table.filter(pl.col("dropped_by").is_null() & (pl.col("pairs").list.len() > 0))
    return free.select("row", "pairs").explode("pairs").unnest("pairs")


def _near_equal(table: pl.DataFrame, pairs: pl.DataFrame) -> pl.DataFrame:
    joined = pairs.join(table.select("row", "completions"), on="row", maintain_order="left")
    sides = joined.select("row", "chosen", *(answer(name).alias(f"{name}_text") for name in ("chosen", "rejected")))
    lengths = [pl.col(f"{name}_text").str.len_bytes() for name in ("chosen", "rejected")]
    sides = sides.filter(pl.min_horizontal(lengths) >= LENGTHS * pl.max_horizontal(lengths))
    words = sides.with_columns(
        _words(pl.col(f"{name}_text")).alias(f"{name}_words") for name in ("chosen", "rejected")
    ).with_columns(shared=pl.col("chosen_words").list.set_intersection("rejected_words").list.len())
    either = pl.col("chosen_words").list.len() + pl.col("rejected_words").list.len() - pl.col("shared")
    near = words.filter(pl.col("shared") >= SHARED_WORDS * either)
    return near.with_columns(shown=pl.col("chosen_text").str.slice(0, SHOWN))


def _words(text: pl.Expr) -> pl.Expr:
    """Return the different words of a text, in small letters and without punctuation."""
    bare = text.str.to_lowercase().str.replace_all(IGNORED, " ")
    return bare.str.strip_chars(" ").str.split(" ").list.unique()


def answer(side: str) -> pl.Expr:
    """Return the text of a pair's chosen or rejected answer."""
    return pl.col("completions").list.get(pl.col(side)).struct.field("response")
