"""The three shapes of a raw dialogue, and its possible faults.

data            ["Hi", "Hello!", …]                                raw UltraChat; the user begins
messages        [{"role": "user", "content": "Hi"}, …]             published sets
conversations   [{"from": "human", "value": "Hi"}, …]              ShareGPT
"""

from collections.abc import Sequence

import polars as pl

from zephyr_core.template import ROLES
from zephyr_core.texts import VISIBLE, is_empty
from zephyr_data.errors import MixedShapes

SHAPES = ("data", "messages", "conversations")
_TURN = pl.Struct({"role": pl.String, "content": pl.String, "from": pl.String, "value": pl.String})
RAW: dict[str, pl.DataType] = {
    "id": pl.String(),
    "prompt_id": pl.String(),
    "data": pl.List(pl.String),
    "messages": pl.List(_TURN),
    "conversations": pl.List(_TURN),
}

TurnFault = tuple[str, int | None, str | None]  # rule, turn, matched text


def to_turns(raw: pl.DataFrame, shape: str) -> pl.DataFrame:
    """Return id, turns, dropped_by, dropped_turn and matched for rows of one shape.

    Columns in:  RAW, plus fault and matched (str | null) where a line did not parse
    """
    roles, texts = _roles_and_texts(shape)
    table = raw.select(pl.coalesce("id", "prompt_id").alias("id"), "fault", "matched", roles=roles, turns=texts)
    doubtful = table.select(pl.col("fault").is_null() & ~_is_clean(shape)).to_series()
    faults_by_row: dict[int, TurnFault] = {}
    for row, role_list, turn_list in (
        table.with_row_index("row").filter(doubtful).select("row", "roles", "turns").rows()
    ):
        fault = find_fault(role_list, turn_list)
        if fault is not None:
            faults_by_row[row] = fault
    faults = pl.DataFrame(
        [(row, *fault) for row, fault in faults_by_row.items()],
        schema={"row": pl.UInt32, "rule": pl.String, "dropped_turn": pl.Int32, "text": pl.String},
        orient="row",
    )
    joined = table.with_row_index("row").join(faults, on="row", how="left", maintain_order="left")
    reason = pl.coalesce("fault", "rule")
    return joined.select(
        "id",
        # a row without a dialogue has no turns; one with a fault keeps them, so that it still has a key
        turns=pl.when(pl.col("turns").list.eval(pl.element().is_null()).list.any().not_()).then("turns"),
        dropped_by=pl.when(reason.is_not_null()).then(pl.format("read/{}", reason)),
        dropped_turn="dropped_turn",
        matched=pl.coalesce("matched", "text"),
    )


def find_fault(roles: Sequence[str | None] | None, texts: Sequence[str | None] | None) -> TurnFault | None:
    """Return the first fault of a dialogue as (rule, turn, text), or None when there is none.

    `roles` is None for the shape `data`, whose turns alternate by position.
    """
    if not texts:
        return "no-turns", None, None
    for turn, text in enumerate(texts):
        fault = _fault_of_turn(turn, text, roles)
        if fault is not None:
            return fault, turn, _excerpt(text)
    if len(texts) % 2:
        return "ends-with-user-turn", len(texts) - 1, _excerpt(texts[-1])
    return None


def _fault_of_turn(turn: int, text: str | None, roles: Sequence[str | None] | None) -> str | None:
    if text is None:
        return "null-turn"
    if roles is not None:
        role = roles[turn]
        if role == "system":
            return "system-turn"
        if role not in ("user", "assistant"):
            return "unknown-role"
        if role != ("user", "assistant")[turn % 2]:
            return "starts-with-assistant" if turn == 0 else f"two-{role}-turns-in-a-row"
    if is_empty(text):
        return "empty-turn"
    return "nul-in-text" if "\0" in text else None


def refuse_mixed(raw: pl.DataFrame, shape: str, file: str) -> None:
    """Raise if a row has a different shape from its file, or two shapes at once."""
    others = [pl.col(other).is_not_null() for other in SHAPES if other != shape]
    mixed = raw.filter(pl.any_horizontal(others))
    if mixed.height:
        line = mixed["line"][0]
        shapes = [name for name in SHAPES if mixed[name][0] is not None]
        raise MixedShapes(
            f"{file}, line {line}: the row holds {' and '.join(map(repr, shapes))}, the file's shape is {shape!r}",
            "split the file, one shape per file; one run can take both",
        )


def _roles_and_texts(shape: str) -> tuple[pl.Expr, pl.Expr]:
    if shape == "data":
        return pl.lit(None, dtype=pl.List(pl.String)), pl.col("data")
    element = pl.element().struct
    role = pl.coalesce(element.field("role"), element.field("from")).str.to_lowercase()
    canonical = role.replace_strict(ROLES, default=role, return_dtype=pl.String)
    text = pl.coalesce(element.field("content"), element.field("value"))
    return pl.col(shape).list.eval(canonical), pl.col(shape).list.eval(text)


def _is_clean(shape: str) -> pl.Expr:
    """Return whether a dialogue certainly has no fault; the others are checked one by one."""
    turns = pl.col("turns")
    whole = (turns.list.len() > 0) & (turns.list.len() % 2 == 0)
    text = pl.element()
    sound = text.is_not_null() & text.str.contains(VISIBLE) & ~text.str.contains("\0", literal=True)
    clean = whole & turns.list.eval(sound.fill_null(False)).list.all()
    if shape == "data":
        return clean.fill_null(False)
    roles = pl.col("roles")
    users = roles.list.gather_every(2, 0).list.eval(pl.element() == "user").list.all()
    assistants = roles.list.gather_every(2, 1).list.eval(pl.element() == "assistant").list.all()
    return (clean & users & assistants).fill_null(False)


def _excerpt(text: str | None) -> str | None:
    return None if text is None else text[:160]
