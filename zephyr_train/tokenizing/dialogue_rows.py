"""Dialogues to token rows with labels: what dSFT trains on."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from zephyr_core.template import Chat, Message
from zephyr_train.tokenizing.keyed_rows import Row
from zephyr_train.tokenizing.packing import IGNORED
from zephyr_train.tokenizing.tally import Tally
from zephyr_train.tokenizing.token_rows import Limits, list_column, token_schema
from zephyr_train.tokenizing.turn_spans import (
    CHECK_EVERY,
    Rendered,
    RowFault,
    Span,
    check_bos,
    check_inference,
    render_spans,
    token_spans,
)

if TYPE_CHECKING:
    import numpy
    import pyarrow

_TokenRow = tuple[Row, "numpy.ndarray", "numpy.ndarray"]


def dialogue_batch(chat: Chat, rows: Sequence[Row], limits: Limits) -> tuple["pyarrow.RecordBatch", Tally]:
    """Return the token rows that are kept, in the order of `rows`, and what happened to the others.

    Columns out: key, prompt_id, input_ids, labels (list<int32>; -100 outside the loss)
    """
    tally = Tally("dialogues")
    tally.counts["read_rows"] = len(rows)
    spoken = [(row, messages) for row in rows if (messages := _messages(chat, row, tally))]
    dialogues = [messages for _, messages in spoken]
    turns = [_replies(row, messages) for row, messages in spoken]
    rendered = render_spans(chat, dialogues, turns)
    encodings = chat.encode([each.text for each in rendered])
    token_rows: list[_TokenRow] = []
    for number, ((row, messages), text, encoding) in enumerate(zip(spoken, rendered, encodings, strict=True)):
        try:
            spans = _checked_spans(chat, messages, text, encoding, turns[number][-1], check=not number % CHECK_EVERY)
            if token_row := _token_row(row, encoding.ids, spans, limits, tally):
                token_rows.append(token_row)
        except RowFault as fault:
            tally.fault(row.name, str(fault), limits, fault.detail)
    return _batch(token_rows, tally), tally


def _replies(row: Row, messages: Sequence[Message]) -> list[int]:
    """Return the numbers of the replies that count in the loss."""
    spoken = (number for number, message in enumerate(messages) if message["role"] == "assistant")
    return [number for number in spoken if number not in row.silent]


def _messages(chat: Chat, row: Row, tally: Tally) -> list[Message]:
    """Return the cleaned messages up to the last reply with a loss; if there is none, drop the row and return none."""
    messages = row.content[0]
    stop = max((number + 1 for number in _replies(row, messages)), default=0)
    if not stop:
        tally.drop(row.name, "no-loss", 0)
        return []
    if stop < len(messages):
        tally.counts["trailing_turn_rows"] += 1
        tally.change(row.name, "trailing-turns-cut")
    messages, cleaned = chat.clean(messages[:stop])
    tally.note_cleaned(row.name, [cleaned])
    return messages


def _checked_spans(
    chat: Chat, messages: list[Message], rendered: Rendered, encoding: Any, turn: int, *, check: bool
) -> list[Span]:
    if rendered.fault:
        raise RowFault(rendered.fault, rendered.detail)
    spans = token_spans(chat, encoding, rendered.spans)
    check_bos(encoding.ids, chat.tokenizer.bos_token_id, chat.tokenizer.eos_token_id)
    if check:
        check_inference(chat, messages, encoding.ids, spans[-1].start, turn)
    return spans


def _token_row(row: Row, ids: list[int], spans: list[Span], limits: Limits, tally: Tally) -> _TokenRow | None:
    """Return the row within its limits, or None with the reason in the tally."""
    import numpy as np

    tokens = np.array(ids, dtype=np.int32)
    labels = tokens if limits.loss_on == "all" else np.full_like(tokens, IGNORED)
    if limits.loss_on != "all":
        for start, stop in spans:
            labels[start:stop] = tokens[start:stop]
    elif row.silent:
        raise RowFault("weight-and-loss-on-all")
    overlong = len(tokens) > limits.max_length
    tally.counts["overlong_rows"] += overlong
    if overlong and limits.on_overlong != "split":
        if limits.on_overlong == "error":
            raise RowFault("overlong")
        if limits.on_overlong == "drop":
            tally.drop(row.name, "overlong", len(tokens))
            return None
        tally.counts["cut_rows"] += 1
        tally.counts["no_eos_rows"] += spans[0].stop > limits.max_length
        tally.change(row.name, "cut", len(tokens), limits.max_length)
        tokens, labels = tokens[: limits.max_length], labels[: limits.max_length]
    if not (labels[1:] != IGNORED).any():
        tally.drop(row.name, "no-loss", len(tokens))
        return None
    return row, tokens, labels


def _batch(token_rows: list[_TokenRow], tally: Tally) -> "pyarrow.RecordBatch":
    import pyarrow as pa

    tally.counts["kept_rows"] = len(token_rows)
    tally.counts["tokens"] = sum(len(tokens) for _, tokens, _ in token_rows)
    tally.counts["loss_tokens"] = sum(int((labels[1:] != IGNORED).sum()) for _, _, labels in token_rows)
    columns = [
        pa.array([row.key for row, _, _ in token_rows], pa.string()),
        pa.array([row.prompt_id for row, _, _ in token_rows], pa.string()),
        list_column([tokens for _, tokens, _ in token_rows]),
        list_column([labels for _, _, labels in token_rows]),
    ]
    return pa.record_batch(columns, schema=token_schema("dialogues"))
