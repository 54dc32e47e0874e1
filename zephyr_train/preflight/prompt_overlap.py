"""Test prompts that are in train too: under the same prompt_id, as the same text, or in the same normal form."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from zephyr_core.faults import Fault
from zephyr_core.texts import SEPARATOR, normal_form
from zephyr_train.reader import Source

PROMPT_OF = {"dialogues": "messages", "pairs": "prompt"}  # the column whose messages before the first reply are it
TOLERATED = 0.01  # of the test prompts: in the same normal form, as "Hi!" and "hi"


@dataclass(frozen=True)
class Overlap:
    """How many different test prompts there are, how many of them are in train, and how many in another spelling."""

    prompts: int = 0
    exact: int = 0
    spelled: int = 0

    @property
    def fault(self) -> Fault | None:
        """Return the fault of a test split that would not test."""
        if self.exact:
            message = f"{self.exact:,} test prompts also appear in train"
        elif self.spelled > self.prompts * TOLERATED:
            message = f"{self.spelled:,} of {self.prompts:,} test prompts also appear in train, {_SPELLING}"
        else:
            return None
        return Fault("test-in-train", message, "split again by prompt, in one spelling")

    @property
    def note(self) -> str | None:
        """Return a note on the few that are in train in another spelling."""
        if self.fault is not None or not self.spelled:
            return None
        return f"{self.spelled:,} of {self.prompts:,} test prompts also appear in train, {_SPELLING}"


_SPELLING = "but for case, punctuation and white space"


def overlap(source: Source) -> Overlap:
    """Return how the test prompts of a source overlap with those of train.

    Raises:
        RowsUnfit: the rows cannot be read.
    """
    if not source.has_test:
        return Overlap()
    ids: set[str | None] = set()
    texts: set[bytes] = set()
    forms: set[bytes] = set()
    for identity, text in _prompts(source, "train"):
        ids.add(identity)
        texts.add(_digest(text))
        forms.add(_digest(normal_form(text)))
    tested, exact, spelled = set(), set(), set()
    for identity, text in _prompts(source, "test"):
        tested.add(identity)
        if identity in ids or _digest(text) in texts:
            exact.add(identity)
        elif _digest(normal_form(text)) in forms:
            spelled.add(identity)
    return Overlap(len(tested), len(exact), len(spelled))


def _prompts(source: Source, split: str) -> Iterator[tuple[str | None, str]]:
    """Yield the prompt_id and the prompt's text of each row of a split."""
    table = source.table(split)
    for batch in table.select(["prompt_id", PROMPT_OF[source.kind]]).to_batches():
        yield from zip(batch.column(0).to_pylist(), _texts(batch.column(1)), strict=True)


def _texts(column: Any) -> Iterator[str]:
    """Yield the texts of each list of messages up to the first reply, joined."""
    import numpy as np
    import pyarrow.compute as pc

    offsets, values = column.offsets.to_numpy(), column.values
    is_reply = pc.equal(values.field("role"), "assistant").fill_null(False)
    replies = np.flatnonzero(is_reply.to_numpy(zero_copy_only=False))
    begins, ends = offsets[:-1], offsets[1:]
    places = np.searchsorted(replies, begins)
    firsts = np.append(replies, offsets[-1])[places]
    contents = values.field("content")
    for begin, stop in zip(begins.tolist(), np.minimum(ends, firsts).tolist(), strict=True):
        yield SEPARATOR.join(contents[place].as_py() or "" for place in range(begin, stop))


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:16]
