"""The files of a dataset directory while they are being written."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

import polars as pl
import pyarrow as pa

from zephyr_core.records import SplitEntry
from zephyr_data import schemas
from zephyr_data.engine.step import Options, SplitRows, Writing
from zephyr_data.engine.store import DROPPED_CONTENT, ShardWriter, packed_rows_digest, table_digests, to_arrow

LED_TO = 2  # number of splits, the first ones, whose rows audit/kept.parquet leads to


class DatasetWriter:
    """Writers for the splits, the audit tables and the step's further tables."""

    def __init__(
        self,
        dataset: Path,
        options: Options,
        writing: Writing[Options],
        copies: dict[str, str],
        *,
        in_background: bool,
    ) -> None:
        def writer(folder: str, stem: str, schema: pa.Schema, shard_rows: int | None = None) -> ShardWriter:
            (dataset / folder).mkdir(parents=True, exist_ok=True)
            return ShardWriter(dataset / folder, stem, schema, shard_rows)

        splits, tables, shard_rows = writing.splits(options), writing.tables(options), options.shard_rows
        self.names, self.copies = list(splits), copies
        self.splits = {
            name: writer("data", name, schema, shard_rows) for name, schema in splits.items() if name not in copies
        }
        for split in self.splits.values():
            split.pool = ThreadPoolExecutor(1) if in_background else None
        self.tables = {name: writer(name, name, schema, shard_rows) for name, schema in tables.items()}
        self.dropped = writer("audit", "dropped", schemas.DROPPED)
        self.rewritten = writer("audit", "rewritten", schemas.REWRITTEN)
        self.spared = writer("audit", "spared", schemas.SPARED)
        self.kept = writer("audit", "kept", schemas.KEPT)
        self.rules = writer("audit", "rules", schemas.RULES)
        self.dropped_rows = writer("dropped_rows", "dropped", schemas.DROPPED_ROWS) if options.keep_dropped else None

    def __enter__(self) -> "DatasetWriter":
        """Return the writer, open."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the files whether or not writing succeeded."""
        for writer in self._writers():
            writer.abandon()

    def write_split(self, part: SplitRows) -> None:
        """Append rows to a split and, if audit/kept.parquet leads to it, record where each came from.

        Those of a split that is a copy are not written.
        """
        if part.split in self.copies:
            return
        writer = self.splits[part.split]
        if part.split in self.names[:LED_TO]:
            place = pl.int_range(writer.rows, writer.rows + pl.len())
            self.kept.write(to_arrow(part.origins.with_columns(split=pl.lit(part.split), row=place), schemas.KEPT))
        table = to_arrow(part.rows, writer.schema)
        writer.write(table)
        writer.digests += b"".join(table_digests(table) if part.digests is None else part.digests)

    def write_table(self, name: str, rows: pl.DataFrame) -> None:
        """Append rows to one of the step's further tables."""
        self.tables[name].write(to_arrow(rows, self.tables[name].schema))

    def write_audit(
        self, rewritten: pl.DataFrame, spared: pl.DataFrame, dropped: pl.DataFrame, reasons: pl.DataFrame
    ) -> None:
        """Write a block's changes, spared hits, the reasons for its drops and, if asked for, the dropped rows whole."""
        self.rewritten.write(to_arrow(rewritten, schemas.REWRITTEN))
        self.spared.write(to_arrow(spared, schemas.SPARED))
        table = to_arrow(reasons, schemas.DROPPED)
        self.dropped.write(table)
        self.dropped.digests += b"".join(table_digests(table.select(list(DROPPED_CONTENT))))
        if self.dropped_rows is not None:
            self.dropped_rows.write(to_arrow(dropped, schemas.DROPPED_ROWS))

    def finish(self, rules: pl.DataFrame) -> None:
        """Write the table of rules and give every file its final name."""
        self.rules.write(to_arrow(rules, schemas.RULES))
        for writer in self._writers():
            writer.finish()
        for name, original in self.copies.items():
            self.splits[original].copy_as(name)

    def splits_record(self) -> dict[str, SplitEntry]:
        """Return the row count and digest of each split."""
        entries: dict[str, SplitEntry] = {
            name: {"rows": writer.rows, "rows_digest": packed_rows_digest(writer.digests)}
            for name, writer in self.splits.items()
        }
        return {name: entries[self.copies.get(name, name)] for name in self.names}

    def empty(self) -> set[str]:
        """Return the names of the audit tables and of the step's further tables that have no row."""
        audits = (self.dropped, self.rewritten, self.spared, self.kept, self.rules)
        return {writer.stem for writer in (*audits, *self.tables.values()) if not writer.rows}

    def dropped_digest(self) -> str:
        """Return the digest of the drops."""
        return packed_rows_digest(self.dropped.digests)

    def _writers(self) -> list[ShardWriter]:
        extra = [self.dropped_rows] if self.dropped_rows is not None else []
        return [
            *self.splits.values(),
            *self.tables.values(),
            self.dropped,
            self.rewritten,
            self.spared,
            self.kept,
            self.rules,
            *extra,
        ]
