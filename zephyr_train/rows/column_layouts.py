"""The column layouts that rows come in, converted to the one that our steps read."""

from typing import Any

from zephyr_train.errors import RowsUnfit
from zephyr_train.rows.message_fields import TOOLS, refuse_tools
from zephyr_train.rows.messages import ChunkOrigin, Messages
from zephyr_train.rows.row_chunk import SILENT, Chunk, Normalised, trainable_rows

COLUMNS = {
    "dialogues": ("prompt_id", "messages", "conversations", TOOLS),
    "pairs": ("prompt_id", "prompt", "conversations", "chosen", "rejected", TOOLS),
}


def empty(kind: str) -> Any:
    """Return an empty pyarrow Table with our columns for that kind."""
    import pyarrow as pa

    messages = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
    columns = ("messages",) if kind == "dialogues" else ("prompt", "chosen", "rejected")
    silent = [(SILENT, pa.list_(pa.int32()))] if kind == "dialogues" else []
    return pa.schema([("prompt_id", pa.string()), *((name, messages) for name in columns), *silent]).empty_table()


def normalise(kind: str, chunk: Any, origin: ChunkOrigin) -> Normalised:
    """Return the rows of a chunk (a pyarrow Table) that can be trained on.

    Columns in:  dialogues: messages | conversations; prompt_id if any
                 pairs: chosen and rejected as text, message or messages; prompt as text or messages, or conversations,
                 or neither if chosen and rejected are whole conversations; prompt_id if any
    Columns out: dialogues: prompt_id, messages, silent (numbers of the messages without a loss);
                 pairs: prompt_id, prompt, chosen, rejected (the completions alone)

    Raises:
        RowsUnfit: a column is missing or has the wrong type, a role is unknown, the two sides differ in prompt, or a
            field of the messages means something that is not trained on.
    """
    refuse_tools(chunk, origin)
    return (_dialogues if kind == "dialogues" else _pairs)(Chunk(chunk, origin))


def _dialogues(chunk: Chunk) -> Normalised:
    name = "messages" if "messages" in chunk or "conversations" not in chunk else "conversations"
    messages = chunk.messages(name, "user")
    spoken = messages.has_role("assistant") & ~messages.is_blank()
    reasons = {
        "null-turn": messages.rows_with(messages.is_null()),
        "no-assistant-text": ~messages.rows_with(spoken),
    }
    return trainable_rows(chunk, {"messages": messages}, lambda: _until_first_user(messages), reasons)


def _until_first_user(messages: Messages) -> Messages:
    """Return a dialogue's prompt: the messages up to the first user turn, or all of them if there is none."""
    import numpy as np

    stops = messages.lengths.copy()
    users = np.flatnonzero(messages.has_role("user"))[::-1]  # backwards, so that the first of each row is assigned last
    owners = messages.owners()[users]
    stops[owners] = users - messages.offsets[owners] + 1
    return messages.cut(np.zeros_like(stops), stops)


def _pairs(chunk: Chunk) -> Normalised:
    chosen, rejected = chunk.messages("chosen", "assistant"), chunk.messages("rejected", "assistant")
    has_prompt_messages = chunk.is_list("prompt") or chunk.is_list("conversations")
    if chunk.is_list("chosen") and chunk.is_list("rejected") and not has_prompt_messages:
        prompt, chosen, rejected = _split_whole(chosen, rejected, chunk.origin)
    else:
        name = "prompt" if "prompt" in chunk or "conversations" not in chunk else "conversations"
        prompt = chunk.messages(name, "user")
    reasons = {
        "no-prompt": prompt.lengths == 0,
        "empty-chosen": ~chosen.rows_with(~chosen.is_blank()),
        "empty-rejected": ~rejected.rows_with(~rejected.is_blank()),
        "null-turn": sum(side.rows_with(side.is_null()) for side in (prompt, chosen, rejected)) > 0,
        "identical-texts": ~chosen.differ(rejected, trimmed=True),
    }
    rest = trainable_rows(chunk, {"prompt": prompt, "chosen": chosen, "rejected": rejected}, lambda: prompt, reasons)
    _check_roles(prompt, chosen, rejected, rest.dropped, chunk.origin)
    _check_weights(chosen, rejected, chunk.origin)
    return rest


def _check_weights(chosen: Messages, rejected: Messages, origin: ChunkOrigin) -> None:
    """Refuse answers without a loss: both sides of a pair count."""
    for name, side in (("chosen", chosen), ("rejected", rejected)):
        if side.silent is not None and side.silent.any():
            row = int(side.owners()[side.silent][0])
            raise RowsUnfit(f"{origin.row(row)}: {name!r} has a weight of 0", "leave the row out, or the weight")


def _split_whole(chosen: Messages, rejected: Messages, origin: ChunkOrigin) -> tuple[Messages, Messages, Messages]:
    """Return the common prompt and the last message of each of two whole conversations.

    Raises:
        RowsUnfit: the two sides of a row have different prompts.
    """
    import numpy as np

    sides = (chosen, rejected)
    prompts = [side.cut(side.lengths * 0, np.maximum(side.lengths - 1, 0)) for side in sides]
    both = (chosen.lengths > 0) & (rejected.lengths > 0)
    unlike = np.flatnonzero(prompts[0].differ(prompts[1]) & both)
    if len(unlike):
        raise RowsUnfit(
            f"{origin.row(unlike[0])}: 'chosen' and 'rejected' have different prompts"
            f" ({len(unlike)} such rows near it)",
            "all messages but the last are the prompt, and must be equal in both",
        )
    answers = [side.cut(np.maximum(side.lengths - 1, 0), side.lengths) for side in sides]
    return prompts[0], answers[0], answers[1]


def _check_roles(
    prompt: Messages, chosen: Messages, rejected: Messages, dropped: dict[str, list[int]], origin: ChunkOrigin
) -> None:
    """Refuse answers with a turn that is not the assistant's, and prompts that end with an assistant turn."""
    import numpy as np

    out = np.zeros(len(prompt.lengths), bool)
    out[[row for rows in dropped.values() for row in rows]] = True
    for name, side in (("chosen", chosen), ("rejected", rejected)):
        wrong = np.flatnonzero(side.rows_with(~side.has_role("assistant")) & ~out)
        if len(wrong):
            raise RowsUnfit(
                f"{origin.row(wrong[0])}: {name!r} holds a turn that is not the assistant's",
                "next to a column with the prompt's messages it holds the completion alone",
            )
    ends = prompt.cut(np.maximum(prompt.lengths - 1, 0), prompt.lengths)
    wrong = np.flatnonzero(ends.rows_with(ends.has_role("assistant")) & ~out)
    if len(wrong):
        raise RowsUnfit(
            f"{origin.row(wrong[0])}: the prompt ends with an assistant turn", "cut the answer off the prompt"
        )
