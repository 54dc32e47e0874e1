"""Entry point of `zephyr data export`: one split as a file that other tools read."""

import os
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, Final

import orjson

from zephyr_core.console import say
from zephyr_core.disk import clear_disk_errors
from zephyr_core.errors import DataError, PartlyDone, UsageError
from zephyr_look.opening import EVERY, Dataset, open_dataset
from zephyr_look.row_form import DIALOGUES, RATED, SIDES
from zephyr_train.rows.row_chunk import SILENT

NAMES: Final = {"system": "system", "user": "human", "assistant": "gpt"}  # role → ShareGPT's name of it
_FURTHER = ("score_chosen", "score_rejected", "source", "chosen_model", "rejected_model")
_READ = ("kind", "unfit", "file", "row", "prompt_id", SILENT, *SIDES, *_FURTHER)
Row = dict[str, Any]


def export(source: str, form: str, out: Path, split: str | None) -> str:
    """Write the rows of one split and return what was written; `out` is there whole, or not at all.

    Raises:
        UsageError: `out` exists, several splits are asked for, or the rows are rated answers.
        DataError: a row cannot be written in that form.
        PartlyDone: rows that cannot be trained on were left out.
        NoSpace: the file cannot be written.
    """
    if out.exists() or out.is_symlink():
        raise UsageError(f"{out} exists already", "give another --out, or remove it")
    if split == EVERY:
        raise UsageError("a file holds one split", "name it with --split, and give each a file of its own")
    dataset = open_dataset(source, (split,) if split else ())
    dataset = dataset.only(dataset.read_splits[0])
    if dataset.kind == RATED:
        raise UsageError(f"{source} has rated answers, not rows to train on", "make pairs: `zephyr data binarize`")
    partial = out.with_name(f".{out.name}.{os.getpid()}.partial")
    with clear_disk_errors(out, hint="give another file with --out"):
        out.parent.mkdir(parents=True, exist_ok=True)
        try:
            with partial.open("xb") as stream:
                written, left_out = _write(dataset, FORMS[form], stream)
                stream.flush()
                os.fsync(stream.fileno())
            partial.rename(out)
        finally:
            partial.unlink(missing_ok=True)
    if split is None and len(dataset.splits) > 1:
        say(f"this is the split {dataset.read_splits[0]}; others with --split: {', '.join(dataset.splits)}")
    text = f"{out}: {written:,} rows of {dataset.read_splits[0]} of {dataset.label}, as {form}"
    if left_out:
        reasons = ", ".join(f"{rows:,} {reason}" for reason, rows in left_out.items())
        raise PartlyDone(f"{text}; rows that cannot be trained on are not in it: {reasons}", _LIST.format(source))
    return text


_LIST = '`zephyr data inspect {} --where "unfit IS NOT NULL"` shows them'


def _write(dataset: Dataset, form: Callable[[Row], Mapping[str, Any]], stream: IO[bytes]) -> tuple[int, Counter[str]]:
    """Return how many rows were written, and reason → how many were left out."""
    written, left_out = 0, Counter[str]()
    for frame in dataset.frames(_READ):
        for row in frame.iter_rows(named=True):
            if row["unfit"]:
                left_out[row["unfit"]] += 1
            else:
                stream.write(orjson.dumps(form(row)) + b"\n")
                written += 1
    return written, left_out


def _jsonl(row: Row) -> Row:
    if row["kind"] == DIALOGUES:
        return {"prompt_id": row["prompt_id"], "messages": _weighted(row["messages"], row[SILENT])}
    sides = {name: row[column] for name, column in zip(("prompt", "chosen", "rejected"), SIDES, strict=True)}
    return {"prompt_id": row["prompt_id"], **sides, **_further(row)}


def _sharegpt(row: Row) -> Row:
    if row["kind"] == DIALOGUES:
        turns = _weighted([*map(_turn, row["messages"])], row[SILENT])
        return {"prompt_id": row["prompt_id"], "conversations": turns}
    sides = {name: _turn(_only_reply(row, name)) for name in ("chosen", "rejected")}
    return {"prompt_id": row["prompt_id"], "conversations": [*map(_turn, row["messages"])], **sides, **_further(row)}


def _turn(message: Mapping[str, str]) -> Row:
    return {"from": NAMES[message["role"]], "value": message["content"]}


def _weighted(messages: list[Row], silent: list[int] | None) -> list[Row]:
    """Return messages in which those without a loss have a weight of 0."""
    return [{**each, "weight": 0} if number in (silent or ()) else each for number, each in enumerate(messages)]


def _only_reply(row: Row, side: str) -> Row:
    messages: list[Row] = row[f"{side}_messages"]
    if len(messages) != 1:
        what = f"{row['file']}, row {row['row']}: {side!r} has {len(messages)} messages"
        raise DataError(f"{what}; in ShareGPT's form an answer is one", "export it with --to jsonl")
    return messages[0]


def _further(row: Row) -> Row:
    return {name: row[name] for name in _FURTHER if row[name] is not None}


FORMS: Final = {"jsonl": _jsonl, "sharegpt": _sharegpt}
