"""Scales of ratings: which numbers each field can hold, and files whose numbers have another scale.

Such a file is refused, since its numbers would be left out one by one.
"""

from dataclasses import dataclass

import polars as pl

from zephyr_data.errors import SourceError
from zephyr_data.sources.blocks import Block

LEAST, SHARE = 10, 0.05  # numbers outside of their scale in a block, and of all its ratings; fewer are slips
LARGEST = 1e100  # a score beyond it is an error, and would make margins infinite
_NUMBER = r"^[+-]?[0-9]+(\.[0-9]+)?$"

Scale = tuple[float, float]  # least, most


@dataclass(frozen=True)
class Scales:
    """The scale of each field of an answer; the default is UltraFeedback's, with any scale in generic tables."""

    annotations: Scale = (1.0, 5.0)
    overall: Scale = (1.0, 10.0)
    others: Scale = (-LARGEST, LARGEST)  # of `ratings` and `score`


DEFAULT = Scales()


def scales_of(bounds: Scale | None) -> Scales:
    """Return the scales of all fields, given the one that was asked for, if any."""
    return DEFAULT if bounds is None else Scales(bounds, bounds, bounds)


def refuse_other_scale(block: Block, table: pl.DataFrame, scales: Scales) -> None:
    """Raise if many ratings or scores of a block are numbers outside of their scale.

    Columns in:  completions

    Raises:
        SourceError: naming the file and the most frequent number.
    """
    answers = table.select(pl.col("completions").explode()).unnest("completions").drop_nulls("response")
    texts = answers["unreadable"].drop_nulls().str.split(", ").explode()
    outside = texts.filter(texts.str.contains(_NUMBER))
    used = int(answers["ratings"].list.len().sum()) + answers["overall"].count() + answers["given"].count()
    if len(outside) < LEAST or len(outside) <= SHARE * (len(outside) + used):
        return
    usual = "annotations go from 1 to 5, overall_score from 1 to 10, `ratings` and `score` over any scale"
    replacement = f"--scale says {scales.others[0]:g} to {scales.others[1]:g}"
    raise SourceError(
        f"{block.file.path}: {len(outside):,} of {len(outside) + used:,} ratings from line {block.first_line} on are "
        f"outside of their scale, mostly {outside.mode().sort()[0]}",
        f"{usual if scales == DEFAULT else replacement}; `--scale MIN..MAX` sets the scale of all these numbers",
    )
