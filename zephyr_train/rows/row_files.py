"""Row files: which split their names indicate, and their rows chunk by chunk."""

import bisect
import gzip
import itertools
import json
import re
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from zephyr_core.errors import ZephyrError, first_line
from zephyr_train.errors import RowsUnfit
from zephyr_train.rows.messages import ChunkOrigin

SUFFIXES = (".parquet", ".jsonl", ".jsonl.gz", ".ndjson", ".json", ".json.gz")
CHUNK_ROWS = 8_192
_SPLIT = re.compile(r"(train|test|validation|eval)(_[a-z]+)?(?=[^a-z]|$)")
HINT = "the file is damaged or cut short: fetch or make it again; JSON needs one object per line, or one list"
_SHARD = re.compile(r"(.*)-(\d{5})-of-(\d{5})(.*)")


def is_rows_file(name: str) -> bool:
    """Return whether a file name is that of a row file; hidden files are not."""
    return name.endswith(SUFFIXES) and not any(part.startswith((".", "_")) for part in Path(name).parts)


def splits_of(names: Iterable[str]) -> dict[str, list[str]]:
    """Return split → file names in order; the split is the start of the file's name, or else of its folder's.

    If no name indicates a split, all files are "train".
    """
    splits: dict[str, list[str]] = {}
    ordered = sorted(name for name in names if is_rows_file(name))
    for name in ordered:
        path = Path(name)
        match = _SPLIT.match(path.name) or _SPLIT.match(path.parent.name)
        if match:
            splits.setdefault(match.group(0), []).append(name)
    return splits or ({"train": ordered} if ordered else {})


def missing_shards(names: Iterable[str]) -> list[str]:
    """Return the shards that `…-00000-of-0000N` names imply but that are missing."""
    sets: dict[tuple[str, str], set[int]] = {}
    for name in names:
        match = _SHARD.fullmatch(name)
        if match:
            sets.setdefault((match.group(1), match.group(3)), set()).add(int(match.group(2)))
    return [
        f"{stem}-{number:05}-of-{total}"
        for (stem, total), there in sets.items()
        for number in sorted(set(range(int(total))) - there)
    ]


def chunks(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[Any, ChunkOrigin]]:
    """Yield tables of at most CHUNK_ROWS rows, with those `columns` that the file has, and where the rows come from.

    Raises:
        RowsUnfit: the file is cut short or damaged; the message names it and the row.
    """
    parts = _parquet(path, columns) if path.name.endswith(".parquet") else _json(path, columns)
    row = 0
    while True:
        with row_faults(path, row):
            part = next(parts, None)
        if part is None:
            return
        yield part
        row = part[1].rows[-1]


@contextmanager
def row_faults(path: Path, row: int) -> Iterator[None]:
    """Turn whatever a library says about a damaged or odd file into one error, with the last row that could be read.

    Raises:
        RowsUnfit: the message names the file and the row.
    """
    try:
        yield
    except (ZephyrError, MemoryError, ImportError):
        raise
    except Exception as fault:
        raise RowsUnfit(f"{path} cannot be read past row {row}: {first_line(fault)}", HINT) from None


def _parquet(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[Any, ChunkOrigin]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    row = 0
    with pq.ParquetFile(path) as file:
        names = tuple(file.schema_arrow.names)
        selection = [name for name in columns if name in names]
        for batch in file.iter_batches(CHUNK_ROWS, columns=selection):
            numbers = range(row + 1, row + batch.num_rows + 1)
            if numbers:
                yield pa.Table.from_batches([batch]), ChunkOrigin(path.name, numbers, names)
            row += batch.num_rows


def _json(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[Any, ChunkOrigin]]:
    rows = _json_rows(path)
    while part := list(itertools.islice(rows, CHUNK_ROWS)):
        origin = ChunkOrigin(
            path.name, [number for number, _ in part], tuple(dict.fromkeys(name for _, row in part for name in row))
        )
        yield _table([row for _, row in part], [name for name in columns if name in origin.columns], origin), origin


def _json_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield row number (the line, or the position in a list, from 1) and row; blank lines count but are skipped."""
    number = 0
    try:
        with gzip.open(path) if path.name.endswith(".gz") else path.open("rb") as stream:
            for number, row in _json_values(stream, path):
                if not isinstance(row, dict):
                    raise RowsUnfit(f"{path}, row {number}: not an object but {type(row).__name__}", HINT)
                yield number, row
    except (OSError, EOFError, zlib.error) as fault:
        raise RowsUnfit(f"{path} cannot be read past row {number}: {first_line(fault)}", HINT) from None


def _json_values(stream: Iterable[bytes], path: Path) -> Iterator[tuple[int, Any]]:
    for number, read in enumerate(stream, start=1):
        line = read.removeprefix(b"\xef\xbb\xbf") if number == 1 else read
        if number == 1 and line.lstrip().startswith(b"["):
            yield from enumerate(_parse(line + b"".join(stream), f"{path}, a list,"), start=1)
        elif line.strip():
            yield number, _parse(line, f"{path}, row {number}")


def _parse(text: bytes, where: str) -> Any:
    import orjson

    try:
        return orjson.loads(text)
    except ValueError:
        try:
            return json.loads(text)  # accepts NaN, which tables of scores contain
        except ValueError as fault:
            raise RowsUnfit(f"{where} is not JSON: {first_line(fault)}", HINT) from None
        except RecursionError:
            raise RowsUnfit(f"{where} is nested too deeply", HINT) from None


def _table(rows: list[dict[str, Any]], columns: list[str], origin: ChunkOrigin) -> Any:
    import pyarrow as pa

    misfits = (pa.ArrowException, ValueError, TypeError, OverflowError, RecursionError)

    def is_odd(values: list[Any]) -> bool:
        try:
            pa.array(values)
        except misfits:
            return True
        return False

    arrays = {}
    for name in columns:
        values = [row.get(name) for row in rows]
        try:
            arrays[name] = pa.array(values)
        except misfits:
            first = bisect.bisect_left(range(len(values)), True, key=lambda index: is_odd(values[: index + 1]))
            message = f"{origin.row(first)}: column {name!r} has a different type from the rows before it"
            raise RowsUnfit(message, HINT) from None
    return pa.table(arrays)
