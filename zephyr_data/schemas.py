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
HIT = pl.Struct(
    {
        "stage": pl.String,
        "rule": pl.String,
        "turn": pl.Int32,
        "unless": pl.String,  # the exemption that spared it; null for a hit that counts
        "matched": pl.String,  # of spared hits
    }
)
_PLACE: dict[str, pl.DataType] = {
    "source": pl.String(),
    "file": pl.String(),
    "line": pl.Int64(),
    "id": pl.String(),
    "row_key": pl.String(),
}
_VERDICT: dict[str, pl.DataType] = {
    "dropped_by": pl.String(),  # "stage/rule"
    "dropped_turn": pl.Int32(),
    "matched": pl.String(),
    "hits": pl.List(HIT),  # every rule that would have fired
    "edits": pl.List(EDIT),  # every change to a text
    "spare_names": pl.List(pl.String),  # the names that --spare gives the row
}

# A raw dialogue as a stage sees it. `turns` alternate user, assistant, user, …; null when the row has no dialogue.
DIALOGUES: dict[str, pl.DataType] = {
    **_PLACE,
    "turns": pl.List(pl.String),
    "system": pl.String(),  # the system turns before the first user turn, which are none of `turns`
    **_VERDICT,
}
RATING = pl.Struct({"aspect": pl.String, "rating": pl.Float64})
COMPLETION = pl.Struct(
    {
        "response": pl.String,
        "model": pl.String,
        "ratings": pl.List(RATING),  # per aspect; only those present
        "overall": pl.Float64,  # UltraFeedback's overall_score, as read
        "given": pl.Float64,  # the one score of a generic table
        "unreadable": pl.String,  # a rating or score that is neither absent nor a number on its scale
    }
)
PAIR = pl.Struct({"chosen": pl.UInt32, "rejected": pl.UInt32})  # places of completions
# A rated row as a stage sees it. `turns` end with a user turn; `completions` are in file order.
RATED: dict[str, pl.DataType] = {
    **_PLACE,
    "prompt_id": pl.String(),
    "prompt_source": pl.String(),  # the raw column `source`
    "turns": pl.List(pl.String),
    "completions": pl.List(COMPLETION),
    "sides": PAIR,  # of a pair that was given: the places of its answers; null for rated rows
    "published": pl.String(),  # of a pair that was given: "train" or "test", where its split or file says so
    **_VERDICT,
    "scores": pl.List(pl.Float64),  # one for each completion, filled by the stage `score`
    "pairs": pl.List(PAIR),  # places of completions, by `policy`
}
RATED_FILLED = ("hits", "edits", "spare_names", "scores", "pairs")  # null when read
# What a stage's `find` returns: one line per rule that fires on a row; the first that drops is the reason.
VERDICTS: dict[str, pl.DataType] = {
    "row": pl.UInt32(),
    "rule": pl.String(),
    "turn": pl.Int32(),
    "matched": pl.String(),
    "drops": pl.Boolean(),  # false for a hit that is only counted
}
# What such a `find` may return as well: hits that exemptions spared, recorded and nothing more.
SPARED_VERDICTS: dict[str, pl.DataType] = {**VERDICTS, "unless": pl.String()}
# What a stage's `edit` returns: one line per changed row.
REWRITES: dict[str, pl.DataType] = {"row": pl.UInt32(), "turns": pl.List(pl.String), "edits": pl.List(EDIT)}

LOCATION = ("source", "file", "line")

MESSAGE = pa.struct([("content", pa.string()), ("role", pa.string())])
# The published columns: `string` and `List`, not `large_string`, when opened with `datasets`.
SFT = pa.schema([("prompt", pa.string()), ("prompt_id", pa.string()), ("messages", pa.list_(MESSAGE))])

CANDIDATE = pa.struct([("response", pa.string()), ("model", pa.string()), ("score", pa.float64())])
PAIRS = pa.schema(
    [
        ("prompt", pa.list_(MESSAGE)),
        ("chosen", pa.list_(MESSAGE)),
        ("rejected", pa.list_(MESSAGE)),
        ("prompt_id", pa.string()),
        ("score_chosen", pa.float64()),
        ("score_rejected", pa.float64()),
        ("margin", pa.float64()),
        ("source", pa.string()),
        ("chosen_model", pa.string()),
        ("rejected_model", pa.string()),
        ("candidates", pa.list_(CANDIDATE)),
        ("messages", pa.list_(MESSAGE)),
    ]
)
PAIRS_H4 = pa.schema(
    [
        ("prompt", pa.string()),
        ("prompt_id", pa.string()),
        ("chosen", pa.list_(MESSAGE)),
        ("rejected", pa.list_(MESSAGE)),
        ("messages", pa.list_(MESSAGE)),
        ("score_chosen", pa.float64()),
        ("score_rejected", pa.float64()),
    ]
)
RATED_ROWS = pa.schema(
    [
        ("source", pa.string()),
        ("file", pa.string()),
        ("line", pa.int64()),
        ("id", pa.string()),
        ("row_key", pa.string()),
        ("prompt_id", pa.string()),
        ("prompt_source", pa.string()),
        ("turns", pa.list_(pa.string())),
        (
            "completions",
            pa.list_(
                pa.struct(
                    [
                        ("response", pa.string()),
                        ("model", pa.string()),
                        ("ratings", pa.list_(pa.struct([("aspect", pa.string()), ("rating", pa.float64())]))),
                        ("overall", pa.float64()),
                        ("given", pa.float64()),
                        ("unreadable", pa.string()),
                    ]
                )
            ),
        ),
        ("sides", pa.struct([("chosen", pa.uint32()), ("rejected", pa.uint32())])),
        ("published", pa.string()),
        ("dropped_by", pa.string()),
        ("dropped_turn", pa.int32()),
        ("matched", pa.string()),
    ]
)

# Where an audit row came from.
_ORIGIN = [
    ("row_key", pa.string()),
    ("id", pa.string()),
    ("source", pa.string()),
    ("file", pa.string()),
    ("line", pa.int64()),
]
DROPPED = pa.schema(
    [
        *_ORIGIN,
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
        ("spared_rows", pa.int64()),
        ("why", pa.string()),  # the rule's reason, and where that is from; null for faults of reading and of pairs
        ("why_source", pa.string()),
    ]
)
SPARED = pa.schema(
    [
        *_ORIGIN,
        ("stage", pa.string()),
        ("rule", pa.string()),
        ("turn", pa.int32()),
        ("unless", pa.string()),
        ("matched", pa.string()),
    ]
)
KEPT = pa.schema(
    [
        *_ORIGIN,
        ("prompt_id", pa.string()),
        ("split", pa.string()),
        ("row", pa.int64()),
    ]
)
DROPPED_ROWS = pa.schema(
    [("row_key", pa.string()), ("id", pa.string()), ("file", pa.string()), ("line", pa.int64()), ("raw", pa.string())]
)
