"""Ratings on a scale that their field does not have: refused, since they would be left out one by one."""

import polars as pl

from zephyr_data.errors import SourceError
from zephyr_data.sources.blocks import Block

LEAST, SHARE = 10, 0.05  # numbers outside of their scale in a block, and of all its ratings; fewer are slips
_NUMBER = r"^[+-]?[0-9]+(\.[0-9]+)?$"


def refuse_other_scale(block: Block, table: pl.DataFrame) -> None:
    """Raise if many ratings or overall scores of a block are numbers outside of their scale.

    Columns in:  completions

    Raises:
        SourceError: naming the file and the most frequent number.
    """
    answers = table.select(pl.col("completions").explode()).unnest("completions").drop_nulls("response")
    texts = answers["unreadable"].drop_nulls().str.split(", ").explode()
    outside = texts.filter(texts.str.contains(_NUMBER))
    used = answers.select(pl.col("ratings").list.len().sum() + pl.col("overall").count()).item()
    if len(outside) < LEAST or len(outside) <= SHARE * (len(outside) + used):
        return
    raise SourceError(
        f"{block.file.path}: {len(outside):,} of {len(outside) + used:,} ratings from line {block.first_line} on are "
        f"outside of their scale, mostly {outside.mode().sort()[0]}",
        "annotations go from 1 to 5, overall_score from 1 to 10; `ratings` and `score` may have any scale",
    )
