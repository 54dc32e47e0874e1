"""Packing by best fit over the whole set: documents too long for a row are split, and no token is lost.

A packed row is several documents, one after the other; `seq_lengths` says where each ends, so that attention and
positions start again at each (decision on interpretation 2 of the contract).
"""

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy
    import pyarrow

IGNORED = -100  # the label that losses ignore, in torch and TRL
_BATCH_BINS = 1_000


class Piece(NamedTuple):
    """The tokens [start, stop) of one row."""

    row: int
    start: int
    stop: int


def pack(lengths: Sequence[int], max_length: int) -> list[list[Piece]]:
    """Return bins of pieces: each bin holds at most `max_length` tokens, and each token is in exactly one piece.

    Best fit, longest piece first: a piece goes into the fullest bin that still has room. Ties are broken by row, then
    by the age of the bin, so equal lengths give equal bins on every machine. Rows without tokens are not in any bin.

    Units: lengths in tokens.
    """
    pieces = [piece for row, length in enumerate(lengths) for piece in _split(row, length, max_length)]
    pieces.sort(key=lambda piece: piece.start - piece.stop)
    bins: list[list[Piece]] = []
    rooms: list[int] = []  # the distinct rooms of the open bins, ascending
    open_bins: dict[int, deque[int]] = {}  # room → bins, oldest first
    for piece in pieces:
        length = piece.stop - piece.start
        place = bisect_left(rooms, length)
        if place == len(rooms):
            bins.append([piece])
            room, index = max_length, len(bins) - 1
        else:
            room = rooms[place]
            index = open_bins[room].popleft()
            bins[index].append(piece)
            if not open_bins[room]:
                del open_bins[room], rooms[place]
        _open(rooms, open_bins, room - length, index)
    return bins


def _split(row: int, length: int, max_length: int) -> Iterator[Piece]:
    for start in range(0, length, max_length):
        yield Piece(row, start, min(start + max_length, length))


def _open(rooms: list[int], open_bins: dict[int, deque[int]], room: int, index: int) -> None:
    if not room:
        return
    if room not in open_bins:
        open_bins[room] = deque()
        insort(rooms, room)
    open_bins[room].append(index)


def packed_schema() -> "pyarrow.Schema":
    """Return the columns of packed rows."""
    import pyarrow

    return pyarrow.schema([(name, pyarrow.list_(pyarrow.int32())) for name in ("input_ids", "labels", "seq_lengths")])


def packed_batches(table: "pyarrow.Table", max_length: int) -> tuple[Iterator["pyarrow.RecordBatch"], dict[str, int]]:
    """Return the packed rows of a token table, a batch at a time, and the counts over all; `table` may be on disk.

    A bin in which no token has a loss is left out and counted. The first token of each piece never has one: there is
    nothing to predict it from, and TRL's padding-free collator masks it.

    Columns in:  input_ids, labels (list<int32>)
    Columns out: input_ids, labels (list<int32>), seq_lengths (list<int32>, the length of each piece)
    """
    ids, labels = _views(table["input_ids"]), _views(table["labels"])
    bins = pack([len(row) for row in ids], max_length)
    kept_bins = [pieces for pieces in bins if _has_loss(labels, pieces)]
    batches = (
        _batch(ids, labels, kept_bins[start : start + _BATCH_BINS]) for start in range(0, len(kept_bins), _BATCH_BINS)
    )
    return batches, _counts(bins, kept_bins, max_length)


def _counts(bins: list[list[Piece]], kept_bins: list[list[Piece]], max_length: int) -> dict[str, int]:
    """Return counts of the input and the output.

    document_rows (rows with tokens), split_rows (documents longer than a packed row), packed_rows, packed_tokens,
    room_tokens (packed_rows × max_length; packed_tokens / room_tokens is the fill), no_loss_rows and
    no_loss_tokens (bins left out).
    """
    every, packed = ([piece for pieces in group for piece in pieces] for group in (bins, kept_bins))
    all_tokens, packed_tokens = (sum(piece.stop - piece.start for piece in group) for group in (every, packed))
    return {
        "document_rows": sum(not piece.start for piece in every),
        "split_rows": sum(piece.start == max_length for piece in every),
        "packed_rows": len(kept_bins),
        "packed_tokens": packed_tokens,
        "room_tokens": len(kept_bins) * max_length,
        "no_loss_rows": len(bins) - len(kept_bins),
        "no_loss_tokens": all_tokens - packed_tokens,
    }


def _views(column: Any) -> "list[numpy.ndarray]":
    """Return each row of a list column as a view of its values; nothing is copied."""
    views: list[numpy.ndarray] = []
    for chunk in column.chunks:
        values, offsets = chunk.values.to_numpy(zero_copy_only=True), chunk.offsets.to_pylist()
        views.extend(values[start:stop] for start, stop in pairwise(offsets))
    return views


def _has_loss(labels: "list[numpy.ndarray]", pieces: list[Piece]) -> bool:
    return any((labels[piece.row][piece.start + 1 : piece.stop] != IGNORED).any() for piece in pieces)


def _batch(ids: "list[numpy.ndarray]", labels: "list[numpy.ndarray]", bins: list[list[Piece]]) -> "pyarrow.RecordBatch":
    import numpy
    import pyarrow

    pieces = [piece for group in bins for piece in group]
    lengths = numpy.array([piece.stop - piece.start for piece in pieces], dtype=numpy.int32)
    ends = numpy.cumsum([0, *(len(group) for group in bins)])  # of each bin, counted in pieces
    token_ends = numpy.concatenate(([0], numpy.cumsum(lengths)))[ends]

    def column(rows: "list[numpy.ndarray]") -> Any:
        return _lists(token_ends, numpy.concatenate([rows[row][start:stop] for row, start, stop in pieces]))

    return pyarrow.record_batch([column(ids), column(labels), _lists(ends, lengths)], schema=packed_schema())


def _lists(ends: "numpy.ndarray", values: "numpy.ndarray") -> Any:
    import pyarrow

    return pyarrow.ListArray.from_arrays(pyarrow.array(ends, pyarrow.int32()), pyarrow.array(values, pyarrow.int32()))
