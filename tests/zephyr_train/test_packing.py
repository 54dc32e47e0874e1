"""Packing loses no token, fills rows at least as well as TRL's, and its rows mean to TRL's collator what they say."""

import random
from collections import Counter
from itertools import pairwise

import numpy
import pyarrow as pa
import pytest
from datasets import Dataset

from tests.zephyr_train.small_chat import packed_rows
from zephyr_train.tokenizing.packing import IGNORED, Piece, pack

LISTS = pa.list_(pa.int32())


def token_table(rows: list[list[int]], labels: list[list[int]] | None = None) -> pa.Table:
    return pa.table({"input_ids": pa.array(rows, LISTS), "labels": pa.array(labels or rows, LISTS)})


def numbered(lengths: list[int]) -> list[list[int]]:
    """Rows in which no two tokens are equal."""
    ends = numpy.cumsum([0, *lengths]).tolist()
    return [list(range(start + 1, stop + 1)) for start, stop in pairwise(ends)]


def random_lengths(rows: int, seed: int = 7) -> list[int]:
    generator = random.Random(seed)
    return [int(generator.lognormvariate(3.5, 0.8)) + 1 for _ in range(rows)]


def test_best_fit_by_hand():
    # 6 opens a bin (room 4), 5 a second (room 5); 4 goes where it fits tightest, 3 into the second, 2 beside it.
    assert pack([2, 5, 3, 4, 6], 10) == [
        [Piece(4, 0, 6), Piece(3, 0, 4)],
        [Piece(1, 0, 5), Piece(2, 0, 3), Piece(0, 0, 2)],
    ]


def test_a_long_row_is_split_and_its_rest_packed():
    assert pack([9, 3], 4) == [[Piece(0, 0, 4)], [Piece(0, 4, 8)], [Piece(1, 0, 3), Piece(0, 8, 9)]]


def test_equal_lengths_are_taken_by_row_and_bins_by_age():
    assert pack([3, 3, 3, 1, 1], 4) == [
        [Piece(0, 0, 3), Piece(3, 0, 1)],
        [Piece(1, 0, 3), Piece(4, 0, 1)],
        [Piece(2, 0, 3)],
    ]


@pytest.mark.parametrize("max_length", [1, 2, 7, 64, 10_000])
def test_each_token_lies_in_exactly_one_piece_and_no_bin_overflows(max_length: int):
    lengths = [0, *random_lengths(200), 0]
    bins = pack(lengths, max_length)
    tokens = Counter((piece.row, place) for pieces in bins for piece in pieces for place in range(*piece[1:]))
    assert tokens == Counter((row, place) for row, length in enumerate(lengths) for place in range(length))
    assert all(sum(piece.stop - piece.start for piece in pieces) <= max_length for pieces in bins)


def test_no_two_bins_could_have_been_one():
    sums = sorted(sum(piece.stop - piece.start for piece in pieces) for pieces in pack(random_lengths(300), 64))
    assert sums[0] + sums[1] > 64


def test_no_token_is_lost_and_the_fill_is_at_least_that_of_trl():
    from trl import pack_dataset

    rows = numbered(random_lengths(2_500))  # more than TRL's map batch of 1,000
    ours, _ = packed_rows(token_table(rows), 64)
    theirs = pack_dataset(Dataset.from_dict({"input_ids": rows, "labels": rows}), 64, strategy="bfd_split")
    packed = [token for row in ours["input_ids"].to_pylist() for token in row]
    # A split row's last piece of one token has no loss of its own; beside others its bin has.
    assert sorted(packed) == sorted(token for row in rows for token in row)
    assert len(ours) <= len(theirs)


def test_rows_are_cut_at_seq_lengths_and_labels_stay_with_their_tokens():
    rows = numbered([5, 2, 3])
    labels = [[IGNORED, IGNORED, *row[2:]] if len(row) > 2 else row for row in rows]
    packed, _ = packed_rows(token_table(rows, labels), 8)
    assert packed.to_pylist() == [
        {
            "input_ids": [1, 2, 3, 4, 5, 8, 9, 10],
            "labels": [-100, -100, 3, 4, 5, -100, -100, 10],
            "seq_lengths": [5, 3],
        },
        {"input_ids": [6, 7], "labels": [6, 7], "seq_lengths": [2]},
    ]


def test_chunks_and_slices_are_read_where_they_lie():
    rows = numbered(random_lengths(30))
    parts = [token_table(rows[:11]), token_table(numbered([4]) + rows[11:] + numbered([9])).slice(1, 19)]
    assert packed_rows(pa.concat_tables(parts), 64) == packed_rows(token_table(rows), 64)


def test_a_bin_without_loss_is_left_out_and_counted():
    rows = numbered([8, 8, 9])
    masked = [IGNORED] * 8
    # Row 0 has no label; row 1 only one on its first token, which nothing predicts; row 2's rest is one token.
    packed, counts = packed_rows(token_table(rows, [masked, [rows[1][0], *masked[1:]], rows[2]]), 8)
    assert packed["input_ids"].to_pylist() == [rows[2][:8]]
    assert counts == {
        "document_rows": 3,
        "split_rows": 1,
        "packed_rows": 1,
        "packed_tokens": 8,
        "room_tokens": 8,
        "no_loss_rows": 3,
        "no_loss_tokens": 17,
    }


def test_a_document_of_three_pieces_counts_once():
    _, counts = packed_rows(token_table(numbered([10, 4, 3])), 4)
    assert (counts["document_rows"], counts["split_rows"]) == (3, 1)


def test_an_empty_table_packs_to_an_empty_table():
    packed, _ = packed_rows(token_table([]), 8)
    assert packed.num_rows == 0
    assert packed.column_names == ["input_ids", "labels", "seq_lengths"]


def test_the_collator_of_trl_reads_packed_rows_as_documents():
    from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

    packed, _ = packed_rows(token_table(numbered([4, 3, 2, 3])), 7)
    assert packed["seq_lengths"].to_pylist() == [[4, 3], [3, 2]]
    batch = DataCollatorForLanguageModeling(pad_token_id=0, padding_free=True)(list(Dataset(packed)))
    assert batch["input_ids"].tolist() == [[1, 2, 3, 4, 5, 6, 7, 10, 11, 12, 8, 9]]
    assert batch["position_ids"].tolist() == [[0, 1, 2, 3, 0, 1, 2, 0, 1, 2, 0, 1]]
    assert batch["labels"].tolist() == [[-100, 2, 3, 4, -100, 6, 7, -100, 11, 12, -100, 9]]
    assert batch["cu_seq_lens_q"].tolist() == [0, 4, 7, 10, 12]
