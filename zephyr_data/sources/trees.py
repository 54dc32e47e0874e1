"""Trees of messages (OASST): the best path from the root is the dialogue; messages on other paths are counted.

At each message the reply of the lowest rank is followed, or else the first; of users' turns, one that is answered. A
message that was deleted, or rejected in review, is never followed.
"""

from collections.abc import Mapping
from typing import Any

import polars as pl

from zephyr_core.template import role_of
from zephyr_data.sources.carried import IDENTITY, carried_of
from zephyr_data.sources.dialogue_turns import STAGE
from zephyr_data.sources.lines import SHOWN
from zephyr_data.sources.typed_rows import Row, refuse_surrogates
from zephyr_data.sources.values import Unfit, refuse_repeats, text_of

NAME = "prompt with replies"  # of the shape
COLUMNS = ("prompt", "tree_state", "message_tree_id")
BRANCH = "branch"  # column: the edit that says how many messages are on other paths
OTHER_PATHS = "other-paths"  # its rule
READY = "ready_for_export"  # the state of a whole tree
_KEYS = ("text", "role", "rank", "replies", "deleted", "review_result")


def is_tree(row: Mapping[str, Any]) -> bool:
    """Return whether a row is a tree of messages."""
    prompt = row.get("prompt")
    return isinstance(prompt, Mapping) and "replies" in prompt


def tree_row(row: Row, line: bytes = b"") -> Row:
    """Return the best path of a tree as the columns of shapes.RAW, with BRANCH, or the fault."""
    ids = {"id": carried_of(row, *IDENTITY, "message_tree_id")}
    try:
        refuse_repeats(row, *COLUMNS)
        if row.get("prompt") is None:
            return ids
        if text_of(row.get("tree_state")) not in (None, READY):
            raise Unfit("unfinished-tree")
        path, branch = _best_path(row["prompt"])
        refuse_surrogates({"messages": path, BRANCH: branch}, line)
    except Unfit as unfit:
        return {**ids, "fault": unfit.fault}
    return {**ids, "messages": path, BRANCH: branch}


def with_branches(table: pl.DataFrame, branches: pl.Series) -> pl.DataFrame:
    """Return a table of dialogues with the edits of those that were one path of several."""
    with_edit = table.with_columns(branches)
    first = pl.when(pl.col("dropped_by").is_null() & pl.col(BRANCH).is_not_null()).then(pl.concat_list(BRANCH))
    both = pl.concat_list(first, pl.col("edits").fill_null([]))
    return with_edit.with_columns(edits=pl.when(first.is_not_null()).then(both).otherwise("edits")).drop(BRANCH)


def _best_path(root: Any) -> tuple[list[Row], Row | None]:
    """Return the turns of the best path, and the edit that says how many messages are on others, if any are."""
    fault = _withdrawal(_checked(root))
    if fault is not None:
        raise Unfit(fault)
    path, others, edit = [_turn(root)], 0, None
    message = root
    while replies := [_checked(reply) for reply in _replies(message)]:
        followed = min(
            (reply for reply in replies if _withdrawal(reply) is None), key=_order, default=None
        )  # of equal ones, the first
        left_out = [reply for reply in replies if reply is not followed]
        others += sum(map(_size, left_out))
        if left_out and edit is None:
            edit = {"turn": len(path), "stage": STAGE, "rule": OTHER_PATHS, "start": None, "end": None}
            edit["before"] = (carried_of(left_out[0], "text") or "")[:SHOWN]
        if followed is None:
            break
        path.append(_turn(followed))
        message = followed
    return path, edit and {**edit, "after": f"(on other paths: {others} messages)"}


def _order(message: Row) -> tuple[bool, float]:
    is_unanswered = role_of(message.get("role") or "") == "user" and not any(
        _withdrawal(_checked(reply)) is None for reply in _replies(message)
    )
    rank = message.get("rank")
    return is_unanswered, float("inf") if rank is None else rank


def _withdrawal(message: Row) -> str | None:
    """Return why a message is not to be used, if it is not."""
    if message.get("deleted"):
        return "deleted-message"
    return "rejected-message" if message.get("review_result") is False else None


def _checked(message: Any) -> Row:
    if not isinstance(message, dict):
        raise Unfit
    refuse_repeats(message, *_KEYS)
    rank = message.get("rank")
    is_flag = all(isinstance(message.get(name), bool | None) for name in ("deleted", "review_result"))
    if not is_flag or isinstance(rank, bool) or not isinstance(rank, int | None):
        raise Unfit
    text_of(message.get("role"))
    return message


def _replies(message: Row) -> list[Any]:
    replies = message.get("replies")
    if replies is not None and not isinstance(replies, list):
        raise Unfit
    return replies or []


def _turn(message: Row) -> Row:
    return {"role": text_of(message.get("role")), "content": text_of(message.get("text"))}


def _size(message: Row) -> int:
    """Return how many messages a branch holds."""
    count, pending = 0, [message]
    while pending:
        count += 1
        pending += map(_checked, _replies(pending.pop()))
    return count
