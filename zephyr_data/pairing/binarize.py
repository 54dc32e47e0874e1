"""The step `binarize`: pairs of UltraFeedback (paper §4.1, second bullet)."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import polars as pl
import pyarrow as pa

from zephyr_core import kinds, manifest
from zephyr_core.errors import OptionError
from zephyr_core.recipe import Resolved
from zephyr_data import schemas
from zephyr_data.engine.step import DataStep, Reading, SplitRows, WholeSet, Writing
from zephyr_data.options import BinarizeOptions
from zephyr_data.pairing import judgements
from zephyr_data.pairing.doubts import DOUBTED, mark_doubtful
from zephyr_data.pairing.gates import mark_unpairable
from zephyr_data.pairing.policies import choose_pairs
from zephyr_data.pairing.reports import REPORTS
from zephyr_data.pairing.rows import SPLITS, split_rows
from zephyr_data.pairing.scores import score_answers
from zephyr_data.pairing.sides import mark_in_test, sides_of
from zephyr_data.sources.blocks import Block
from zephyr_data.sources.files import SourceFiles, local_files, place_of, rated_files
from zephyr_data.sources.rated import belongs_together, parse_rated
from zephyr_data.sources.scales import scales_of
from zephyr_data.stages import leakage, near_duplicates, phrases, rules
from zephyr_data.stages.overruling import Reasons
from zephyr_data.stages.rules import Ruleset
from zephyr_data.stages.verbs import LookUp, Stage, is_unread

# What the first public version did, apart from its choice of places.
H4_V1_IMPLIES: dict[str, Any] = {"score": "overall", "ties": "first", "suspicious_tens": "as-read"}
# On another scale than UltraFeedback's, a ten is no sign of a one.
SCALE_IMPLIES: dict[str, Any] = {"suspicious_tens": "as-read"}


def _implied(resolved: Resolved[BinarizeOptions]) -> Resolved[BinarizeOptions]:
    """Return the options with those that h4-v1 or a scale implies.

    Raises:
        OptionError: one of them was set to something else, or an option would have no effect.
    """
    options, origins = resolved.options, dict(resolved.origins)
    if options.score != "overall" and options.rejected != "h4-v1" and _is_asked(origins["suspicious_tens"]):
        raise OptionError(
            f"suspicious_tens has no effect on the score {options.score!r}",
            "add `--score overall`, or leave it out",
        )
    implied, reason = _implications(options)
    for key, value in implied.items():
        if getattr(options, key) != value and _is_asked(origins[key]):
            raise OptionError(
                f"{reason} means {key} {value!r}, but {origins[key]} asks for {getattr(options, key)!r}",
                f"leave it out, or leave out {reason}",
            )
        origins[key] = reason
    return replace(resolved, options=replace(options, **implied), origins=origins)


def _implications(options: BinarizeOptions) -> tuple[dict[str, Any], str]:
    """Return the values that options imply for others, and what implies them."""
    if options.rejected == "h4-v1":
        return H4_V1_IMPLIES, "policy h4-v1"
    return (SCALE_IMPLIES, "a scale") if options.scale and options.score == "overall" else ({}, "")


def _is_asked(origin: str) -> bool:
    return not origin.startswith(("default", "policy", "a scale"))


def refusals(options: BinarizeOptions) -> Ruleset:
    """Return the phrase rules whose hit in a chosen answer drops the pair."""
    loaded = rules.load(options.rules)
    without = {name.removeprefix(f"{phrases.NAME}/") for name in options.without}
    return replace(loaded, rules=tuple(rule for rule in loaded.rules if rule.id not in without))


def reasons(options: BinarizeOptions) -> Reasons:
    """Return the rules that can be overruled, with their reasons."""
    return {**leakage.REASONS, **near_duplicates.REASONS, **phrases.reasons(rules.load(options.rules))}


def _parse(block: Block, options: BinarizeOptions) -> tuple[pl.DataFrame, str | None]:
    return parse_rated(block, scales_of(options.bounds))


def _files(source: str) -> SourceFiles:
    place = place_of(source)
    kinds.refuse(place, kinds.RATED_ROWS)
    return rated_files(source) if manifest.is_whole(place) else local_files(source)


def _digests(options: BinarizeOptions) -> dict[str, str]:
    return {**rules.load(DOUBTED).digests, **refusals(options).digests, **leakage.file_digests(options.benchmark)}


def row_stages(options: BinarizeOptions) -> tuple[Stage, ...]:
    """Return the stages that look at one rated row at a time, in the order of the contract."""
    gates = (mark_unpairable(options), leakage.mark_benchmarks(options.benchmark, options.sources_of_benchmarks))
    return score_answers(options), *gates, choose_pairs(options, refusals(options)), mark_doubtful(options)


def _index(options: BinarizeOptions) -> tuple[str, ...]:
    of_similar = near_duplicates.index(options.near_duplicates)
    return ("prompt_key", "prompt_id", "is_benchmark", "published", *judgements.COLUMNS, *of_similar)


def _keyed(table: pl.DataFrame, options: BinarizeOptions) -> pl.DataFrame:
    keyed = judgements.with_pair_counts(leakage.with_benchmark_keys(table, options.sources_of_benchmarks))
    return near_duplicates.with_bands(keyed, options.near_duplicates)


def set_stages(options: BinarizeOptions, look_up: LookUp) -> tuple[Stage, ...]:
    """Return the stages that look at the whole set."""
    copies = () if options.keep_benchmarks else (leakage.mark_copies(),)
    votes = (judgements.mark_outvoted(options.annotators, look_up),) if options.annotators else ()
    similar = near_duplicates.stages(options.near_duplicates, look_up)
    return *copies, *votes, mark_in_test(options), *similar, judgements.mark_contradicted(look_up)


def _splits(options: BinarizeOptions) -> dict[str, pa.Schema]:
    return dict.fromkeys(SPLITS, schemas.PAIRS_H4 if options.layout == "h4" else schemas.PAIRS)


def _rows(kept_rows: pl.DataFrame, options: BinarizeOptions) -> Iterator[SplitRows]:
    for split, rows in split_rows(kept_rows, options):
        yield SplitRows(split, rows.with_columns(source="prompt_source"), rows)


def _copies(index: pl.DataFrame) -> dict[str, str]:
    """Return that sft holds the rows of prefs, if no row gives more than one pair."""
    kept_rows = index.filter(pl.col("dropped_by").is_null())
    most = kept_rows["pair_count"].max()
    return {"train_sft": "train_prefs"} if most == 1 else {}


def _tables(_: BinarizeOptions) -> dict[str, pa.Schema]:
    return {"rated": schemas.RATED_ROWS}


def _table_rows(table: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame]]:
    """Yield the rows as they were read, without later verdicts."""
    verdict = [pl.when(is_unread()).then(name).alias(name) for name in ("dropped_by", "dropped_turn", "matched")]
    yield "rated", table.with_columns(verdict)


BINARIZING = DataStep(
    name="binarize",
    kind="pairs",
    options=BinarizeOptions,
    reading=Reading(_parse, _files, _digests, belongs_together),
    row_stages=row_stages,
    rules=reasons,
    whole_set=WholeSet(_index, "prompt_key", _keyed, set_stages, sides_of),
    writing=Writing(_splits, _rows, _tables, _table_rows, _copies),
    reports=REPORTS,
    implied=_implied,
    free=("test_prompts", "layout"),
    package=__package__,
)
