"""Parquet files, handed over open: of a path polars and pyarrow make a glob, a URI or a home folder.

A damaged one is an error that names the file; `error` is its class, and `hint` says what to do.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from zephyr_core.errors import DataError, ZephyrError
from zephyr_core.reading import table_faults

REBUILD = "rebuild it, or restore the file"
ROW_GROUP = 5_000


@contextmanager
def _opened(path: Path, error: type[ZephyrError], hint: str | None) -> Iterator[BinaryIO]:
    with table_faults(path, error=error, hint=hint), path.open("rb") as stream:
        yield stream


def read_table(
    path: Path,
    columns: Iterable[str] | None = None,
    *,
    error: type[ZephyrError] = DataError,
    hint: str | None = REBUILD,
) -> pl.DataFrame:
    """Return a Parquet file's rows.

    Raises:
        error: the file is missing or damaged, or lacks a column.
    """
    with _opened(path, error, hint) as stream:
        return pl.read_parquet(stream, columns=None if columns is None else list(columns))


def read_as(path: Path, schema: pa.Schema) -> pl.DataFrame:
    """Return the columns of a schema.

    Raises:
        DataError: the file is missing or damaged, lacks a column, or a column has another type.
    """
    types = pl.DataFrame(pl.from_arrow(schema.empty_table())).schema
    table = read_table(path, schema.names)
    other = next((name for name in types if table.schema[name] != types[name]), None)
    if other is not None:
        raise DataError(f"{path} is damaged: {other} is {table.schema[other]}, not {types[other]}", REBUILD)
    return table


def read_rows(
    path: Path,
    start: int,
    rows: int,
    columns: Iterable[str] | None = None,
    *,
    error: type[ZephyrError] = DataError,
    hint: str | None = REBUILD,
) -> pl.DataFrame:
    """Return some rows of a Parquet file, without reading the others.

    Raises:
        error: the file is missing or damaged, or lacks a column.
    """
    with _opened(path, error, hint) as stream:
        scan = pl.scan_parquet(stream)
        return (scan if columns is None else scan.select(list(columns))).slice(start, rows).collect()


def as_json(table: pl.DataFrame, path: Path, *, error: type[ZephyrError] = DataError) -> list[str]:
    """Return the rows of a Parquet file as JSON; what JSON has no type for is text.

    Raises:
        error: a value cannot be written, such as a date beyond the year 9999.
    """
    with table_faults(path, error=error):
        return [json.dumps(row, ensure_ascii=False, default=str) for row in table.iter_rows(named=True)]


def read_matching(path: Path, column: str, value: str) -> pl.DataFrame:
    """Return the rows that have a value in a column, without keeping the others.

    Raises:
        DataError: the file is missing or damaged, or lacks a column.
    """
    with _opened(path, DataError, REBUILD) as stream:
        return pl.scan_parquet(stream).filter(pl.col(column) == value).collect()


def read_batches(path: Path, rows: int, columns: list[str] | None = None) -> Iterator[list[dict[str, Any]]]:
    """Yield a Parquet file's rows in batches.

    Raises:
        DataError: the file is missing or damaged, or lacks a column.
    """
    with _opened(path, DataError, REBUILD) as stream, pq.ParquetFile(stream) as file:
        for batch in file.iter_batches(batch_size=rows, columns=columns):
            yield batch.to_pylist()


def write_again(path: Path, copy: Path, rows: int, change: Callable[[pa.RecordBatch], pa.RecordBatch]) -> None:
    """Write a Parquet file under another name, some rows at a time changed, its columns and types as they are.

    Raises:
        DataError: the file is missing or damaged.
    """
    with (
        _opened(path, DataError, REBUILD) as stream,
        pq.ParquetFile(stream) as file,
        copy.open("wb") as other,
        pq.ParquetWriter(other, file.schema_arrow, compression="zstd") as writer,
    ):
        for batch in file.iter_batches(rows):
            writer.write_batch(change(batch))


def count_rows(path: Path, *, error: type[ZephyrError] = DataError, hint: str | None = REBUILD) -> int:
    """Return how many rows a Parquet file holds.

    Raises:
        error: the file is missing or damaged.
    """
    with _opened(path, error, hint) as stream:
        return int(pq.read_metadata(stream).num_rows)


def column_names(path: Path, *, error: type[ZephyrError] = DataError, hint: str | None = REBUILD) -> list[str]:
    """Return the names of a Parquet file's columns.

    Raises:
        error: the file is missing or damaged, or polars cannot read it for the type of a column.
    """
    with _opened(path, error, hint) as stream:
        schema = pq.read_schema(stream)
    odd = next((field for field in schema if _holds_views(field.type)), None)
    if odd is not None:
        raise error(f"{path}: the type of column {odd.name!r} cannot be read: {odd.type}", "write it as a list")
    return list(schema.names)


def _holds_views(dtype: pa.DataType) -> bool:
    """Return whether there is a list view in a type, at which polars panics."""
    inner = (dtype.field(place).type for place in range(dtype.num_fields))
    return pa.types.is_list_view(dtype) or pa.types.is_large_list_view(dtype) or any(map(_holds_views, inner))


def read_notes(path: Path) -> dict[str, str]:
    """Return what `write_table` noted in a file.

    Raises:
        DataError: the file is missing or damaged.
    """
    with _opened(path, DataError, REBUILD) as stream:
        return dict(pl.read_parquet_metadata(stream))


def write_table(table: pl.DataFrame, path: Path, notes: dict[str, str]) -> None:
    """Write rows that are soon read again, fast and not small, with notes in the file's metadata."""
    with path.open("wb") as stream:
        table.write_parquet(
            stream, compression="uncompressed", statistics=False, row_group_size=ROW_GROUP, metadata=notes
        )
