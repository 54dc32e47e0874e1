"""The columns of token tables, and the code that both kinds of rows share to build them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from zephyr_core.template import Cleaned
from zephyr_train.tokenizing.keyed_rows import Row
from zephyr_train.tokenizing.tally import Tally

if TYPE_CHECKING:
    import numpy
    import pyarrow

CHECK_EVERY = 200  # one row in this many is compared with the tokenizer's apply_chat_template

_LISTS = {"dialogues": ("input_ids", "labels"), "pairs": ("prompt_ids", "chosen_ids", "rejected_ids")}
_NUMBERS = {"dialogues": (), "pairs": ("prompt_tokens", "chosen_tokens", "rejected_tokens")}


def token_schema(kind: str) -> "pyarrow.Schema":
    """Return the columns of a token table of that kind.

    dialogues: key, prompt_id (string), input_ids, labels (list<int32>)
    pairs:     key, prompt_id (string), prompt_ids, chosen_ids, rejected_ids (list<int32>), and the length of each
               as prompt_tokens, chosen_tokens, rejected_tokens (int32)
    """
    import pyarrow as pa

    texts = [(name, pa.string()) for name in ("key", "prompt_id")]
    lists = [(name, pa.list_(pa.int32())) for name in _LISTS[kind]]
    return pa.schema(texts + lists + [(name, pa.int32()) for name in _NUMBERS[kind]])


def list_column(rows: "Sequence[numpy.ndarray]") -> Any:
    """Return int32 arrays as one list column."""
    import numpy as np
    import pyarrow as pa

    ends = np.cumsum([0, *(len(row) for row in rows)], dtype=np.int32)
    values = np.concatenate(rows) if rows else np.array([], np.int32)
    return pa.ListArray.from_arrays(pa.array(ends), pa.array(values, pa.int32()))


def note_cleaned(tally: Tally, row: Row, parts: Sequence[Cleaned]) -> None:
    """Count and record a row in which any part was escaped or stripped."""
    for what, times in (
        ("escaped", sum(part.escaped for part in parts)),
        ("stripped", sum(part.stripped_turns for part in parts)),
    ):
        if times:
            tally.counts[f"{what}_rows"] += 1
            tally.change(row.name, what)
