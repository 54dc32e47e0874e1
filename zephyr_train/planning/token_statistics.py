"""What the lengths of token rows say about a run: tokens, padding and packing, before anything is trained."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy


@dataclass(frozen=True)
class TokenStatistics:
    """Tokens of a training set. From a sample, totals are scaled up to the whole set and `estimated` is true."""

    rows: int  # dialogues or pairs
    estimated: bool
    tokens: int  # read by a model in an epoch, without padding; a pair's prompt counts twice
    mean_tokens: float  # of a sequence
    longest_tokens: int  # of a sequence
    padding_share: float  # of plain padding to the longest of a micro-batch, in random order
    packed_rows: int | None  # of dialogues
    packing_fill_share: float | None


def token_statistics(
    lengths: "Sequence[int] | Sequence[Sequence[int]] | numpy.ndarray",
    micro_rows: int,
    *,
    max_length: int,
    packing: bool = False,
    whole_rows: int | None = None,
) -> TokenStatistics:
    """Return the statistics of rows, given their lengths in tokens.

    Args:
        lengths: shape (rows,) for dialogues; (rows, 2) for pairs: prompt and chosen, prompt and rejected.
        micro_rows: rows per GPU and forward.
        max_length: of a row; if rows are padded, longer ones would be cut to it.
        packing: whether dialogues are packed.
        whole_rows: the number of rows in the set, if the lengths are those of a sample.
    """
    import numpy as np

    sequences = np.asarray(lengths, np.int64)
    by_row = sequences[:, None] if sequences.ndim == 1 else sequences
    scale = (whole_rows or len(by_row)) / max(len(by_row), 1)
    packed, fill = _packed(by_row[:, 0], max_length) if packing else (None, None)
    cut = np.minimum(by_row, max_length)
    return TokenStatistics(
        rows=whole_rows or len(by_row),
        estimated=scale != 1,
        tokens=round(int(by_row.sum()) * scale),
        mean_tokens=float(by_row.mean()) if by_row.size else 0.0,
        longest_tokens=int(by_row.max(initial=0)),
        padding_share=1 - float(cut.mean()) / mean_longest(cut.max(axis=1), micro_rows) if cut.any() else 0.0,
        packed_rows=None if packed is None else round(packed * scale),
        packing_fill_share=fill,
    )


def mean_longest(lengths: "numpy.ndarray", micro_rows: int) -> float:
    """Return the expected longest of `micro_rows` different rows drawn at random; exact, nothing is drawn.

    The i-th smallest of n rows is the longest of m in C(i-1, m-1) of C(n, m) draws.
    """
    import numpy as np

    rows = len(lengths)
    size = min(micro_rows, rows)
    places = np.arange(rows, 1, -1)  # from the longest down
    shares = size / rows * np.concatenate(([1.0], np.cumprod(np.maximum(places - size, 0) / (places - 1))))
    return float(np.sort(lengths)[::-1] @ shares)


def _packed(lengths: Any, max_length: int) -> tuple[int, float]:
    """Return the number of packed rows and the share of their room that tokens fill."""
    from zephyr_train.tokenizing.packing import pack

    packed = len(pack(lengths.tolist(), max_length))
    return packed, float(lengths.sum()) / max(packed * max_length, 1)


def lengths_of(table: Any) -> Any:
    """Return the lengths of token rows: shape (rows,) for dialogues, (rows, 2) for pairs with their prompts."""
    import numpy as np
    import pyarrow.compute as pc

    def length(name: str) -> Any:
        return np.asarray(pc.list_value_length(table[name]))

    if "input_ids" in table.column_names:
        return length("input_ids")
    prompts = length("prompt_ids")
    return np.stack([prompts + length("chosen_ids"), prompts + length("rejected_ids")], axis=1)
