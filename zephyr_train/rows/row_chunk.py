"""A chunk of rows being converted to our columns, and its rows that cannot be trained on."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from zephyr_core import keys
from zephyr_train.errors import RowsUnfit
from zephyr_train.rows.messages import ChunkOrigin, Messages, from_column

SPOKEN, SILENT = "messages", "silent"  # of dialogues: the messages, and the numbers of those without a loss
HINTS = {
    "data": "raw UltraChat: run `zephyr data clean-ultrachat` on it first",
    "completions": "rated answers: run `zephyr data binarize` on them first",
    "candidates": "rated answers: run `zephyr data binarize` on them first",
    "messages": "dialogues: `zephyr train sft` trains on them; pairs have prompt, chosen and rejected",
    "chosen": "pairs: `zephyr train dpo` trains on them; dialogues have a column of messages",
}
OTHERWISE = "dialogues have messages; pairs have prompt, chosen and rejected"


@dataclass
class Normalised:
    """A chunk in our columns, and which of its rows are not trained on."""

    whole: Any  # every row
    dropped: dict[str, list[int]] = field(default_factory=dict)  # reason → numbers of rows that cannot be trained on
    others: Counter[str] = field(default_factory=Counter)  # field of messages that is not read → messages with it

    @property
    def table(self) -> Any:
        """Return the rows that can be trained on."""
        import numpy as np
        import pyarrow as pa

        out = np.zeros(self.whole.num_rows, bool)
        out[[row for rows in self.dropped.values() for row in rows]] = True
        return self.whole.filter(pa.array(~out)) if out.any() else self.whole


@dataclass(frozen=True)
class Chunk:
    """Rows as read, with those columns of the file that we use."""

    table: Any
    origin: ChunkOrigin

    def __contains__(self, name: str) -> bool:
        return name in self.table.column_names

    def messages(self, name: str, role: str) -> Messages:
        """Return a column as messages; a plain text becomes one message of that role.

        Raises:
            RowsUnfit: the column is missing or has the wrong type.
        """
        if name not in self:
            raise absent(name, self.origin)
        return from_column(self.table[name].combine_chunks(), role, name, self.origin)

    def is_list(self, name: str) -> bool:
        """Return whether the column exists and holds lists."""
        import pyarrow as pa

        return name in self and (
            pa.types.is_list(self.table[name].type) or pa.types.is_large_list(self.table[name].type)
        )


def absent(name: str, origin: ChunkOrigin) -> RowsUnfit:
    """Return the fault for a missing column, with a hint drawn from the columns that are present."""
    hints = (hint for column, hint in HINTS.items() if column in origin.columns)
    listed = ", ".join(repr(column) for column in origin.columns)
    message = f"column {name!r} is absent; found {listed} in {origin.file}"
    return RowsUnfit(message, next(hints, OTHERWISE), "missing-column")


def trainable_rows(
    chunk: Chunk, columns: dict[str, Messages], prompt_of: Callable[[], Messages], reasons: dict[str, Any]
) -> Normalised:
    """Return the rows in our columns; one that has reasons to be dropped counts under the first of them."""
    import numpy as np
    import pyarrow as pa

    out = np.zeros(chunk.table.num_rows, bool)
    dropped = {}
    for reason, marked in reasons.items():
        rows = np.flatnonzero(marked & ~out)
        if len(rows):
            dropped[reason] = rows.tolist()
        out |= marked
    arrays = {"prompt_id": _prompt_ids(chunk, prompt_of)} | {name: rows.array() for name, rows in columns.items()}
    if SPOKEN in columns:
        arrays[SILENT] = columns[SPOKEN].silent_numbers()
    table = pa.table(arrays)
    others = sum((messages.others for messages in columns.values()), Counter[str]())
    return Normalised(table, dropped, others)


def _prompt_ids(chunk: Chunk, prompt_of: Callable[[], Messages]) -> Any:
    """Return the column prompt_id, with the sha256 of the prompt wherever it is absent or null.

    For a prompt of one message, its text is hashed; for any other, the canonical JSON of its messages.
    """
    import pyarrow as pa

    identities = [None] * chunk.table.num_rows
    if "prompt_id" in chunk:
        column = chunk.table["prompt_id"].combine_chunks().cast(pa.string())
        if not column.null_count:
            return column
        identities = column.to_pylist()
    prompts = prompt_of()
    roles, texts, bounds = prompts.roles.to_pylist(), prompts.contents.to_pylist(), prompts.offsets.tolist()
    return pa.array(
        [
            _prompt_id(roles[start:stop], texts[start:stop]) if identity is None else identity
            for identity, start, stop in zip(identities, bounds, bounds[1:], strict=False)
        ],
        pa.string(),
    )


def _prompt_id(roles: list[str], texts: list[str]) -> str:
    if len(texts) == 1 and texts[0] is not None:
        return keys.text_key(texts[0])
    return keys.json_key([{"role": role, "content": text} for role, text in zip(roles, texts, strict=True)])
