"""A dataset directory: Parquet shards, audit tables, card, and the manifest last."""

import hashlib
import shutil
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import orjson
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from zephyr_core import folder, kinds, manifest
from zephyr_core.errors import DataError, first_line
from zephyr_core.keys import rows_digest
from zephyr_core.records import Counts, DatasetManifest, SplitEntry
from zephyr_data import schemas
from zephyr_data.errors import ContractBroken
from zephyr_data.json_digests import row_digests_of
from zephyr_data.sources.tables import REBUILD, column_names, read_as, read_batches

ROW_GROUP = 2_000  # small groups keep readers' memory small
_AUDIT = {
    "dropped": schemas.DROPPED,
    "rewritten": schemas.REWRITTEN,
    "kept": schemas.KEPT,
    "rules": schemas.RULES,
    "spared": schemas.SPARED,
}
_ADDED = {"spared_rows": 0, "why": None, "why_source": None}  # columns of `rules` that older datasets lack
DROPPED_CONTENT = ("row_key", "stage", "rule", "turn", "matched")  # all but the location


@dataclass
class ShardWriter:
    """Writes the rows of one split as `<stem>-00000-of-0000N.parquet`, or one file when `shard_rows` is None.

    With a `pool` of one thread, the files are written there while the caller continues; at most one table waits.
    """

    folder: Path
    stem: str
    schema: pa.Schema
    shard_rows: int | None = None
    pool: ThreadPoolExecutor | None = None
    digests: bytearray = field(default_factory=bytearray)  # of the rows, 32 bytes each
    rows: int = 0
    _pending: Future[None] | None = None
    _shards: list[Path] = field(default_factory=list)
    _stream: BinaryIO | None = None
    _writer: pq.ParquetWriter | None = None
    _room: int = 0

    def write(self, table: pa.Table) -> None:
        """Append rows, starting a new shard when the last one is full."""
        self.rows += table.num_rows
        self._wait()
        if self.pool is None:
            self._append(table)
        else:
            self._pending = self.pool.submit(self._append, table)

    def _wait(self) -> None:
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()

    def _append(self, table: pa.Table) -> None:
        while table.num_rows:
            writer = self._writer or self._open()
            part = table if self.shard_rows is None else table.slice(0, self._room)
            writer.write_table(part, row_group_size=ROW_GROUP)
            self._room -= part.num_rows
            table = table.slice(part.num_rows)
            if self.shard_rows is not None and self._room == 0:
                self._close()

    def finish(self) -> None:
        """Close the last shard and give all shards their final names; a split without rows still gets one file."""
        self._wait()
        if not self._shards:
            self._open()
        self._close()
        for path, place in zip(self._shards, self._places(self.stem), strict=True):
            path.rename(place)

    def copy_as(self, stem: str) -> None:
        """Copy the finished files for a split of the same rows."""
        for path, place in zip(self._places(self.stem), self._places(stem), strict=True):
            shutil.copyfile(path, place)

    def _places(self, stem: str) -> list[Path]:
        """Return the final names of the files of a split."""
        shards = len(self._shards)
        counts = ["" if self.shard_rows is None else f"-{number:05d}-of-{shards:05d}" for number in range(shards)]
        return [self.folder / f"{stem}{count}.parquet" for count in counts]

    def abandon(self) -> None:
        """Close what is open without finishing it."""
        if self.pool is not None:
            self.pool.shutdown()
        writer, self._writer = self._writer, None
        if writer is not None:
            with suppress(OSError):  # a full disk, already reported
                writer.close()
            writer.is_open = False  # else it tries again when it is freed, and reports that
        if self._stream is not None:
            with suppress(OSError):
                self._stream.close()

    def _open(self) -> pq.ParquetWriter:
        path = self.folder / f".{self.stem}-{len(self._shards)}.tmp"
        self._stream = path.open("wb")  # of a path pyarrow makes a URI
        self._writer = pq.ParquetWriter(self._stream, self.schema, compression="zstd", compression_level=1)
        self._shards.append(path)
        self._room = self.shard_rows or 0
        return self._writer

    def _close(self) -> None:
        if self._writer is not None and self._stream is not None:
            self._writer.close()
            self._stream.close()
            self._writer = None


def packed_rows_digest(digests: bytearray) -> str:
    """Return `zephyr_core.keys.rows_digest` of concatenated digests; sorts them in place."""
    np.frombuffer(digests, dtype="S32").sort()
    return hashlib.sha256(digests).hexdigest()


def row_digests(rows: list[dict[str, Any]]) -> list[bytes]:
    """Return the sha256 of each row's compact JSON object, columns in order."""
    return [hashlib.sha256(orjson.dumps(row)).digest() for row in rows]


def table_digests(table: pa.Table) -> list[bytes]:
    """Return the `row_digests` of the table's rows, computed the fast way."""
    return row_digests_of(pl.DataFrame(pl.from_arrow(table)))


def split_of(shard: str) -> str:
    """Return the split that a shard's file name begins with."""
    return shard.rsplit("-", 3)[0]


def split_files(directory: Path) -> dict[str, list[Path]]:
    """Return the shards of each split, in order."""
    shards: dict[str, list[Path]] = {}
    for path in sorted((directory / "data").glob("*.parquet")):
        shards.setdefault(split_of(path.name), []).append(path)
    return shards


def audit_table(directory: Path, name: str) -> pl.DataFrame:
    """Return an audit table of a finished dataset: dropped, kept, rewritten, spared or rules.

    Raises:
        DataError: it is not as the manifest says, or damaged.
    """
    schema, file = _AUDIT[name], f"audit/{name}.parquet"
    empty = pl.DataFrame(pl.from_arrow(schema.empty_table()))
    if name == "spared" and file not in kinds.read_dataset(directory)["files"]:
        return empty  # a dataset of an older zephyr
    require_whole(directory, [file])
    if name != "rules":
        return read_as(directory / file, schema)
    present = column_names(directory / file, hint=REBUILD)
    added = {column: value for column, value in _ADDED.items() if column not in present}
    table = read_as(directory / file, pa.schema([column for column in schema if column.name not in added]))
    return table.with_columns(pl.lit(value).alias(column) for column, value in added.items()).cast(empty.schema)


def require_whole(directory: Path, names: Iterable[str] | None = None) -> None:
    """Raise if files of a finished dataset, or some of them, are not as its manifest says; size and time are trusted.

    Raises:
        DataError: naming the first.
    """
    fault = folder.damage(directory, hashed=False, names=names)
    if fault:
        raise DataError(f"{directory} is damaged: {fault}", REBUILD)


@contextmanager
def odd_manifest(directory: Path) -> Iterator[None]:
    """Turn a failure on a manifest that has all its keys, but not what its step records, into an error that says so.

    Raises:
        DataError: naming the manifest.
    """
    try:
        yield
    except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError) as fault:
        what = f"{type(fault).__name__}: {first_line(fault)}"
        raise DataError(f"{directory / manifest.NAME} is damaged: {what}", REBUILD) from None


def _rows(paths: list[Path], columns: list[str] | None = None) -> Iterator[list[dict[str, Any]]]:
    """Yield the rows of Parquet files in batches."""
    for path in paths:
        yield from read_batches(path, ROW_GROUP, columns)


def verify(directory: Path) -> DatasetManifest:
    """Return the manifest of a dataset directory after checking everything in it.

    Checked: every file's size and sha256, that there are no other files, the sums of rows, and the digests of every
    split and of the drops, recomputed from the rows.

    Raises:
        WrongFolder: it is a different kind of folder.
        DataError: there is no manifest, or it is damaged.
        ContractBroken: all faults found, one per line.
    """
    content = kinds.read_dataset(directory)
    files = map(str, folder.faults(directory, strays=True))
    faults = [*files, *sum_faults(content["counts"]), *_pair_faults(content)]
    if not faults:
        faults = list(_digest_faults(directory, content))
    if faults:
        listed = "\n  ".join(faults)
        raise ContractBroken(
            f"{directory} does not match its manifest:\n  {listed}", "rebuild it, or restore the files"
        )
    return content


def sum_faults(counts: Counts) -> list[str]:
    """Return a line if the rows read are not the sum of those kept and dropped."""
    dropped = sum(counts["dropped"].values())
    if counts["rows_read"] != counts["kept_rows"] + dropped:
        return [f"{counts['rows_read']} rows read, but {counts['kept_rows']} kept + {dropped} dropped"]
    return []


def _pair_faults(content: DatasetManifest) -> Iterator[str]:
    """Yield a line if the prefs splits do not hold the number of pairs counted."""
    pairs = sum(entry["rows"] for name, entry in content["splits"].items() if name.endswith("_prefs"))
    counted = content["counts"].get("pairs")
    if content["kind"] == "pairs" and pairs != counted:
        yield f"{counted} pairs counted, but {pairs} in the prefs splits"


def _digest_faults(directory: Path, content: DatasetManifest) -> Iterator[str]:
    shards = split_files(directory)
    for split, entry in content["splits"].items():
        rows = split_entry(shards.get(split, []))
        if rows != entry:
            yield f"{split}: {rows['rows']} rows do not give the digest of {entry['rows']} rows in the manifest"
    dropped = _rows([directory / "audit" / "dropped.parquet"], list(DROPPED_CONTENT))
    digests = [digest for batch in dropped for digest in row_digests(batch)]
    counted = sum(content["counts"]["dropped"].values())
    if len(digests) != counted or rows_digest(digests) != content["dropped_digest"]:
        yield f"audit/dropped.parquet: {len(digests)} rows do not give the digest of {counted} in the manifest"


def split_entry(shards: list[Path]) -> SplitEntry:
    """Return the number and the digest of the rows in the files of a split."""
    digests = [digest for batch in _rows(shards) for digest in row_digests(batch)]
    return {"rows": len(digests), "rows_digest": rows_digest(digests)}


def to_arrow(frame: pl.DataFrame, schema: pa.Schema) -> pa.Table:
    """Return the frame's columns as an Arrow table of exactly that schema."""
    return frame.select(schema.names).to_arrow().cast(schema)
