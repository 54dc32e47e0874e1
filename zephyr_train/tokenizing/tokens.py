"""Rows to tokens, in batches: ids as a user of the saved tokenizer gets them, labels from the spans in the text.

The work per row is in dialogue_rows and pair_rows; this module joins the batches into one table.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zephyr_core.faults import Fault
from zephyr_core.template import Chat
from zephyr_train.reader import Source
from zephyr_train.tokenizing.dialogue_rows import dialogue_batch
from zephyr_train.tokenizing.keyed_rows import Row, sample
from zephyr_train.tokenizing.pair_rows import pair_batch
from zephyr_train.tokenizing.tally import Tally
from zephyr_train.tokenizing.token_rows import Limits, token_schema

if TYPE_CHECKING:
    import pyarrow

SAMPLE_ROWS = 1_000


@dataclass(frozen=True)
class Tokenized:
    """Token rows by key, the counts of all rows (see Tally), their faults, and a line for each changed row."""

    table: "pyarrow.Table"
    counts: dict[str, int]
    faults: list[Fault]
    changed: "pyarrow.Table"


def tokenized_sample(source: Source, chat: Chat, limits: Limits, rows: int = SAMPLE_ROWS) -> Tokenized:
    """Return the token rows of the train rows with the smallest prompt_ids: the same whatever the order of rows."""
    batch = sample(source.table("train"), source.kind, rows)
    return tokenize_rows(chat, source.kind, [batch], limits)


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
    """Yield the token rows of each batch, and count in `tally` what happened to its rows."""
    one_batch = {"dialogues": dialogue_batch, "pairs": pair_batch}[kind]
    for rows in batches:
        batch, batch_tally = one_batch(chat, rows, limits)
        tally.add(batch_tally)
        yield batch
