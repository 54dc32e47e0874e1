"""Rows to tokens, in batches: ids equal to what the saved tokenizer gives its user, labels by the text's own spans.

The work per row is in dialogue_rows and pair_rows; here batches become one table.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zephyr_core.faults import Fault
from zephyr_core.template import Chat
from zephyr_train.tokenizing.dialogue_rows import dialogue_batch
from zephyr_train.tokenizing.keyed_rows import Row, batches_by_key
from zephyr_train.tokenizing.limits import Limits
from zephyr_train.tokenizing.pair_rows import pair_batch
from zephyr_train.tokenizing.tally import Tally
from zephyr_train.tokenizing.token_columns import token_schema

if TYPE_CHECKING:
    import pyarrow

__all__ = ["Limits", "Tokenized", "token_batches", "tokenize_dialogues", "tokenize_pairs", "tokenize_rows"]


@dataclass(frozen=True)
class Tokenized:
    """Token rows by key, the counts of all rows (see Tally), their faults, and a line for each changed row."""

    table: "pyarrow.Table"
    counts: dict[str, int]
    faults: list[Fault]
    changed: "pyarrow.Table"


def tokenize_dialogues(chat: Chat, table: "pyarrow.Table", limits: Limits) -> Tokenized:
    """Return the token rows of dialogues.

    Columns in:  prompt_id, messages
    Columns out: key, prompt_id, input_ids, labels (list<int32>; -100 outside the loss)
    """
    return tokenize_rows(chat, "dialogues", batches_by_key(table, "dialogues"), limits)


def tokenize_pairs(chat: Chat, table: "pyarrow.Table", limits: Limits) -> Tokenized:
    """Return the token rows of pairs.

    Columns in:  prompt_id, prompt, chosen, rejected
    Columns out: key, prompt_id, prompt_ids, chosen_ids, rejected_ids (list<int32>), prompt_tokens, chosen_tokens,
                 rejected_tokens (int32)
    """
    return tokenize_rows(chat, "pairs", batches_by_key(table, "pairs"), limits)


def tokenize_rows(chat: Chat, kind: str, batches: Iterable[list[Row]], limits: Limits) -> Tokenized:
    """Return the token rows of keyed rows, in their order."""
    import pyarrow as pa

    tally = Tally(kind)
    parts = list(token_batches(chat, kind, batches, limits, tally))
    table = pa.Table.from_batches(parts, schema=token_schema(kind))
    return Tokenized(table, tally.all_counts(), tally.faults(limits), tally.changed_table())


def token_batches(
    chat: Chat, kind: str, batches: Iterable[list[Row]], limits: Limits, tally: Tally
) -> Iterator["pyarrow.RecordBatch"]:
    """Yield the token rows of each batch, and add up in `tally` what became of its rows."""
    one_batch = {"dialogues": dialogue_batch, "pairs": pair_batch}[kind]
    for rows in batches:
        batch, found = one_batch(chat, rows, limits)
        tally.add(found)
        yield batch
