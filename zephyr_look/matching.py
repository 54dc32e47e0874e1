"""Which row of one dataset is which of the other, and what is different about it."""

from collections.abc import Sequence

import polars as pl

from zephyr_look.row_form import PAIRS

SAME = "same"
FLIPPED = "flipped"
CHANGED_REJECTED, CHANGED_CHOSEN = "changed-rejected", "changed-chosen"
EDITED_PROMPT, EDITED_REPLIES, EDITED = "edited-prompt", "edited-replies", "edited"
CHANGES = (FLIPPED, CHANGED_REJECTED, CHANGED_CHOSEN, EDITED_PROMPT, EDITED_REPLIES, EDITED)
_PROMPT = ("kind", "prompt_id")
# By which columns rows are matched, the strictest way first: those of the left side, and of the right one.
_WAYS = (
    ((*_PROMPT, "first", "answer", "other"),) * 2,
    ((*_PROMPT, "first", "answer", "other"), (*_PROMPT, "first", "other", "answer")),
    ((*_PROMPT, "answer"),) * 2,
    ((*_PROMPT, "other"),) * 2,
    (_PROMPT,) * 2,
)
_ANSWERS = ("kind", "answer", "other")


def matched_rows(left: pl.DataFrame, right: pl.DataFrame) -> pl.DataFrame:
    """Return which rows of two row indexes (`row_index`) are one, and what changed.

    Rows of one prompt_id are matched by their whole content, then with the answers exchanged, then by one equal answer,
    then in their order. Of the rest, rows match whose answers no other row has: their prompt was edited.

    Columns out: left, right (uint32, numbers of rows), change (SAME or one of CHANGES); sorted by `left`
    """
    mine, theirs = (side.with_row_index("number") for side in (left, right))
    matches = []
    for on_left, on_right in _WAYS:
        matches.append(_in_order(mine, theirs, on_left, on_right))
        mine, theirs = _others(mine, matches[-1]["left"]), _others(theirs, matches[-1]["right"])
    is_alone = pl.len().over(_ANSWERS) == 1
    matches.append(_in_order(mine.filter(is_alone), theirs.filter(is_alone), _ANSWERS, _ANSWERS))
    pairs = pl.concat(matches).sort("left")
    return pairs.with_columns(change=_changes(left[pairs["left"]], right[pairs["right"]]))


def _in_order(left: pl.DataFrame, right: pl.DataFrame, on_left: Sequence[str], on_right: Sequence[str]) -> pl.DataFrame:
    """Return the numbers of rows with equal columns; of several such rows, the first with the first, and so on."""
    mine, theirs = (
        side.select("number", *on, nth=pl.int_range(pl.len()).over(on))
        for side, on in ((left, on_left), (right, on_right))
    )
    joined = mine.join(theirs, left_on=[*on_left, "nth"], right_on=[*on_right, "nth"], suffix="_right")
    return joined.select(left="number", right="number_right")


def _others(side: pl.DataFrame, numbers: pl.Series) -> pl.DataFrame:
    return side.filter(~pl.col("number").is_in(numbers.implode()))


def _changes(left: pl.DataFrame, right: pl.DataFrame) -> pl.Series:
    """Return what is different between the lines of two row indexes of equal length."""
    same = {name: left[name] == right[name] for name in ("first", "answer", "other")}
    crossed = (left["answer"] == right["other"]) & (left["other"] == right["answer"])
    is_pair = left["kind"] == PAIRS
    return pl.select(
        pl.when(same["first"] & same["answer"] & same["other"])
        .then(pl.lit(SAME))
        .when(is_pair & same["first"] & crossed)
        .then(pl.lit(FLIPPED))
        .when(same["answer"] & same["other"])
        .then(pl.lit(EDITED_PROMPT))
        .when(same["first"] & ~is_pair)
        .then(pl.lit(EDITED_REPLIES))
        .when(same["first"] & same["answer"])
        .then(pl.lit(CHANGED_REJECTED))
        .when(same["first"] & same["other"])
        .then(pl.lit(CHANGED_CHOSEN))
        .otherwise(pl.lit(EDITED))
        .alias("change")
    ).to_series()
