"""Test prompts that are in train too: under the same prompt_id, as the same text, or in the same normal form."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from zephyr_core.faults import Fault
from zephyr_core.texts import SEPARATOR, normal_form
from zephyr_train.reader import Source

PROMPT_OF = {"dialogues": "messages", "pairs": "prompt"}  # the column whose messages before the first reply are it
Identity = tuple[str, str | None]  # dataset and prompt_id, which means something within its dataset only
TOLERATED = 0.01  # of the test prompts: in the same normal form, as "Hi!" and "hi"


@dataclass(frozen=True)
class Overlap:
    """How many different test prompts there are, how many of them are in train, and how many in another spelling."""

    prompts: int = 0
    exact: int = 0
    spelled: int = 0
    places: tuple[str, ...] = ()  # of a mixture: how many test prompts of which dataset are in train of which

    @property
    def fault(self) -> Fault | None:
        """Return the fault of a test split that would not test."""
        if self.exact:
            message = f"{self.exact:,} test prompts also appear in train"
        elif self.spelled > self.prompts * TOLERATED:
            message = f"{self.spelled:,} of {self.prompts:,} test prompts also appear in train, {_SPELLING}"
        else:
            return None
        if self.places:
            message = f"{message}: {', '.join(self.places)}"
            return Fault("test-in-train", message, "remove these prompts from one of the datasets")
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
    ids: set[Identity] = set()
    texts: dict[bytes, str] = {}  # what is compared → the dataset that has it
    forms: dict[bytes, str] = {}
    for identity, text in _prompts(source, "train"):
        ids.add(identity)
        texts[_digest(text)] = forms[_digest(normal_form(text))] = identity[0]
    tested, exact, spelled = set(), {}, {}
    for identity, text in _prompts(source, "test"):
        tested.add(identity)
        origin = identity[0] if identity in ids else texts.get(_digest(text))
        if origin is not None:
            exact[identity] = origin
        elif (origin := forms.get(_digest(normal_form(text)))) is not None:
            spelled[identity] = origin
    places = Counter((name, origin) for (name, _), origin in {**spelled, **exact}.items())
    lines = tuple(f"{count:,} of {name} in train of {origin}" for (name, origin), count in places.items())
    return Overlap(len(tested), len(exact), len(spelled), lines if len(source.datasets) > 1 else ())


def _prompts(source: Source, split: str) -> Iterator[tuple[Identity, str]]:
    """Yield the identity and the prompt's text of each row of a split."""
    for dataset, table in source.tables(split):
        for batch in table.select(["prompt_id", PROMPT_OF[source.kind]]).to_batches():
            identities = ((dataset.name, prompt_id) for prompt_id in batch.column(0).to_pylist())
            yield from zip(identities, _texts(batch.column(1)), strict=True)


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
