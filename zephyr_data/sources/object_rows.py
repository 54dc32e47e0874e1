"""Rows without a list of turns, read an object at a time: one exchange in columns of its own, or a tree of messages."""

from collections.abc import Iterator
from typing import Any

import polars as pl

from zephyr_core.reading import table_faults
from zephyr_data import schemas
from zephyr_data.errors import SourceError
from zephyr_data.sources import trees
from zephyr_data.sources.blocks import Block
from zephyr_data.sources.carried import IDENTITY
from zephyr_data.sources.files import AGAIN
from zephyr_data.sources.lines import read_object
from zephyr_data.sources.shapes import EXCHANGES, mixed_shapes, to_turns
from zephyr_data.sources.typed_rows import exchange_row

Numbered = tuple[int, dict[str, Any], bytes]  # line, object, its text
_BY_NAME = {each.name: each for each in EXCHANGES}
_USED = {name for each in EXCHANGES for name in each.columns} | set(trees.COLUMNS)


def read_objects(raw: pl.DataFrame, block: Block) -> tuple[pl.DataFrame, str | None]:
    """Return the dialogues of a block without lists of turns, as `shapes.to_turns`, and their shape, if any has one.

    Columns in:  shapes.RAW, fault, line

    Raises:
        MixedShapes: the block has rows of different shapes, or two in a row.
        SourceError: a Parquet file is damaged.
    """
    sound = set(raw.filter(pl.col("fault").is_null())["line"])
    rows: dict[int, dict[str, Any]] = {}
    shape = None
    for line, row, text in objects(block, _USED):
        shapes = _shapes_of(row)
        shape = shape or next(iter(shapes), None)
        if shape is not None and line in sound:
            if set(shapes) - {shape}:
                raise mixed_shapes(str(block.file.path), line, shapes, shape)
            rows[line] = trees.tree_row(row, text) if shape == trees.NAME else exchange_row(row, _BY_NAME[shape], text)
    if shape is None:
        return to_turns(raw, "data"), None
    schema = {**raw.schema, trees.BRANCH: schemas.EDIT}
    read = pl.DataFrame([rows.get(row["line"], row) | {"line": row["line"]} for row in raw.rows(named=True)], schema)
    if shape == trees.NAME:
        return trees.with_branches(to_turns(read, "messages"), read[trees.BRANCH]), shape
    return to_turns(read, "data"), shape


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


def _shapes_of(row: dict[str, Any]) -> list[str]:
    if trees.is_tree(row):
        return [trees.NAME]
    return [each.name for each in EXCHANGES if all(row.get(name) is not None for name in (each.prompt, each.answer))]
