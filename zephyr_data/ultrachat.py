"""Cleaning UltraChat (paper §4.1, first bullet), written as tuples of stages."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import polars as pl
import pyarrow as pa

from zephyr_core import kinds, paths
from zephyr_core.keys import text_key
from zephyr_core.recipe import Resolved
from zephyr_data import phrases, rules, schemas
from zephyr_data.duplicates import duplicate_keys, mark_duplicates
from zephyr_data.json_digests import message_digests
from zephyr_data.language import mark_language
from zephyr_data.options import CleanOptions
from zephyr_data.phrases import cut_phrases, mark_phrases
from zephyr_data.rules import Ruleset
from zephyr_data.sources.blocks import Block
from zephyr_data.sources.files import RawFile, local_files
from zephyr_data.sources.parse import parse
from zephyr_data.splits import assign_sides, mark_unselected, prompt_draws
from zephyr_data.stages import LookUp, Stage, at_hand, edits_of, number_rows
from zephyr_data.step import SplitRows
from zephyr_data.truecase.stage import truecase
from zephyr_data.turns import messages

SPLITS = ("train_sft", "test_sft", "train_gen", "test_gen")


def ruleset(options: CleanOptions) -> Ruleset:
    """Return the phrase rules that the options ask for."""
    return rules.load(options.rules).with_action(options.on_hit)


@dataclass(frozen=True)
class Cleaning:
    """The step `clean-ultrachat`; what each part is, `zephyr_data.step` says."""

    name: str = "clean-ultrachat"
    kind: Literal["dialogues", "pairs"] = "dialogues"
    options: type[CleanOptions] = CleanOptions
    index: tuple[str, ...] = ("select_draw", "split_draw", "duplicate_hash")

    def settle(self, resolved: Resolved[CleanOptions]) -> Resolved[CleanOptions]:
        return resolved

    def files(self, source: str) -> list[RawFile]:
        kinds.refuse(paths.expanded(source), kinds.RAW_DIALOGUES)
        return local_files(source)

    def file_digests(self, options: CleanOptions) -> dict[str, str]:
        return ruleset(options).digests

    def plan(self, options: CleanOptions) -> dict[str, object]:
        names = ("rules", "on_hit", "truecase", "truecase_roles", "languages", "duplicates", "seed", "keep_dropped")
        return {name: getattr(options, name) for name in names}

    def parse(self, block: Block) -> tuple[pl.DataFrame, str | None]:
        return parse(block)

    def row_stages(self, options: CleanOptions) -> tuple[Stage, ...]:
        casing = (truecase(options.truecase_roles),) if options.truecase else ()
        return mark_phrases(ruleset(options)), cut_phrases(), *casing, mark_language(options.languages)

    def settled(self, table: pl.DataFrame, options: CleanOptions) -> pl.DataFrame:
        kept = pl.col("dropped_by").is_null()
        keyed = with_keys(table, options.duplicates, options.seed)
        return with_digests(keyed.with_columns(pl.when(kept).then("turns")))

    def set_stages(self, options: CleanOptions, look_up: LookUp = at_hand) -> tuple[Stage, ...]:
        same = () if options.duplicates == "off" else (mark_duplicates(options.duplicates, look_up),)
        return *same, mark_unselected(options.size)

    def sides(self, kept: pl.DataFrame, options: CleanOptions) -> pl.Series:
        return assign_sides(kept["split_draw"], options.test_share)

    def news(self, kept_rows: int, options: CleanOptions) -> str | None:
        if kept_rows >= options.size:
            return None
        return f"{kept_rows:,} dialogues are left, fewer than the size of {options.size:,}: all are kept"

    def splits(self, options: CleanOptions) -> dict[str, pa.Schema]:
        return dict.fromkeys(SPLITS, schemas.SFT)

    def tables(self, options: CleanOptions) -> dict[str, pa.Schema]:
        return {}

    def rows(self, kept: pl.DataFrame, options: CleanOptions) -> Iterator[SplitRows]:
        """Yield the dialogues of each side, and for gen the same without the last answer."""
        prompts = kept.with_columns(prompt=pl.col("turns").list.first())
        for side in ("train", "test"):
            rows = prompts.filter(pl.col("side") == side)
            for kind, without in (("sft", 0), ("gen", 1)):
                shown = rows.with_columns(messages=messages("turns", without))
                yield SplitRows(f"{side}_{kind}", shown, rows, rows[f"{kind}_digest"])

    def table_rows(self, table: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame]]:
        yield from ()

    def measure(self, table: pl.DataFrame) -> Counter[str]:
        """Return what was changed in kept rows; a cut is a count of its own."""
        changes = edits_of(table.filter(pl.col("dropped_by").is_null()))
        cuts = changes.filter(pl.col("stage") == phrases.NAME)
        words = changes.filter(pl.col("stage") != phrases.NAME)
        removed = cuts.select(pl.col("after").str.extract(r"(\d+)").cast(pl.Int64).sum()).item()
        return Counter(
            cut_rows=cuts.height,
            cut_turns=int(removed),
            rewritten_rows=words["row"].n_unique(),
            rewritten_turns=words.select("row", "turn").n_unique() if words.height else 0,
            rewritten_words=words.height,
        )


CLEANING = Cleaning()


def with_keys(table: pl.DataFrame, scope: str, seed: int) -> pl.DataFrame:
    """Return the table with prompt_id, its draws, duplicate_key and the first bytes of that; null on dropped rows."""
    kept = table.select(pl.when(pl.col("dropped_by").is_null()).then("turns").alias("turns")).to_series()
    prompts = [None if text is None else text_key(text) for text in kept.list.first().to_list()]
    keys = duplicate_keys(kept, scope)
    return table.with_columns(
        prompt_id=pl.Series(prompts, dtype=pl.String),
        duplicate_key=pl.Series(keys, dtype=pl.Binary),
        duplicate_hash=pl.Series([key and int.from_bytes(key[:8]) for key in keys], dtype=pl.UInt64),
        select_draw=prompt_draws(prompts, seed, "select"),
        split_draw=prompt_draws(prompts, seed, "split"),
    )


def with_digests(table: pl.DataFrame) -> pl.DataFrame:
    """Return the table with the digests of the rows that a dialogue gives in the sft and gen splits, null on others."""
    numbered = number_rows(table)
    rows = numbered.filter(pl.col("turns").is_not_null())
    shown = rows.select(prompt=pl.col("turns").list.first(), prompt_id="prompt_id", messages=messages("turns"))
    sft, gen = message_digests(shown)
    found = rows.select("row", sft_digest=pl.Series(sft, dtype=pl.Binary), gen_digest=pl.Series(gen, dtype=pl.Binary))
    return numbered.join(found, on="row", how="left", maintain_order="left").drop("row")
