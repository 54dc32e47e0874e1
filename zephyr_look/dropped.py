"""The rows that are not in a dataset, each with its reason: those its audit lists, or those that cannot be read."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

import polars as pl
from rich.text import Text

from zephyr_core import kinds
from zephyr_core.errors import OptionError
from zephyr_core.records import DatasetManifest
from zephyr_data.engine.store import audit_table
from zephyr_data.sources.lookup import raw_line
from zephyr_look.opening import Dataset
from zephyr_look.safe_text import visible
from zephyr_look.screen import Screen


@dataclass(frozen=True)
class DroppedRows:
    """What the audit of a dataset directory says of the rows that it dropped.

    Columns: row_key, id, source, file, line, reason ("stage/rule"), turn, matched, why, why_source
    """

    table: pl.DataFrame
    names = ("id", "row_key")
    place = ("source", "file", "line")

    @classmethod
    def of(cls, dataset: Dataset) -> "DroppedRows":
        """Return the dropped rows of a dataset.

        Raises:
            OptionError: it has no audit.
        """
        if dataset.folder is None:
            raise OptionError(
                f"{dataset.name} has no audit: --dropped shows rows that `zephyr data` dropped",
                'rows that training cannot read: `--where "unfit IS NOT NULL"`',
            )
        dropped, rules = audit_table(dataset.folder, "dropped"), audit_table(dataset.folder, "rules")
        why = rules.select("stage", "rule", "why", "why_source")
        rows = dropped.join(why, on=["stage", "rule"], how="left", maintain_order="left")
        reason = pl.format("{}/{}", "stage", "rule").alias("reason")
        return cls(rows.select("row_key", "id", *cls.place, reason, "turn", "matched", "why", "why_source"))

    def frames(self, columns: Collection[str]) -> Iterator[pl.DataFrame]:
        """Yield some columns of all rows."""
        yield self.table.select(columns)

    def rows_at(self, places: pl.DataFrame) -> pl.DataFrame:
        """Return the rows at some places."""
        return self.table.join(places, on=self.place, how="semi", maintain_order="left")


def with_raw(rows: pl.DataFrame, dataset: Dataset) -> list[dict[str, Any]]:
    """Return dropped rows with `raw`, the text of the row as read; null if its file is gone or has changed."""
    assert dataset.folder is not None  # noqa: S101  DroppedRows refuses others
    content: DatasetManifest = kinds.read_dataset(dataset.folder)
    return [
        {**row, "raw": raw_line(row["source"], row["file"], row["line"], content["inputs"])}
        for row in rows.iter_rows(named=True)
    ]


def dropped_text(row: dict[str, Any], screen: Screen) -> str:
    """Return where a dropped row is, why it was dropped, and the row."""
    turn = "" if row["turn"] is None else f", turn {row['turn']}"
    parts = [
        screen.lines(Text(visible(f"── {row['file']}:{row['line']}  {row['id'] or row['row_key'] or ''}"), "bold"))
    ]
    parts.append(screen.lines(Text(f"dropped by {row['reason']}{turn}", "bold red"), 2))
    details = {name: row[name] for name in ("matched", "why", "raw") if row[name]}
    parts += [screen.lines(Text(f"{name}: {visible(text)}"), 4) for name, text in details.items()]
    return "\n".join(parts)
