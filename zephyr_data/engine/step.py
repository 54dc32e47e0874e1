"""What a step is: how raw files become tables, which stages run, what the whole set decides, what is written and shown.

A step is declared once, with functions from its own folder; whatever it leaves out has a default. The pipeline, the
card, the closing table and the stories ask the step, and none of them knows which one it is. Steps are sent to
workers, so their functions are module-level ones.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

import polars as pl
import pyarrow as pa

from zephyr_core.options import declared
from zephyr_core.recipe import Resolved
from zephyr_core.records import Counts, DatasetContent, DatasetManifest
from zephyr_data.options import StepOptions
from zephyr_data.sources.blocks import Block
from zephyr_data.sources.files import RawFile, SourceFiles, local_files
from zephyr_data.stages.overruling import Reasons, list_digests, row_names, rules_named, with_spare_names
from zephyr_data.stages.verbs import LookUp, Stage

Options = TypeVar("Options", bound=StepOptions)
Line = tuple[str, int, str]  # of the closing table: name, number, note
FREE = ("sources", "revision", "limit", "shard_rows")  # options that no block's result depends on


@dataclass(frozen=True)
class SplitRows:
    """Rows of a split, and where each came from: the columns of audit/kept.parquet except split and row.

    `digests` are the rows' digests, if the workers have already computed them.
    """

    split: str
    rows: pl.DataFrame
    origins: pl.DataFrame
    digests: pl.Series | None = None


# ---- what a step does by default -----------------------------------------------------------------


def _no_digests(_: Any) -> dict[str, str]:
    return {}


def _never(_: RawFile) -> bool:
    return False


def _row_keys(_: Any) -> tuple[str, ...]:
    return ("row_key",)


def _as_it_is(table: pl.DataFrame, _: Any) -> pl.DataFrame:
    return table


def _no_stages(_: Any, look_up: LookUp) -> tuple[Stage, ...]:
    return ()


def _no_rules(_: Any) -> Reasons:
    return {}


def _all_train(kept_rows: pl.DataFrame, _: Any) -> pl.Series:
    return pl.repeat("train", kept_rows.height, dtype=pl.String, eager=True)


def _no_tables(_: Any) -> dict[str, pa.Schema]:
    return {}


def _no_copies(_index: pl.DataFrame) -> dict[str, str]:
    return {}


def _no_table_rows(_: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame]]:
    yield from ()


def _nothing_measured(_: pl.DataFrame) -> Counter[str]:
    return Counter()


def _no_notice(_rows: int, _options: Any) -> str | None:
    return None


def _no_lines(_: Counts) -> Iterator[Any]:
    yield from ()


def _no_cautions(_: Any) -> Iterator[str]:
    yield from ()


def _nothing(_: Any) -> str:
    return ""


def _no_story(_directory: Path, _content: DatasetManifest, _row_key: str) -> str:
    return ""


def _unchanged(resolved: Resolved[Any]) -> Resolved[Any]:
    return resolved


# ---- the parts of a step -------------------------------------------------------------------------


@dataclass(frozen=True)
class Reading(Generic[Options]):
    """How raw files become tables."""

    parse: Callable[[Block, Options], tuple[pl.DataFrame, str | None]]  # a block's rows, faults marked, and their shape
    files: Callable[[str], SourceFiles] = local_files  # what is behind a local source
    digests: Callable[[Options], dict[str, str]] = _no_digests  # sha256 of other files that results depend on
    is_whole: Callable[[RawFile], bool] = _never  # whether a file's rows belong together, so that it is one block


@dataclass(frozen=True)
class WholeSet(Generic[Options]):
    """What can be decided only when all rows are known; the default decides nothing and puts all rows in train.

    Its stages look at keys and places, never at texts: they see the index columns of the rows whose `key` is not null,
    and `look_up` adds other columns to the few rows that need them.
    """

    index: Callable[[Options], tuple[str, ...]] = _row_keys  # columns that stages and sides read
    key: str = "row_key"
    keyed: Callable[[pl.DataFrame, Options], pl.DataFrame] = _as_it_is  # a block's result, with the index columns
    stages: Callable[[Options, LookUp], tuple[Stage, ...]] = _no_stages
    sides: Callable[[pl.DataFrame, Options], pl.Series] = _all_train  # of the kept rows, which hold the index columns


@dataclass(frozen=True)
class Writing(Generic[Options]):
    """What is written; audit/kept.parquet leads to the rows of the first two splits."""

    splits: Callable[[Options], dict[str, pa.Schema]]
    rows: Callable[[pl.DataFrame, Options], Iterator[SplitRows]]  # of each split, given the kept rows
    tables: Callable[[Options], dict[str, pa.Schema]] = _no_tables  # further ones, by folder
    table_rows: Callable[[pl.DataFrame], Iterator[tuple[str, pl.DataFrame]]] = _no_table_rows
    copies: Callable[[pl.DataFrame], dict[str, str]] = _no_copies  # splits with the rows of another one → its name


@dataclass(frozen=True)
class Reports(Generic[Options]):
    """Reports on a step's datasets, beyond those that every dataset has."""

    title: str = "Dataset"  # of the card
    about: Callable[[DatasetContent], str] = _nothing  # of the card: what the rows are
    changed: Callable[[DatasetContent], str] = _nothing  # of the card: what was changed in kept rows
    measure: Callable[[pl.DataFrame], Counter[str]] = _nothing_measured  # "group:name" is a count inside a group
    notice: Callable[[int, Options], str | None] = _no_notice  # given the number of rows left
    cautions: Callable[[Options], Iterator[str]] = _no_cautions  # of the plan and below the closing table
    lines: Callable[[Counts], Iterator[Line]] = _no_lines  # of the closing table, below the rows kept
    figures: Callable[[Counts], Iterator[str]] = _no_lines  # below the closing table
    sought: Callable[[Options], str] = _nothing  # what rows must hold, for the hint when none was kept
    sampled: Mapping[str, str] = field(default_factory=dict, hash=False)  # counts that a dry run shows → their names
    story: Callable[[Path, DatasetManifest, str], str] = _no_story  # what else is known about a row, by its row_key


@dataclass(frozen=True)
class DataStep(Generic[Options]):
    """A step from raw rows to a dataset."""

    name: str  # as in `zephyr data NAME`
    kind: Literal["dialogues", "pairs"]  # what the rows are, for training
    options: type[Options]
    reading: Reading[Options]
    row_stages: Callable[[Options], tuple[Stage, ...]]  # those that look at one row at a time, in order
    writing: Writing[Options]
    whole_set: WholeSet[Options] = WholeSet()
    rules: Callable[[Options], Reasons] = _no_rules  # those that can be overruled, with their reasons
    reports: Reports[Options] = Reports()
    implied: Callable[[Resolved[Options]], Resolved[Options]] = _unchanged  # options, plus what some imply for others
    free: tuple[str, ...] = ()  # options that no block's result depends on, besides FREE
    package: str = ""  # its own folder's, whose code the results depend on

    def read(self, block: Block, options: Options) -> tuple[pl.DataFrame, str | None]:
        """Return a block's rows, faults and rows to spare marked, and their shape."""
        table, shape = self.reading.parse(block, options)
        return with_spare_names(table, row_names(options.spare)), shape

    def stages(self, options: Options, look_up: LookUp | None = None) -> tuple[Stage, ...]:
        """Return the stages, with the rules that the options overrule: the row stages, or with `look_up` the others."""
        stages = self.row_stages(options) if look_up is None else self.whole_set.stages(options, look_up)
        without = self.overruled(options)
        return tuple(replace(stage, without=without) for stage in stages)

    def overruled(self, options: Options) -> frozenset[str]:
        """Return the rules that the options overrule, as "stage/rule".

        Raises:
            OptionError: there is no such rule.
        """
        return rules_named(options.without, self.rules(options)) if options.without else frozenset()

    def digests(self, options: Options) -> dict[str, str]:
        """Return the sha256 of each file besides the sources that results depend on."""
        return {**self.reading.digests(options), **list_digests(options.spare)}

    def plan(self, options: Options) -> dict[str, object]:
        """Return the options that a block's result depends on: all but the free ones."""
        names = (name for name in declared(options) if name not in (*FREE, *self.free))
        return {name: getattr(options, name) for name in names}
