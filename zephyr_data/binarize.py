"""Pairs of UltraFeedback (paper §4.1, second bullet): score, gates, benchmarks, policy, written as tuples of stages."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import polars as pl
import pyarrow as pa

from zephyr_core import kinds, manifest, paths
from zephyr_core.errors import OptionError
from zephyr_core.recipe import Resolved
from zephyr_data import leakage, rules, schemas
from zephyr_data.gates import mark_unpairable
from zephyr_data.options import BinarizeOptions
from zephyr_data.pair_counts import measure
from zephyr_data.pair_rows import SPLITS, split_rows
from zephyr_data.policies import choose_pairs
from zephyr_data.rules import Ruleset
from zephyr_data.sources.blocks import Block
from zephyr_data.sources.files import RawFile, local_files, rated_files
from zephyr_data.sources.rated import parse_rated
from zephyr_data.splits import assign_pair_sides
from zephyr_data.stages import LookUp, Stage, at_hand, is_unread
from zephyr_data.step import SplitRows
from zephyr_data.ultrafeedback import score_answers

# What the first public version did besides its choice of places.
H4_V1_IMPLIES: dict[str, Any] = {"score": "overall", "ties": "first", "suspicious_tens": "as-read"}


def refusals(options: BinarizeOptions) -> Ruleset:
    """Return the phrase rules whose hit in a chosen answer drops the pair."""
    return rules.load(options.rules)


def _is_asked(origin: str) -> bool:
    return not origin.startswith(("default", "policy"))


@dataclass(frozen=True)
class Binarizing:
    """The step `binarize`; what each part is, `zephyr_data.step` says."""

    name: str = "binarize"
    kind: Literal["dialogues", "pairs"] = "pairs"
    options: type[BinarizeOptions] = BinarizeOptions
    index: tuple[str, ...] = ("prompt_key", "prompt_id", "is_benchmark")

    def settle(self, resolved: Resolved[BinarizeOptions]) -> Resolved[BinarizeOptions]:
        """Return the options with those that h4-v1 implies.

        Raises:
            OptionError: one of them was asked to be something else, or one would have no effect.
        """
        options, origins = resolved.options, dict(resolved.origins)
        if options.score != "overall" and options.rejected != "h4-v1" and _is_asked(origins["suspicious_tens"]):
            raise OptionError(
                f"suspicious_tens has no effect on the score {options.score!r}",
                "add `--score overall`, or leave it out",
            )
        if options.rejected != "h4-v1":
            return resolved
        for key, value in H4_V1_IMPLIES.items():
            if getattr(options, key) != value and _is_asked(origins[key]):
                raise OptionError(
                    f"h4-v1 means {key} {value!r}, and {origins[key]} asks for {getattr(options, key)!r}",
                    "leave it out, or choose another policy with --rejected",
                )
            origins[key] = "policy h4-v1"
        return replace(resolved, options=replace(options, **H4_V1_IMPLIES), origins=origins)

    def files(self, source: str) -> list[RawFile]:
        place = paths.expanded(source)
        kinds.refuse(place, kinds.RATED_ROWS)
        return rated_files(source) if manifest.is_whole(place) else local_files(source)

    def file_digests(self, options: BinarizeOptions) -> dict[str, str]:
        return {**refusals(options).digests, **leakage.file_digests(options)}

    def plan(self, options: BinarizeOptions) -> dict[str, object]:
        names = ("score", "suspicious_tens", "rejected", "ties", "min_margin", "rules", "seed")
        others = ("benchmark", "benchmark_sources", "keep_benchmarks", "keep_dropped")
        return {name: getattr(options, name) for name in (*names, *others)}

    def parse(self, block: Block) -> tuple[pl.DataFrame, str | None]:
        return parse_rated(block)

    def row_stages(self, options: BinarizeOptions) -> tuple[Stage, ...]:
        gates = (mark_unpairable(options), leakage.mark_benchmarks(options))
        return score_answers(options), *gates, choose_pairs(options, refusals(options))

    def settled(self, table: pl.DataFrame, options: BinarizeOptions) -> pl.DataFrame:
        return leakage.with_benchmark_keys(table, options)

    def set_stages(self, options: BinarizeOptions, look_up: LookUp = at_hand) -> tuple[Stage, ...]:
        return () if options.keep_benchmarks else (leakage.mark_copies(),)

    def sides(self, kept: pl.DataFrame, options: BinarizeOptions) -> pl.Series:
        return assign_pair_sides(kept["prompt_id"], options.test_prompts, options.seed)

    def news(self, kept_rows: int, options: BinarizeOptions) -> str | None:
        if options.rejected == "h4-v1":
            return "h4-v1: overall score as read, first maximum, fixed places; the order of answers in a row matters"
        return None

    def splits(self, options: BinarizeOptions) -> dict[str, pa.Schema]:
        return dict.fromkeys(SPLITS, schemas.PAIRS_H4 if options.layout == "h4" else schemas.PAIRS)

    def tables(self, options: BinarizeOptions) -> dict[str, pa.Schema]:
        return {"rated": schemas.RATED_ROWS}

    def rows(self, kept: pl.DataFrame, options: BinarizeOptions) -> Iterator[SplitRows]:
        for split, rows in split_rows(kept, options):
            yield SplitRows(split, rows.with_columns(source="prompt_source"), rows)

    def table_rows(self, table: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame]]:
        """Yield the rows as they were read: a later verdict is not part of them."""
        verdict = [pl.when(is_unread()).then(name).alias(name) for name in ("dropped_by", "dropped_turn", "matched")]
        yield "rated", table.with_columns(verdict)

    def measure(self, table: pl.DataFrame) -> Counter[str]:
        return measure(table)


BINARIZING = Binarizing()
