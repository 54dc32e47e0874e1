"""The checks of preflight on a sample of rows: the same that every row gets when it is tokenized."""

from typing import TYPE_CHECKING

from zephyr_train.tokenizing.keyed_rows import sample
from zephyr_train.tokenizing.tokens import Tokenized, tokenize_rows

if TYPE_CHECKING:
    from zephyr_core.template import Chat
    from zephyr_train.reader import Source
    from zephyr_train.tokenizing.limits import Limits

SAMPLE_ROWS = 1_000


def tokenized_sample(source: "Source", chat: "Chat", limits: "Limits", rows: int = SAMPLE_ROWS) -> Tokenized:
    """Return the token rows of the train rows with the smallest prompt_ids: the same in any order of rows."""
    drawn = sample(source.table("train"), source.kind, rows)
    return tokenize_rows(chat, source.kind, [drawn], limits)
