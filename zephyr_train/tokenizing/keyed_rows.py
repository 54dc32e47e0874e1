"""Rows in the order of their keys: what training sees does not depend on the order of rows, shards or files."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zephyr_core.keys import json_key
from zephyr_train.rows.row_chunk import SILENT

if TYPE_CHECKING:
    import pyarrow

BATCH_ROWS = 2_000
CONTENT = {"dialogues": ("messages",), "pairs": ("prompt", "chosen", "rejected")}


@dataclass(frozen=True)
class Row:
    """A row as read: its key, its prompt_id, and a list of messages for each content column of its kind."""

    key: str
    prompt_id: str | None
    content: tuple[list[dict[str, str]], ...]
    silent: tuple[int, ...] = ()  # numbers of a dialogue's messages without a loss

    @property
    def name(self) -> tuple[str, str | None]:
        """Return what the row is listed under."""
        return self.key, self.prompt_id


def row_key(content: Sequence[Sequence[dict[str, str]]], silent: Sequence[int] = ()) -> str:
    """Return the hex sha256 of the compact JSON of the content columns, each a list of [role, text] pairs.

    The numbers of messages without a loss follow, if there are any.
    """
    columns = [[[message["role"], message["content"]] for message in messages] for messages in content]
    return json_key([*columns, list(silent)] if silent else columns)


def keyed_rows(table: "pyarrow.Table", kind: str) -> list[Row]:
    """Return the rows of a table of that kind, in table order.

    Columns in: prompt_id, and messages, silent | prompt, chosen, rejected
    """
    columns = zip(*(table[name].to_pylist() for name in CONTENT[kind]), strict=True)
    silent = table[SILENT].to_pylist() if SILENT in table.column_names else [[]] * table.num_rows
    return [
        Row(row_key(content, numbers), prompt_id, content, tuple(numbers))
        for prompt_id, content, numbers in zip(table["prompt_id"].to_pylist(), columns, silent, strict=True)
    ]


def batches_by_key(table: "pyarrow.Table", kind: str, batch_rows: int = BATCH_ROWS) -> Iterator[list[Row]]:
    """Yield all rows of a table, ordered by key and then prompt_id; duplicates are kept.

    The table is read twice, once for the keys and once in their order; only a batch at a time becomes Python objects.
    """
    names = [name for name in ("prompt_id", *CONTENT[kind], SILENT) if name in table.column_names]
    parts = table.select(names).to_batches(max_chunksize=batch_rows)
    order = sorted(
        (row.key, row.prompt_id or "", number, index)
        for number, part in enumerate(parts)
        for index, row in enumerate(keyed_rows(part, kind))
    )
    for start in range(0, len(order), batch_rows):
        yield _gathered(parts, kind, [(number, index) for _, _, number, index in order[start : start + batch_rows]])


def _gathered(parts: Sequence[Any], kind: str, places: Sequence[tuple[int, int]]) -> list[Row]:
    """Return the rows at (part, index), in that order."""
    indices_of: dict[int, list[int]] = defaultdict(list)
    for number, index in places:
        indices_of[number].append(index)
    rows = {
        (number, index): row
        for number, indices in indices_of.items()
        for index, row in zip(indices, keyed_rows(parts[number].take(indices), kind), strict=True)
    }
    return [rows[place] for place in places]


def sample(table: "pyarrow.Table", kind: str, rows: int) -> list[Row]:
    """Return the `rows` rows with the smallest prompt_id; ties are ordered by key.

    A prompt_id is a sha256, so this is a random draw that does not depend on the order of rows or files.
    """
    import pyarrow.compute as pc

    identities = table["prompt_id"].fill_null("")
    if table.num_rows > rows:
        last = identities.take(pc.select_k_unstable(identities, rows, [("", "ascending")]))
        table = table.filter(pc.less_equal(identities, pc.max(last)))
    candidates = sorted(keyed_rows(table, kind), key=lambda row: (row.prompt_id or "", row.key))
    return candidates[:rows]
