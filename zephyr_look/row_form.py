"""The one form of a row that is looked at, whatever shape it was published in."""

from collections.abc import Collection
from typing import Any, Final

import polars as pl

from zephyr_train.rows.row_chunk import SILENT
from zephyr_train.tokenizing.keyed_rows import CONTENT, Row, row_key

DIALOGUES: Final = "dialogues"
PAIRS: Final = "pairs"
RATED: Final = "rated"
MESSAGES = pl.List(pl.Struct({"role": pl.String, "content": pl.String}))
ANSWERS = pl.List(pl.Struct({"response": pl.String, "model": pl.String, "score": pl.Float64}))
_COLUMNS: dict[str, pl.DataType] = {
    "split": pl.String(),
    "file": pl.String(),
    "row": pl.Int64(),  # its number in the file, from 1; of JSON Lines, the line
    "kind": pl.String(),  # dialogues | pairs | rated
    "id": pl.String(),  # as the file has it
    "prompt_id": pl.String(),
    "key": pl.String(),  # as training lists it: the sha256 of the row's content
    "prompt": pl.String(),  # of a dialogue its first user turn; else all turns before the answers
    "reply": pl.String(),  # all replies of a dialogue
    "chosen": pl.String(),
    "rejected": pl.String(),
    "turns": pl.Int64(),  # of `messages`
    "score_chosen": pl.Float64(),
    "score_rejected": pl.Float64(),
    "margin": pl.Float64(),
    "unfit": pl.String(),  # why training, or for raw rows cleaning, cannot read it
    "source": pl.String(),
    "chosen_model": pl.String(),
    "rejected_model": pl.String(),
    "messages": MESSAGES,  # a dialogue, or the prompt of answers
    "chosen_messages": MESSAGES,
    "rejected_messages": MESSAGES,
    "answers": ANSWERS,  # of a rated row; the score is the one given, the overall one, or the mean rating
    SILENT: pl.List(pl.Int32),  # numbers of a dialogue's messages without a loss
}
ROW = pl.Schema(_COLUMNS)
PLACE = ("split", "file", "row")
NAMES = ("id", "prompt_id", "key")
SIDES = ("messages", "chosen_messages", "rejected_messages")


def completed(frame: pl.DataFrame, columns: Collection[str]) -> pl.DataFrame:
    """Return those columns of ROW that are wanted, null where `frame` lacks them, the derived ones computed."""
    frame = frame.with_columns(
        pl.lit(None, dtype=ROW[name]).alias(name) for name in ROW if name not in frame.columns and name not in _DERIVED
    ).with_columns(_as_messages(name) for name in SIDES)
    frame = frame.with_columns(**{name: texts for name, texts in _DERIVED.items() if name in columns})
    if "key" in columns:
        needed = ("kind", "prompt_id", SILENT, *SIDES)
        keys = [trained(row).key for row in frame.select(needed).iter_rows(named=True)]
        frame = frame.with_columns(key=pl.Series(keys, dtype=pl.String))
    return frame.select(pl.col(name).cast(ROW[name]) for name in ROW if name in columns)


def trained(row: dict[str, Any]) -> Row:
    """Return a row of ROW as training reads it."""
    names = SIDES[: len(CONTENT.get(row["kind"], ("messages",)))]
    content, silent = tuple(row[name] for name in names), tuple(row[SILENT] or ())
    return Row(row_key(content, silent), row["prompt_id"], content, silent)


def _as_messages(name: str) -> pl.Expr:
    element = pl.element().struct
    return pl.col(name).list.eval(pl.struct(role=element.field("role"), content=element.field("content")))


def _texts(name: str, role: str | None = None) -> pl.Expr:
    content = pl.element().struct.field("content")
    own = content if role is None else content.filter(pl.element().struct.field("role") == role)
    return pl.col(name).list.eval(own)


_IS_DIALOGUE = pl.col("kind") == DIALOGUES
_DERIVED = {
    "prompt": pl.when(_IS_DIALOGUE)
    .then(_texts("messages", "user").list.first())
    .otherwise(_texts("messages").list.join("\n\n")),
    "reply": pl.when(_IS_DIALOGUE).then(_texts("messages", "assistant").list.join("\n\n")),
    "chosen": _texts("chosen_messages").list.join("\n\n"),
    "rejected": _texts("rejected_messages").list.join("\n\n"),
    "turns": pl.col("messages").list.len().cast(pl.Int64),
    "margin": pl.col("score_chosen") - pl.col("score_rejected"),
}
