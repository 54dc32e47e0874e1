"""Which texts hold which questions: word for word, in other case or punctuation, inside a longer text, or nearly.

exact        the text is the question
same-words   it is in normal form (docs/dataset.md, Duplicates)
contained    the question's words, WHOLE or more, stand in the text in a row
13-words     13 words of the question stand in the text in a row, as the GPT-3 report counts, and HALF of its words are
             in runs that do, so that a template alone does not count
8-words      70 % of the question's runs of 8 words stand in the text (as the PaLM report counts)
near         LEAST or more of the question's words are in runs of 3 words that stand in the text; the others, at most a
             quarter, are what one changed word takes out of such runs, or NEAR of its words are in them

Longer runs are put together from runs of 3 words that overlap in the question and stand in the text.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl

from zephyr_data.stages.duplicates import text_keys
from zephyr_data.stages.shingles import runs_from, spaced, word_numbers

EXACT, SAME_WORDS, CONTAINED, THIRTEEN, EIGHT, NEARLY = KINDS = (
    "exact",
    "same-words",
    "contained",
    "13-words",
    "8-words",
    "near",
)
RUN, WHOLE, HALF, OF_EIGHT, NEAR, LEAST = 3, 5, 0.5, 0.7, 0.9, 7
OVERLAPS = pl.Schema({"text": pl.UInt32(), "question": pl.UInt32(), "kind": pl.Enum(KINDS), "score": pl.Float64()})
_BOTH = ["text", "question"]


@dataclass(frozen=True)
class Questions:
    """Questions to look for; their numbers are their places."""

    texts: pl.Series

    def overlaps(self, texts: pl.Series) -> pl.DataFrame:
        """Return each text with each question that it holds and the closest kind, ordered by both numbers.

        Columns out: OVERLAPS; score: the share of the question's words in runs that stand in the text
        """
        same, close = self._same(texts), self._close(texts)
        both = pl.concat([same, close]).sort(*_BOTH, "kind")
        return both.unique(_BOTH, keep="first", maintain_order=True)

    def _same(self, texts: pl.Series) -> pl.DataFrame:
        pairs = _keys(texts, "text").join(self._keys, on="key").select(_BOTH)
        is_exact = texts.gather(pairs["text"]) == self.texts.gather(pairs["question"])
        kinds = pl.select(kind=pl.when(is_exact).then(pl.lit(EXACT)).otherwise(pl.lit(SAME_WORDS)))["kind"]
        return pairs.with_columns(kind=kinds, score=pl.lit(1.0)).cast(OVERLAPS)

    def _close(self, texts: pl.Series) -> pl.DataFrame:
        words = _words(texts)
        common = _runs(words, "text").select("text", "run").join(self._runs, on="run").drop("run").unique()
        pairs = _figures(common).join(self._sizes, on="question").with_columns(score=pl.col("covered") / pl.col("size"))
        complete = pairs.filter((pl.col("score") == 1) & (pl.col("size") >= WHOLE))
        whole = [
            b" %b " % self._words[question] in b" %b " % words[text] for text, question in complete.select(_BOTH).rows()
        ]
        contained = complete.filter(pl.Series(whole, dtype=pl.Boolean)).select(*_BOTH, is_whole=pl.lit(True))
        tests = {
            CONTAINED: pl.col("is_whole").fill_null(False),
            THIRTEEN: (pl.col("longest") >= 13) & (pl.col("score") >= HALF),
            EIGHT: (pl.col("size") >= 8) & (pl.col("eights") >= OF_EIGHT * (pl.col("size") - 7)),
            NEARLY: (pl.col("covered") >= LEAST) & ((pl.col("score") >= NEAR) | _lacks_one_word()),
        }
        kind = pl.coalesce(pl.when(test).then(pl.lit(name)) for name, test in tests.items())
        named = pairs.join(contained, on=_BOTH, how="left").with_columns(kind=kind).drop_nulls("kind")
        return named.select(OVERLAPS.names()).cast(OVERLAPS)

    @cached_property
    def _words(self) -> list[bytes]:
        return _words(self.texts)

    @cached_property
    def _keys(self) -> pl.DataFrame:
        return _keys(self.texts, "question")

    @cached_property
    def _runs(self) -> pl.DataFrame:
        return _runs(self._words, "question")

    @cached_property
    def _sizes(self) -> pl.DataFrame:
        sizes = pl.DataFrame({"size": [len(words.split()) for words in self._words]}, schema={"size": pl.Int64})
        return sizes.with_row_index("question")


def _keys(texts: pl.Series, name: str) -> pl.DataFrame:
    keys = pl.DataFrame({"key": text_keys(texts)}, schema={"key": pl.Binary})
    return keys.with_row_index(name).drop_nulls()


def _words(texts: pl.Series) -> list[bytes]:
    return [b" ".join(words.split()) for words in spaced(texts)]


def _runs(words: list[bytes], name: str) -> pl.DataFrame:
    """Return the runs of RUN words as numbers: whose they are, and at which word each begins."""
    numbers, text_of = word_numbers(words)
    runs, fits = runs_from(numbers, text_of, RUN)
    place = np.arange(len(text_of)) - np.searchsorted(text_of, text_of)
    columns = {name: text_of[fits].astype(np.uint32), "run": runs[fits], "place": place[fits]}
    return pl.DataFrame(columns, schema={name: pl.UInt32, "run": pl.UInt64, "place": pl.Int64})


def _figures(common: pl.DataFrame) -> pl.DataFrame:
    """Return for each text and question how many of its words are covered by runs, in which stretches, and more.

    Columns in:  text, question, place (of a run of RUN words of the question that stands in the text)
    """
    ordered = common.sort(*_BOTH, "place").with_columns(gap=pl.col("place").diff().over(_BOTH))
    stretches = ordered.with_columns(stretch=(pl.col("gap") != 1).fill_null(True).cum_sum())
    of_stretches = stretches.group_by(*_BOTH, "stretch").agg(
        words=pl.len().cast(pl.Int64) + RUN - 1,
        new=pl.min_horizontal(pl.col("gap").fill_null(RUN), RUN).sum(),
        first=pl.col("place").first(),
        last=pl.col("place").last(),
    )
    return of_stretches.group_by(_BOTH).agg(
        covered=pl.col("new").sum(),
        longest=pl.col("words").max(),
        eights=(pl.col("words") - 7).clip(0).sum(),
        stretches=pl.len().cast(pl.Int64),
        runs=(pl.col("words") - RUN + 1).sum(),
        first=pl.col("first").min(),
        last=pl.col("last").max(),
    )


def _lacks_one_word() -> pl.Expr:
    """Return whether the runs that the text lacks are a few next to each other, and few words are in them alone."""
    of_question = pl.col("size") - RUN + 1
    gaps = (pl.col("first") > 0).cast(pl.Int64) + (pl.col("last") < of_question - 1) + pl.col("stretches") - 1
    few = pl.col("size") - pl.col("covered") <= pl.col("size") // 4
    return (gaps <= 1) & (of_question - pl.col("runs") <= RUN) & few
