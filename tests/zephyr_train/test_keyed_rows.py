"""Rows go by key: no order of rows, batches or shards reaches training."""

import random

import numpy
import pyarrow as pa

from tests.zephyr_train.small_chat import (
    dialogue_table,
    pair_table,
    small_chat,
    tokenize_dialogues,
    tokenize_pairs,
    turns,
)
from zephyr_train.tokenizing.keyed_rows import batches_by_key, keyed_rows, row_key, sample
from zephyr_train.tokenizing.token_rows import Limits
from zephyr_train.tokenizing.tokens import tokenize_rows

LONG = Limits(10_000, 5_000, "cut-prompt")


def test_the_order_of_rows_does_not_matter_and_equal_ones_stay_as_many():
    dialogues = [turns(f"Egg {number}?", "Yes." * (number % 4)) for number in range(7)] + [turns("Egg 0?", "")]
    shuffled = random.Random(3).sample(dialogues, len(dialogues))
    first, again = (tokenize_dialogues(small_chat(), dialogue_table(*rows), LONG) for rows in (dialogues, shuffled))
    assert first.table.equals(again.table)
    keys = first.table["key"].to_pylist()
    assert keys == sorted(row_key([dialogue]) for dialogue in dialogues)
    assert (len(keys), len(set(keys))) == (8, 7)


def test_batches_of_two_rows_give_the_rows_of_one_batch():
    table = pa.concat_tables([pair_table((f"{n}?", "a" * n, "b")) for n in range(1, 8)])
    small = tokenize_rows(small_chat(), "pairs", batches_by_key(table, "pairs", batch_rows=2), LONG)
    whole = tokenize_pairs(small_chat(), table, LONG)
    assert small.table.combine_chunks().equals(whole.table.combine_chunks())
    assert (small.counts, small.counts["read_rows"]) == (whole.counts, 7)
    two_bos = "{{ bos_token + bos_token + messages[0]['content'] + messages[1]['content'] + eos_token }}"
    faulty = tokenize_rows(small_chat(two_bos), "pairs", batches_by_key(table, "pairs", batch_rows=2), LONG)
    assert "7 of 7 rows" in faulty.faults[0].message
    assert faulty.faults[0].message.endswith("and 4 more)")


def test_a_key_names_roles_texts_and_columns():
    a, b = ({"role": "user", "content": text} for text in "ab")
    contents = [[[a], [b]], [[a, b], []], [[b], [a]], [[{**a, "role": "assistant"}], [b]]]
    assert len({row_key(content) for content in contents}) == 4


def test_the_sample_is_the_rows_of_the_smallest_prompt_ids_in_any_order():
    table = dialogue_table(*(turns(f"{number % 5}", f"{number}") for number in range(20)))
    smallest = [(row.prompt_id, row.key) for row in sample(table, "dialogues", 6)]
    everything = sorted((row.prompt_id, row.key) for row in keyed_rows(table, "dialogues"))
    assert smallest == everything[:6]
    order = numpy.random.default_rng(1).permutation(20)
    assert [(row.prompt_id, row.key) for row in sample(table.take(order), "dialogues", 6)] == smallest
    assert len(sample(table, "dialogues", 99)) == 20
