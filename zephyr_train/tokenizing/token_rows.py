"""What a token row may hold: its limits, and the columns of its table."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy
    import pyarrow

_LISTS = {"dialogues": ("input_ids", "labels"), "pairs": ("prompt_ids", "chosen_ids", "rejected_ids")}
_NUMBERS = {"dialogues": (), "pairs": ("prompt_tokens", "chosen_tokens", "rejected_tokens")}


@dataclass(frozen=True)
class Limits:
    """Lengths in tokens, and what happens to rows that exceed them.

    max_length applies to a dialogue, or to a prompt with the longer of its completions. `max_prompt_length` is what
    is left of a prompt when a pair is cut. With `packed`, dialogues are also packed into rows; only then can they be
    split.
    """

    max_length: int
    max_prompt_length: int | None
    on_overlong: str  # pairs: cut-prompt | drop | error; dialogues: split | cut | drop | error
    loss_on: str = "assistant"  # assistant | all
    packed: bool = False
    on_faulty: str = "error"  # error | drop


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
