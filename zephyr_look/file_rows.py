"""The rows of one file in the one form, read by the readers of training and cleaning."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa

from zephyr_core.errors import DataError
from zephyr_core.keys import text_key
from zephyr_data.sources.blocks import Block, read_blocks
from zephyr_data.sources.files import AGAIN, local_files
from zephyr_data.sources.parse import parse
from zephyr_data.sources.rated import parse_rated
from zephyr_data.sources.rated_rows import ANSWERS as LISTS_OF_ANSWERS
from zephyr_data.sources.rated_shapes import has_columns
from zephyr_data.stages.turns import messages as as_messages
from zephyr_look.row_form import DIALOGUES, PAIRS, RATED, ROW, SIDES, completed
from zephyr_train.rows import column_layouts
from zephyr_train.rows.messages import ChunkOrigin
from zephyr_train.rows.row_files import SUFFIXES, chunks, row_faults
from zephyr_train.tokenizing.keyed_rows import CONTENT

_AT_ONCE = 2_000  # rows: texts are held several times over while they are converted
_CARRIED = ("id", "source", "chosen_model", "rejected_model", "score_chosen", "score_rejected")


@dataclass
class FileRows:
    """The rows of one file, read again each time."""

    split: str
    path: Path
    name: str

    def frames(self, columns: Collection[str], rows: pl.Series | None = None) -> Iterator[pl.DataFrame]:
        """Yield some columns of ROW, a few thousand rows at a time; with `rows`, numbers of rows, only those.

        Raises:
            DataError: the file is damaged, or its rows have no known shape.
        """
        missing = None if rows is None else len(rows)
        for frame in self._trained() if self._is_trained else self._raw():
            part = frame if rows is None else frame.filter(pl.col("row").is_in(rows.implode()))
            if part.height:
                yield completed(part.with_columns(split=pl.lit(self.split), file=pl.lit(self.name)), columns)
            if missing is not None:
                missing -= part.height
                if not missing:
                    return

    @cached_property
    def _names(self) -> set[str]:
        """Return the names of the columns; none if only cleaning reads such a file."""
        first = next(chunks(self.path, ()), None) if self.path.name.endswith(SUFFIXES) else None
        return set(first[1].columns) if first else set()

    @cached_property
    def kind(self) -> str:
        """Return what the rows are: dialogues, pairs or rated; in the sft and gen splits of pairs, dialogues."""
        is_of_dialogues = self.split.endswith(("_sft", "_gen")) and "messages" in self._names
        if {"chosen", "rejected"} <= self._names and not is_of_dialogues:
            return PAIRS
        is_rated = not self._names.isdisjoint(LISTS_OF_ANSWERS) or has_columns(list(self._names))
        return RATED if is_rated and not self._is_trained else DIALOGUES

    @property
    def _is_trained(self) -> bool:
        """Return whether training reads the file as it is; else cleaning does."""
        return {"chosen", "rejected"} <= self._names or not self._names.isdisjoint(("messages", "conversations"))

    def _trained(self) -> Iterator[pl.DataFrame]:
        for chunk, origin in chunks(self.path, (*column_layouts.COLUMNS[self.kind], *_CARRIED)):
            for start in range(0, chunk.num_rows, _AT_ONCE):
                stop = start + _AT_ONCE
                part = ChunkOrigin(origin.file, origin.rows[start:stop], origin.columns)
                yield self._of_trained(chunk.slice(start, _AT_ONCE), part)

    def _of_trained(self, chunk: pa.Table, origin: ChunkOrigin) -> pl.DataFrame:
        with row_faults(self.path, origin.rows[0] - 1):
            part = column_layouts.normalise(self.kind, chunk, origin)
        reasons = {row: reason for reason, rows in part.dropped.items() for row in rows}
        unfit = pl.Series([reasons.get(row) for row in range(chunk.num_rows)], dtype=pl.String)
        frame = pl.DataFrame(pl.from_arrow(part.whole)).rename(dict(zip(CONTENT[self.kind], SIDES, strict=False)))
        carried = (_carried(chunk, name) for name in _CARRIED)
        rows = pl.Series(origin.rows, dtype=pl.Int64)
        return frame.with_columns(*carried, row=rows, unfit=unfit, kind=pl.lit(self.kind))

    def _raw(self) -> Iterator[pl.DataFrame]:
        for file in local_files(str(self.path)).files:
            for item in read_blocks(file):
                if isinstance(item, Block):
                    table = parse_rated(item)[0] if self.kind == RATED else parse(item)[0]
                    yield self._of_raw(table)
                elif item.fault:
                    raise DataError(f"{self.path} is cut short: {item.fault}", AGAIN)

    def _of_raw(self, table: pl.DataFrame) -> pl.DataFrame:
        unfit = pl.col("dropped_by").str.strip_prefix("read/")
        place: dict[str, Any] = {"row": "line", "unfit": unfit, "kind": pl.lit(self.kind)}
        if self.kind == RATED:
            return table.select("id", "prompt_id", **place, source="prompt_source", **_RATED)
        prompts = [None if text is None else text_key(text) for text in table["turns"].list.first()]
        prompt_ids = pl.Series(prompts, dtype=pl.String)
        return table.select("id", **place, prompt_id=prompt_ids, messages=as_messages("turns", system="system"))


_answer = pl.element().struct
_RATED: dict[str, pl.Expr] = {
    "messages": as_messages("turns"),
    "answers": pl.col("completions").list.eval(
        pl.struct(
            response=_answer.field("response"),
            model=_answer.field("model"),
            score=pl.coalesce(
                _answer.field("given"),
                _answer.field("overall"),
                _answer.field("ratings").list.eval(pl.element().struct.field("rating")).list.mean(),
            ),
        )
    ),
}


def _carried(chunk: pa.Table, name: str) -> pl.Series:
    """Return a column that decides nothing, null where it is absent or holds anything but numbers or texts."""
    if name in chunk.column_names:
        values = pl.DataFrame(pl.from_arrow(chunk.select([name]))).to_series()
        if values.dtype.is_numeric() or values.dtype in (pl.String, pl.Categorical, pl.Enum):
            return values.cast(ROW[name], strict=False)
    return pl.Series(name, [None] * chunk.num_rows, dtype=ROW[name])
