"""Pairs that are kept but doubtful: hits that are recorded as spared, counted, and shown; nothing is dropped.

refusal-chosen          a shipped phrase rule hits the chosen answer
near-equal-sides        of the different words of both answers, at least 90 % are in both, neither is much longer, and
                        they begin alike
chosen-and-rejected     in another row the chosen answer is rejected, or the rejected one chosen, for the same prompt
"""

import polars as pl

from zephyr_core.texts import IGNORED
from zephyr_data.options import BinarizeOptions
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
START, ALIKE = 160, 0.5  # characters that are compared first, and which share of their words must be in both
SIDES = ("chosen", "rejected")


def mark_doubtful(options: BinarizeOptions) -> Stage:
    """Return a stage that records refusals as chosen answers, and pairs whose answers hardly differ.

    Columns in:  turns, completions, pairs
    """
    is_judged = set(DOUBTED) <= set(options.rules) and not options.without  # such a pair is refused, or spared by name
    refusals = rules.load(() if is_judged else DOUBTED)

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
    sides = joined.select("row", "chosen", *(answer(side).alias(side + "_text") for side in SIDES))
    lengths = [pl.col(side + "_text").str.len_bytes() for side in SIDES]
    sides = sides.filter(pl.min_horizontal(lengths) >= LENGTHS * pl.max_horizontal(lengths))
    text = pl.col("text")
    sides = sides.filter(_share(sides, text.str.head(START)) >= ALIKE)  # most answers are soon seen to differ
    near = sides.filter(_share(sides, text) >= SHARED_WORDS)
    return near.with_columns(shown=pl.col("chosen_text").str.slice(0, SHOWN))


def _share(sides: pl.DataFrame, part: pl.Expr) -> pl.Series:
    """Return how many of the different words in that part of both answers, each a column `text`, are in both."""
    chosen, rejected = (sides.select(text=side + "_text").select(_words(part)).to_series() for side in SIDES)
    shared = chosen.list.set_intersection(rejected).list.len()
    return shared / (chosen.list.len() + rejected.list.len() - shared)


def _words(text: pl.Expr) -> pl.Expr:
    """Return the different words of a text, in small letters and without punctuation."""
    bare = text.str.to_lowercase().str.replace_all(IGNORED, " ")
    return bare.str.strip_chars(" ").str.split(" ").list.unique()


def answer(side: str) -> pl.Expr:
    """Return the text of a pair's chosen or rejected answer."""
    return pl.col("completions").list.get(pl.col(side)).struct.field("response")
