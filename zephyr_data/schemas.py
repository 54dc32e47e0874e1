"""Every column name and dtype, spelled once."""

import polars as pl
import pyarrow as pa

EDIT = pl.Struct(
    {
        "turn": pl.Int32,
        "stage": pl.String,
        "rule": pl.String,
        "start": pl.Int32,
        "end": pl.Int32,
        "before": pl.String,
        "after": pl.String,
    }
)
HIT = pl.Struct({"stage": pl.String, "rule": pl.String, "turn": pl.Int32})

# A raw dialogue as a stage sees it. `turns` alternate user, assistant, user, …; null when the row has no dialogue.
DIALOGUES: dict[str, pl.DataType] = {
    "source": pl.String(),
    "file": pl.String(),
    "line": pl.Int64(),
    "id": pl.String(),
    "row_key": pl.String(),
    "turns": pl.List(pl.String),
    "dropped_by": pl.String(),  # "stage/rule"
    "dropped_turn": pl.Int32(),
    "matched": pl.String(),
    "hits": pl.List(HIT),  # every rule that would have fired
    "edits": pl.List(EDIT),  # every change of a text
}
# What a stage's `find` returns: one line per rule that fires on a row; the first that drops is the reason.
VERDICTS: dict[str, pl.DataType] = {
    "row": pl.UInt32(),
    "rule": pl.String(),
    "turn": pl.Int32(),
    "matched": pl.String(),
    "drops": pl.Boolean(),  # false for a hit that is only counted
}
# What a stage's `edit` returns: one line per changed row.
REWRITES: dict[str, pl.DataType] = {"row": pl.UInt32(), "turns": pl.List(pl.String), "edits": pl.List(EDIT)}

LOCATION = ("source", "file", "line")

MESSAGE = pa.struct([("content", pa.string()), ("role", pa.string())])
# The published columns: `string` and `List`, not `large_string`, when opened with `datasets`.
SFT = pa.schema([("prompt", pa.string()), ("prompt_id", pa.string()), ("messages", pa.list_(MESSAGE))])

DROPPED = pa.schema(
    [
        ("row_key", pa.string()),
        ("id", pa.string()),
        ("source", pa.string()),
        ("file", pa.string()),
        ("line", pa.int64()),
        ("stage", pa.string()),
        ("rule", pa.string()),
        ("turn", pa.int32()),
        ("matched", pa.string()),
    ]
)
REWRITTEN = pa.schema(
    [
        ("row_key", pa.string()),
        ("turn", pa.int32()),
        ("stage", pa.string()),
        ("rule", pa.string()),
        ("start", pa.int32()),
        ("end", pa.int32()),
        ("before", pa.string()),
        ("after", pa.string()),
    ]
)
RULES = pa.schema(
    [
        ("stage", pa.string()),
        ("rule", pa.string()),
        ("hit_rows", pa.int64()),
        ("only_hit_rows", pa.int64()),
        ("dropped_rows", pa.int64()),
        ("hit_turns", pa.int64()),
    ]
)
KEPT = pa.schema(
    [
        ("row_key", pa.string()),
        ("id", pa.string()),
        ("source", pa.string()),
        ("file", pa.string()),
        ("line", pa.int64()),
        ("prompt_id", pa.string()),
        ("split", pa.string()),
        ("row", pa.int64()),
    ]
)
DROPPED_ROWS = pa.schema(
    [("row_key", pa.string()), ("id", pa.string()), ("file", pa.string()), ("line", pa.int64()), ("raw", pa.string())]
)
