"""The files of a dataset directory while they are being written."""

from pathlib import Path
from types import TracebackType
from typing import Any

import polars as pl

from zephyr_core.keys import rows_digest
from zephyr_data import schemas
from zephyr_data.options import CleanOptions
from zephyr_data.store import DROPPED_CONTENT, ShardWriter, row_digests, to_arrow

SPLITS = ("train_sft", "test_sft", "train_gen", "test_gen")


class Output:
    """Writers for the splits and the audit tables.

    A gen split holds the dialogues of its sft split without the last answer.
    """

    def __init__(self, dataset: Path, options: CleanOptions) -> None:
        data, audit = dataset / "data", dataset / "audit"
        for folder in (data, audit):
            folder.mkdir(parents=True)
        self.splits = {name: ShardWriter(data, name, schemas.SFT, options.shard_rows) for name in SPLITS}
        self.dropped = ShardWriter(audit, "dropped", schemas.DROPPED)
        self.rewritten = ShardWriter(audit, "rewritten", schemas.REWRITTEN)
        self.kept = ShardWriter(audit, "kept", schemas.KEPT)
        self.rules = ShardWriter(audit, "rules", schemas.RULES)
        self.dropped_rows: ShardWriter | None = None
        if options.keep_dropped:
            (dataset / "dropped_rows").mkdir()
            self.dropped_rows = ShardWriter(dataset / "dropped_rows", "dropped", schemas.DROPPED_ROWS)

    def __enter__(self) -> "Output":
        """Return the output, open."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the files whether or not writing succeeded."""
        for writer in self._writers():
            writer.abandon()

    def write_kept(self, kept: pl.DataFrame, rewritten: pl.DataFrame) -> None:
        """Write a block's kept rows, each to its splits, and the record of their changes."""
        for side in ("train", "test"):
            self._write_side(side, kept.filter(pl.col("side") == side))
        self.rewritten.write(to_arrow(rewritten, schemas.REWRITTEN))

    def write_dropped(self, dropped: pl.DataFrame, reasons: pl.DataFrame) -> None:
        """Write the reasons of a block's dropped rows, and the rows whole where that was asked for."""
        table = to_arrow(reasons, schemas.DROPPED)
        self.dropped.write(table)
        self.dropped.digests += row_digests(table.select(list(DROPPED_CONTENT)).to_pylist())
        if self.dropped_rows is not None:
            self.dropped_rows.write(to_arrow(dropped, schemas.DROPPED_ROWS))

    def finish(self, rules: pl.DataFrame) -> None:
        """Write the table of rules and give every file its name."""
        self.rules.write(to_arrow(rules, schemas.RULES))
        for writer in self._writers():
            writer.finish()

    def digests(self) -> dict[str, Any]:
        """Return rows and digest of each split, and the digest of the drops."""
        found = {
            name: {"rows": writer.rows, "rows_digest": rows_digest(writer.digests)}
            for name, writer in self.splits.items()
        }
        return {"splits": found, "dropped_digest": rows_digest(self.dropped.digests)}

    def _write_side(self, side: str, kept: pl.DataFrame) -> None:
        prompts = kept.select(prompt=pl.col("turns").list.first(), prompt_id="prompt_id", turns="turns")
        sft = self.splits[f"{side}_sft"]
        first_row = sft.rows
        for kind, without in (("sft", 0), ("gen", 1)):
            writer = self.splits[f"{side}_{kind}"]
            rows = to_arrow(prompts.with_columns(messages=messages(without)), schemas.SFT)
            writer.write(rows)
            writer.digests += row_digests(rows.to_pylist())
        numbered = kept.with_columns(split=pl.lit(f"{side}_sft")).with_row_index("row", offset=first_row)
        self.kept.write(to_arrow(numbered, schemas.KEPT))

    def _writers(self) -> list[ShardWriter]:
        extra = [self.dropped_rows] if self.dropped_rows is not None else []
        return [*self.splits.values(), self.dropped, self.rewritten, self.kept, self.rules, *extra]


def messages(without: int) -> pl.Expr:
    """Return the turns as a list of {content, role}, the last `without` turns left off."""
    turns = pl.col("turns").list.head(pl.col("turns").list.len() - without)
    role = pl.when(pl.int_range(pl.len()) % 2 == 0).then(pl.lit("user")).otherwise(pl.lit("assistant"))
    return turns.list.eval(pl.struct(content=pl.element(), role=role))
