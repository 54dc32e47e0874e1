"""Cleaning UltraChat (paper §4.1, first bullet), written as tuples of stages."""

import polars as pl

from zephyr_core.keys import text_key
from zephyr_data import rules
from zephyr_data.duplicates import duplicate_keys, mark_duplicates
from zephyr_data.language import mark_language
from zephyr_data.options import CleanOptions
from zephyr_data.phrases import cut_phrases, mark_phrases
from zephyr_data.rules import Ruleset
from zephyr_data.splits import mark_unselected
from zephyr_data.stages import Stage
from zephyr_data.truecase.stage import truecase

STEP = "clean-ultrachat"


def ruleset(options: CleanOptions) -> Ruleset:
    """Return the phrase rules that the options ask for."""
    return rules.load(options.rules).with_action(options.on_hit)


def row_stages(options: CleanOptions, phrases: Ruleset) -> tuple[Stage, ...]:
    """Return the stages that look at one dialogue at a time, in the order of the contract."""
    casing = (truecase(options.truecase_roles),) if options.truecase else ()
    return mark_phrases(phrases), cut_phrases(), *casing, mark_language(options.languages)


def set_stages(options: CleanOptions) -> tuple[Stage, ...]:
    """Return the stages that look at the whole set: at keys and places, never at texts."""
    same = () if options.duplicates == "off" else (mark_duplicates(options.duplicates),)
    return *same, mark_unselected(options.size, options.seed)


def with_keys(table: pl.DataFrame, scope: str) -> pl.DataFrame:
    """Return the table with prompt_id and duplicate_key, null on dropped rows."""
    kept = table.select(pl.when(pl.col("dropped_by").is_null()).then("turns").alias("turns")).to_series()
    prompts = kept.list.first().to_list()
    return table.with_columns(
        prompt_id=pl.Series([None if text is None else text_key(text) for text in prompts], dtype=pl.String),
        duplicate_key=pl.Series(duplicate_keys(kept, scope), dtype=pl.Binary),
    )
