"""Pairs to token rows: a prompt, and two completions that end at their EOS."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zephyr_core.template import Chat, Message
from zephyr_train.tokenizing.keyed_rows import Row
from zephyr_train.tokenizing.tally import Tally
from zephyr_train.tokenizing.token_rows import Limits, list_column, token_schema
from zephyr_train.tokenizing.turn_spans import (
    CHECK_EVERY,
    Rendered,
    RowFault,
    check_bos,
    check_inference,
    render_spans,
    token_spans,
)

if TYPE_CHECKING:
    import pyarrow


@dataclass(frozen=True)
class _Pair:
    row: Row
    prompt: list[int]
    chosen: list[int]
    rejected: list[int]

    @property
    def longer(self) -> int:
        """Return the length of the longer completion."""
        return max(len(self.chosen), len(self.rejected))

    @property
    def tokens(self) -> int:
        return len(self.prompt) + self.longer


def pair_batch(chat: Chat, rows: Sequence[Row], limits: Limits) -> tuple["pyarrow.RecordBatch", Tally]:
    """Return the token rows that are kept, in the order of `rows`, and what happened to the others.

    The line break that the template writes after a reply's EOS is not part of a completion: a user never sees the
    model write it, and Eq. (1) uses the log-prob of the reply alone.

    Columns out: key, prompt_id, prompt_ids, chosen_ids, rejected_ids (list<int32>), prompt_tokens, chosen_tokens,
                 rejected_tokens (int32)

    Raises:
        ValueError: pairs are to be cut, but max_prompt_length is not given.
    """
    if limits.on_overlong == "cut-prompt" and not limits.max_prompt_length:
        raise ValueError("what is left of a cut prompt needs a length")
    tally = Tally("pairs")
    tally.counts["read_rows"] = len(rows)
    spoken = [(row, dialogues) for row in rows if (dialogues := _dialogues(chat, row, limits, tally))]
    flat = [dialogue for _, dialogues in spoken for dialogue in dialogues]
    rendered = render_spans(chat, flat, [[len(dialogue) - 1] for dialogue in flat])
    encodings = chat.encode([each.text for each in rendered])
    pairs: list[_Pair] = []
    for number, (row, dialogues) in enumerate(spoken):
        both = slice(2 * number, 2 * number + 2)
        try:
            sides = [
                _sides(chat, dialogue, text, encoding, check=not number % CHECK_EVERY)
                for dialogue, text, encoding in zip(dialogues, rendered[both], encodings[both], strict=True)
            ]
            if pair := _fitted(_joined(row, *sides), limits, chat.tokenizer.bos_token_id, tally):
                pairs.append(pair)
        except RowFault as fault:
            tally.fault(row.name, str(fault), limits, fault.detail)
    return _batch(pairs, tally), tally


def _dialogues(chat: Chat, row: Row, limits: Limits, tally: Tally) -> list[list[Message]]:
    """Return the cleaned dialogue of each side; if a side is not one reply, record a fault and return none."""
    if any([message["role"] for message in side] != ["assistant"] for side in row.content[1:]):
        tally.fault(row.name, "not-one-reply", limits)
        return []
    texts, cleaned = zip(*(chat.clean(messages) for messages in row.content), strict=True)
    tally.note_cleaned(row.name, cleaned)
    return [texts[0] + texts[1], texts[0] + texts[2]]


def _sides(
    chat: Chat, messages: list[Message], rendered: Rendered, encoding: Any, *, check: bool
) -> tuple[list[int], list[int]]:
    """Return the tokens of a prompt and of the reply to it."""
    if rendered.fault:
        raise RowFault(rendered.fault, rendered.detail)
    [(start, stop)] = token_spans(chat, encoding, rendered.spans)
    ids = encoding.ids
    check_bos(ids, chat.tokenizer.bos_token_id, chat.tokenizer.eos_token_id)
    if check:
        check_inference(chat, messages, ids, start, len(messages) - 1)
    return ids[:start], ids[start:stop]


def _joined(row: Row, chosen: tuple[list[int], list[int]], rejected: tuple[list[int], list[int]]) -> _Pair:
    if chosen[0] != rejected[0]:
        raise RowFault("prompt-not-prefix")
    return _Pair(row, chosen[0], chosen[1], rejected[1])


def _fitted(pair: _Pair, limits: Limits, bos: int | None, tally: Tally) -> _Pair | None:
    """Return the pair within its limits, or None with the reason in the tally."""
    if pair.tokens > limits.max_length:
        tally.counts["overlong_rows"] += 1
        if limits.on_overlong == "error":
            raise RowFault("overlong")
        if limits.on_overlong == "drop":
            tally.drop(pair.row.name, "overlong", pair.tokens)
            return None
        pair = _cut(pair, limits.max_length, limits.max_prompt_length or 0, bos, tally)
    if pair.chosen == pair.rejected:
        tally.drop(pair.row.name, "equal-after-cut", pair.tokens)
        return None
    return pair


def _cut(pair: _Pair, max_length: int, max_prompt_length: int, bos: int | None, tally: Tally) -> _Pair:
    """Return the pair with the prompt's last tokens, and each reply's first tokens up to the remaining room.

    A prompt that begins with BOS still does, since the model has seen no other.
    """
    prompt = pair.prompt
    if len(prompt) > max_prompt_length:
        head = prompt[:1] if prompt[0] == bos else []
        prompt = head + prompt[len(prompt) - max_prompt_length + len(head) :]
        tally.counts["prompt_cut_rows"] += 1
        tally.change(pair.row.name, "prompt-cut", len(pair.prompt), len(prompt))
    room = max_length - len(prompt)
    for side, ids in (("chosen", pair.chosen), ("rejected", pair.rejected)):
        if len(ids) > room:
            tally.change(pair.row.name, f"{side}-cut", len(ids), room)
    if pair.longer > room:
        tally.counts["completion_cut_rows"] += 1
        tally.counts["no_eos_rows"] += 1
    return _Pair(pair.row, prompt, pair.chosen[:room], pair.rejected[:room])


def _batch(pairs: list[_Pair], tally: Tally) -> "pyarrow.RecordBatch":
    import numpy as np
    import pyarrow as pa

    sides = [[getattr(pair, name) for pair in pairs] for name in ("prompt", "chosen", "rejected")]
    lengths = [[len(ids) for ids in side] for side in sides]
    tally.counts["kept_rows"] = len(pairs)
    tally.counts["tokens"] = sum(map(sum, lengths))
    tally.counts["loss_tokens"] = sum(map(sum, lengths[1:]))
    columns = [
        pa.array([pair.row.key for pair in pairs], pa.string()),
        pa.array([pair.row.prompt_id for pair in pairs], pa.string()),
        *(list_column([np.array(ids, np.int32) for ids in side]) for side in sides),
        *(pa.array(each, pa.int32()) for each in lengths),
    ]
    return pa.record_batch(columns, schema=token_schema("pairs"))
