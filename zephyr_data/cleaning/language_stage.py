"""The stage that drops dialogues in languages not asked for, and says what becomes of translation tasks."""

from collections.abc import Iterable

import polars as pl

from zephyr_data import schemas
from zephyr_data.cleaning.language import CODES, UNDETERMINED, clearly_english, detect, is_surely_english
from zephyr_data.cleaning.translations import translations
from zephyr_data.sources.lines import SHOWN
from zephyr_data.stages.overruling import Reason
from zephyr_data.stages.verbs import Stage, mark

NAME = "language"
TURNS, CHARACTERS = 4, 500  # how much of a dialogue is read: its first turns, the beginning of each
TRANSLATION, SPARED_BY = "translation", "translations"  # the rule, and the option that spares its hits
REASONS = {
    f"{NAME}/{TRANSLATION}": Reason("an English request is answered in a language that is not kept"),
    **{f"{NAME}/detected-{code}": Reason(f"its prose is {code}, a language that is not kept") for code in CODES},
}


def mark_language(languages: Iterable[str] = ("en",), translation_tasks: str = "keep") -> Stage:
    """Return a stage that marks dialogues in any other language (ISO 639-1) as `detected-xx`.

    If English is kept, a dialogue with English replies is English, and translation tasks from English into a language
    that is not kept are `translation` instead: kept on record, or dropped.

    Columns in:  turns
    """
    codes = {*languages, UNDETERMINED}

    def find(table: pl.DataFrame) -> pl.DataFrame:
        free = table.filter(pl.col("dropped_by").is_null())
        tasks = _translation_tasks(free) if "en" in codes else _translation_tasks(free.clear())
        beginnings = pl.col("turns").list.head(TURNS).list.eval(pl.element().str.slice(0, CHARACTERS))
        texts = free.select(beginnings.list.join("\n")).to_series()
        others = (~clearly_english(texts)).arg_true() if "en" in codes else pl.int_range(len(texts), eager=True)
        replies = free[others].select("row", reply=beginnings.list.gather_every(2, 1).list.join("\n"))
        doubtful = replies.with_columns(text=texts.gather(others)).join(tasks, on="row", how="anti")
        verdicts = [
            (row, f"detected-{label}", None, text[:SHOWN], True)
            for row, reply, text in doubtful.rows()
            if (label := detect(text)) not in codes and not ("en" in codes and is_surely_english(reply))
        ]
        foreign = pl.DataFrame(verdicts, schema=schemas.VERDICTS, orient="row")
        return pl.concat([foreign.with_columns(unless=pl.lit(None, dtype=pl.String)), tasks])

    def _translation_tasks(free: pl.DataFrame) -> pl.DataFrame:
        drops = translation_tasks == "drop"
        replies = translations(free, TURNS, CHARACTERS, codes).unique("row", keep="first", maintain_order=True)
        return replies.select(
            "row",
            rule=pl.lit(TRANSLATION),
            turn="turn",
            matched=pl.col("text").str.slice(0, SHOWN),
            drops=pl.lit(drops),
            unless=pl.lit(None if drops else SPARED_BY, dtype=pl.String),
        )

    return mark(NAME, find)
