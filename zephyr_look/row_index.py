"""What two datasets are compared by: the digests, lengths and scores of their rows, no texts."""

import polars as pl

from zephyr_data.json_digests import row_digests_of
from zephyr_look.opening import Dataset
from zephyr_look.row_form import DIALOGUES, PLACE, ROW, SIDES
from zephyr_train.rows.row_chunk import SILENT

MEASURES = (
    "score_chosen",
    "score_rejected",
    "margin",
    "turns",
    "prompt_characters",
    "reply_characters",
    "chosen_characters",
    "rejected_characters",
)
_COPIED = (*PLACE, "kind", "prompt_id", "unfit", "source", "score_chosen", "score_rejected", "margin", "turns")
_TEXTS = ("prompt", "reply", "chosen", "rejected")
_READ = (*_COPIED, *_TEXTS, *SIDES, "answers", SILENT)


def row_index(dataset: Dataset) -> pl.DataFrame:
    """Return a line for each row, in the order of the rows.

    Columns out: split, file, row, kind, prompt_id, unfit, source, MEASURES;
        first, answer, other: digests (bytes) of a dialogue's first turn and the rest of it; of a pair's prompt, chosen
        and rejected; of a rated row's prompt and answers, `other` being that of nothing
    """
    empty = pl.DataFrame(schema={name: ROW[name] for name in _READ})
    return pl.concat([_digested(empty), *map(_digested, dataset.frames(_READ))])


def _digested(frame: pl.DataFrame) -> pl.DataFrame:
    is_dialogue = pl.col("kind") == DIALOGUES
    first = pl.when(is_dialogue).then(pl.col("messages").list.head(1)).otherwise("messages")
    rest = pl.when(is_dialogue).then(pl.col("messages").list.slice(1)).otherwise("chosen_messages")
    columns = {
        "first": frame.select(first),
        "answer": frame.select(SILENT, "answers", answer=rest),
        "other": frame.clear(frame.height).select(SILENT, "answers").with_columns(answer=frame["rejected_messages"]),
    }
    digests = [pl.Series(name, row_digests_of(part), dtype=pl.Binary) for name, part in columns.items()]
    lengths = [pl.col(name).str.len_chars().cast(pl.Int64).alias(f"{name}_characters") for name in _TEXTS]
    return frame.select(*_COPIED, *lengths).with_columns(digests)
