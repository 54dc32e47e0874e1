"""Rows that are one exchange: a prompt and its answer in columns of their own."""

from collections.abc import Iterator, Sequence
from typing import Any

import polars as pl

from zephyr_core.reading import table_faults
from zephyr_data.errors import SourceError
from zephyr_data.sources.blocks import Block
from zephyr_data.sources.carried import IDENTITY
from zephyr_data.sources.files import AGAIN
from zephyr_data.sources.lines import read_object
from zephyr_data.sources.shapes import EXCHANGES, Exchange, mixed_shapes
from zephyr_data.sources.typed_rows import exchange_row

Numbered = tuple[int, dict[str, Any], bytes]  # line, object, its text


def read_exchanges(raw: pl.DataFrame, block: Block) -> tuple[pl.DataFrame, str | None]:
    """Return the rows of a block without lists of turns, with their exchanges as `data`, and the shape, if any has one.

    Columns in:  shapes.RAW, fault, line

    Raises:
        MixedShapes: the block has exchanges of different shapes, or two in a row.
        SourceError: a Parquet file is damaged.
    """
    sound = set(raw.filter(pl.col("fault").is_null())["line"])
    rows: dict[int, dict[str, Any]] = {}
    exchange = None
    for line, row, text in objects(block, {name for each in EXCHANGES for name in each.columns}):
        shapes = _exchanges_of(row)
        exchange = exchange or next(iter(shapes), None)
        if exchange is not None and line in sound:
            if set(shapes) - {exchange}:
                raise mixed_shapes(str(block.file.path), line, [each.name for each in shapes], exchange.name)
            rows[line] = exchange_row(row, exchange, text)
    if exchange is None:
        return raw, None
    schema = {name: raw.schema[name] for name in raw.columns}
    read = pl.DataFrame([rows.get(row["line"], row) | {"line": row["line"]} for row in raw.rows(named=True)], schema)
    return read, exchange.name


def objects(block: Block, columns: set[str]) -> Iterator[Numbered]:
    """Yield the block's objects; of Parquet only these columns and those that are carried."""
    if block.file.kind == "parquet":
        used = [name for name in block.columns() if name in columns or name in IDENTITY]
        if used:
            with table_faults(block.file.path, error=SourceError, hint=AGAIN):
                for line, row in enumerate(block.table(used).iter_rows(named=True), start=block.first_line):
                    yield line, row, b""
        return
    for line, text, is_cut_short in block.lines():
        row, fault = ({}, "cut-short") if is_cut_short else read_object(text)
        if fault is None:
            yield line, row, text


def _exchanges_of(row: dict[str, Any]) -> Sequence[Exchange]:
    return [each for each in EXCHANGES if all(row.get(name) is not None for name in (each.prompt, each.answer))]
