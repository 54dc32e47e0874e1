"""A third step, in one file as it would be in one folder: texts that hold a digit are dropped, the others kept as dialogues.

tests/zephyr_data/test_third_step.py runs it through everything that exists, touching nothing else.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl
import pyarrow as pa

from zephyr_core.keys import text_key
from zephyr_core.options import value
from zephyr_data import schemas
from zephyr_data.engine.step import DataStep, Reading, SplitRows, Writing
from zephyr_data.options import StepOptions
from zephyr_data.sources.blocks import Block
from zephyr_data.sources.parse import parse
from zephyr_data.stages.turns import messages
from zephyr_data.stages.verbs import Stage, mark


@dataclass(frozen=True)
class ToyOptions(StepOptions):
    """What the toy step does."""

    digit: str = value("7", "ours", "A digit that no text may hold.")


def _stages(options: ToyOptions) -> tuple[Stage, ...]:
    def find(table: pl.DataFrame) -> pl.DataFrame:
        spoken = table.filter(pl.col("turns").list.join(" ").str.contains(options.digit).fill_null(False))
        nothing = {"turn": pl.lit(None, dtype=pl.Int32), "matched": pl.lit(options.digit), "drops": pl.lit(True)}
        return spoken.select("row", rule=pl.lit("digit"), **nothing)

    return (mark("unheard-of", find),)


def _splits(_: ToyOptions) -> dict[str, pa.Schema]:
    return {"train_sft": schemas.SFT}


def _rows(kept_rows: pl.DataFrame, _: ToyOptions) -> Iterator[SplitRows]:
    prompts = kept_rows["turns"].list.first()
    rows = kept_rows.with_columns(prompt=prompts, prompt_id=pl.Series([text_key(text) for text in prompts]))
    yield SplitRows("train_sft", rows.with_columns(messages=messages("turns")), rows)


def _parse(block: Block, _: ToyOptions) -> tuple[pl.DataFrame, str | None]:
    return parse(block)


TOY = DataStep("toy", "dialogues", ToyOptions, Reading(_parse), _stages, Writing(_splits, _rows))
