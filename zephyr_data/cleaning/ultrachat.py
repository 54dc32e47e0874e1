"""The step `clean-ultrachat`: cleaning UltraChat (paper §4.1, first bullet)."""

from collections.abc import Iterator
from dataclasses import replace

import polars as pl
import pyarrow as pa

from zephyr_core import kinds
from zephyr_core.keys import text_key
from zephyr_data import schemas
from zephyr_data.cleaning import language_stage
from zephyr_data.cleaning.language_stage import mark_language
from zephyr_data.cleaning.reports import REPORTS
from zephyr_data.cleaning.truecase.stage import truecase
from zephyr_data.engine.step import DataStep, Reading, SplitRows, WholeSet, Writing
from zephyr_data.json_digests import message_digests
from zephyr_data.options import CleanOptions
from zephyr_data.sources.blocks import Block
from zephyr_data.sources.files import SourceFiles, local_files, place_of
from zephyr_data.sources.parse import parse
from zephyr_data.stages import duplicates, leakage, near_duplicates, phrases, rules, splits
from zephyr_data.stages.duplicates import duplicate_numbers, mark_duplicates
from zephyr_data.stages.overruling import Reasons
from zephyr_data.stages.phrases import cut_phrases, mark_phrases
from zephyr_data.stages.rules import Ruleset
from zephyr_data.stages.splits import assign_sides, mark_unselected, prompt_draws
from zephyr_data.stages.system_turns import settle_system_turns
from zephyr_data.stages.turns import messages
from zephyr_data.stages.verbs import LookUp, Stage, number_rows

SPLITS = ("train_sft", "test_sft", "train_gen", "test_gen")


def ruleset(options: CleanOptions) -> Ruleset:
    """Return the phrase rules that the options ask for."""
    loaded = rules.load(options.rules).with_action(options.on_hit)
    return loaded if options.needs_live_data == "keep" else loaded.without("needs_live_data")


def cautions(options: CleanOptions) -> Iterator[str]:
    """Yield which of the languages to keep no phrase rule is written for."""
    languages = ", ".join(ruleset(options).uncovered(options.languages))
    if languages:
        yield f"no phrase rule is written for {languages}: replies in other languages keep their disclaimers"


def _parse(block: Block, _: CleanOptions) -> tuple[pl.DataFrame, str | None]:
    return parse(block)


def _files(source: str) -> SourceFiles:
    kinds.refuse(place_of(source), kinds.RAW_DIALOGUES)
    return local_files(source)


def _digests(options: CleanOptions) -> dict[str, str]:
    return {**ruleset(options).digests, **leakage.file_digests(options.benchmark)}


def reasons(options: CleanOptions) -> Reasons:
    """Return the rules that can be overruled, with their reasons."""
    of_set = {**duplicates.REASONS, **near_duplicates.REASONS, **splits.REASONS}
    return {**leakage.OF_FILES, **phrases.reasons(ruleset(options)), **language_stage.REASONS, **of_set}


def row_stages(options: CleanOptions) -> tuple[Stage, ...]:
    """Return the stages that look at one dialogue at a time, in the order of the contract."""
    casing = (truecase(options.truecase_roles),) if options.truecase else ()
    return (
        *settle_system_turns(options.system_turns),
        *((leakage.mark_benchmarks(options.benchmark),) if options.benchmark else ()),
        mark_phrases(ruleset(options)),
        cut_phrases(),
        *casing,
        mark_language(options.languages, options.translations),
    )


def _keyed(table: pl.DataFrame, options: CleanOptions) -> pl.DataFrame:
    """Return the table with keys, draws and digests, and without the texts of dropped rows."""
    system = _system(options)
    keyed = with_keys(table, options.duplicates, options.seed, system)
    keyed = near_duplicates.with_bands(keyed, options.near_duplicates)
    return with_digests(keyed.with_columns(pl.when(pl.col("dropped_by").is_null()).then("turns")), system)


def _system(options: CleanOptions) -> str | None:
    """Return the column of the text that becomes a system message, if it does."""
    return "system" if options.system_turns == "keep" else None


def _index(options: CleanOptions) -> tuple[str, ...]:
    of_duplicates = () if options.duplicates == "off" else ("duplicate_number",)
    return ("select_draw", "split_draw", *of_duplicates, *near_duplicates.index(options.near_duplicates))


def set_stages(options: CleanOptions, look_up: LookUp) -> tuple[Stage, ...]:
    """Return the stages that look at the whole set."""
    with_system = _system(options) is not None
    same = mark_duplicates(options.duplicates, look_up, with_system=with_system)
    similar = near_duplicates.stages(options.near_duplicates, look_up)
    return *(() if options.duplicates == "off" else (same,)), *similar, mark_unselected(options.size)


def _sides(kept_rows: pl.DataFrame, options: CleanOptions) -> pl.Series:
    return assign_sides(kept_rows["split_draw"], options.test_share)


def _splits(options: CleanOptions) -> dict[str, pa.Schema]:
    return dict.fromkeys(SPLITS, schemas.SFT)


def _rows(kept_rows: pl.DataFrame, options: CleanOptions) -> Iterator[SplitRows]:
    """Yield the dialogues of each side, and for gen the same without the last answer."""
    prompts = kept_rows.with_columns(prompt=pl.col("turns").list.first())
    for side in ("train", "test"):
        rows = prompts.filter(pl.col("side") == side)
        for kind, without in (("sft", 0), ("gen", 1)):
            dialogues = rows.with_columns(messages=messages("turns", without, _system(options)))
            yield SplitRows(f"{side}_{kind}", dialogues, rows, rows[f"{kind}_digest"])


def with_keys(table: pl.DataFrame, scope: str, seed: int, system: str | None = None) -> pl.DataFrame:
    """Return the table with prompt_id, its draws and the number that duplicates share; null on dropped rows.

    Dialogues whose `system` differs are no duplicates, as if it were folded into the first turn.
    """
    is_kept = pl.col("dropped_by").is_null()
    columns = ("turns", *(() if system is None else (system,)))
    dialogues = table.select(pl.when(is_kept).then(name).alias(name) for name in columns)
    prompts = [None if text is None else text_key(text) for text in dialogues["turns"].list.first().to_list()]
    return table.with_columns(
        prompt_id=pl.Series(prompts, dtype=pl.String),
        duplicate_number=duplicate_numbers(dialogues, scope, with_system=system is not None),
        select_draw=prompt_draws(prompts, seed, "select"),
        split_draw=prompt_draws(prompts, seed, "split"),
    )


def with_digests(table: pl.DataFrame, system: str | None = None) -> pl.DataFrame:
    """Return the table with the digests of each dialogue's sft and gen rows, null on rows without turns."""
    numbered = number_rows(table)
    rows = numbered.filter(pl.col("turns").is_not_null())
    row_messages = messages("turns", system=system)
    dialogues = rows.select(prompt=pl.col("turns").list.first(), prompt_id="prompt_id", messages=row_messages)
    sft, gen = message_digests(dialogues)
    digests = rows.select("row", sft_digest=pl.Series(sft, dtype=pl.Binary), gen_digest=pl.Series(gen, dtype=pl.Binary))
    return numbered.join(digests, on="row", how="left", maintain_order="left").drop("row")


CLEANING = DataStep(
    name="clean-ultrachat",
    kind="dialogues",
    options=CleanOptions,
    reading=Reading(_parse, _files, _digests),
    row_stages=row_stages,
    rules=reasons,
    whole_set=WholeSet(_index, "select_draw", _keyed, set_stages, _sides),
    writing=Writing(_splits, _rows),
    reports=replace(REPORTS, cautions=cautions),
    free=("size", "test_share"),
    package=__package__,
)
