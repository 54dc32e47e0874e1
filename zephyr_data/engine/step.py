"""What a step consists of: the pipeline reads, runs and writes any of them in the same way."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

import polars as pl
import pyarrow as pa

from zephyr_core.recipe import Resolved
from zephyr_data.options import StepOptions
from zephyr_data.sources.blocks import Block
from zephyr_data.sources.files import RawFile
from zephyr_data.stages.verbs import LookUp, Stage, at_hand

Options = TypeVar("Options", bound=StepOptions)


@dataclass(frozen=True)
class SplitRows:
    """Rows of a split, and one by one where they came from: the columns of audit/kept.parquet but split and row.

    `digests` are those of the rows where the workers found them already.
    """

    split: str
    rows: pl.DataFrame
    origins: pl.DataFrame
    digests: pl.Series | None = None


class Step(Protocol[Options]):
    """A step from raw rows to a dataset, told as tuples of stages. Steps have no state and travel to workers."""

    def __hash__(self) -> int:
        """Return one value for equal steps, wherever they were made."""

    @property
    def name(self) -> str:
        """Return the step's name, as in `zephyr data NAME`."""

    @property
    def kind(self) -> Literal["dialogues", "pairs"]:
        """Return what the dataset holds."""

    @property
    def options(self) -> type[Options]:
        """Return the type of the step's options."""

    @property
    def index(self) -> tuple[str, ...]:
        """Return the columns that set stages and sides read, besides place and verdict.

        Rows in which the first of them is null, such as dropped ones, are not seen by set stages.
        """

    def settle(self, resolved: Resolved[Options]) -> Resolved[Options]:
        """Return the options with what some of them imply for others, each with that as its origin."""

    def files(self, source: str) -> list[RawFile]:
        """Return the raw files behind a local source."""

    def file_digests(self, options: Options) -> dict[str, str]:
        """Return the sha256 of every rule or benchmark file that results hang on."""

    def plan(self, options: Options) -> dict[str, object]:
        """Return the options on which the result of a block hangs."""

    def parse(self, block: Block) -> tuple[pl.DataFrame, str | None]:
        """Return a block's rows, faults marked, and their shape."""

    def row_stages(self, options: Options) -> tuple[Stage, ...]:
        """Return the stages that look at one row at a time, in the order of the contract."""

    def settled(self, table: pl.DataFrame, options: Options) -> pl.DataFrame:
        """Return the table as a block's result: with the index columns, without texts that nobody will read."""

    def set_stages(self, options: Options, look_up: LookUp = at_hand) -> tuple[Stage, ...]:
        """Return the stages that look at the whole set: at keys and places, never at texts.

        They see the index columns of all rows; `look_up` adds others to the few rows that need them.
        """

    def sides(self, kept: pl.DataFrame, options: Options) -> pl.Series:
        """Return the side of each kept row; `kept` holds the index columns."""

    def news(self, kept_rows: int, options: Options) -> str | None:
        """Return what a person should hear about the number of rows that are left."""

    def splits(self, options: Options) -> dict[str, pa.Schema]:
        """Return the schema of each split; audit/kept.parquet leads to the rows of the first two."""

    def tables(self, options: Options) -> dict[str, pa.Schema]:
        """Return the schema of each further table, by folder."""

    def rows(self, kept: pl.DataFrame, options: Options) -> Iterator[SplitRows]:
        """Yield the rows of each split."""

    def table_rows(self, table: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame]]:
        """Yield the rows of each further table."""

    def measure(self, table: pl.DataFrame) -> Counter[str]:
        """Return counts over a block after all stages; "group:name" is a count inside a group."""
