"""The shapes of a raw dialogue: the columns that it is read from.

data            ["Hi", "Hello!", …]                                raw UltraChat; the user begins
messages        [{"role": "user", "content": "Hi"}, …]             published sets, OpenAI
conversations   [{"from": "human", "value": "Hi"}, …]              ShareGPT
conversation    [{"role": "user", "content": "Hi"}, …]             LMSYS-Chat-1M, WildChat
EXCHANGES       {"prompt": "Hi", "completion": "Hello!"}           one exchange; read as data
trees           {"prompt": {"text": "Hi", "replies": […]}}         OASST; one path, read as messages
"""

from typing import NamedTuple

import polars as pl

from zephyr_core.template import ROLES
from zephyr_core.texts import VISIBLE
from zephyr_data import schemas
from zephyr_data.errors import ONE_SHAPE, MixedShapes
from zephyr_data.sources.dialogue_turns import STAGE, read_dialogue

OF_OBJECTS = ("messages", "conversations", "conversation")
LISTS = ("data", *OF_OBJECTS)


class Exchange(NamedTuple):
    """Columns of texts that are one exchange."""

    prompt: str
    answer: str
    more: str | None = None  # what follows the prompt, where there is any

    @property
    def name(self) -> str:
        """Return the name of the shape."""
        return f"{self.prompt} + {self.answer}"

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the columns that are used."""
        return (self.prompt, self.answer, *filter(None, [self.more]))


EXCHANGES = (
    Exchange("prompt", "completion"),
    Exchange("prompt", "response"),
    Exchange("instruction", "output", "input"),
)
_TURN = pl.Struct({"role": pl.String, "content": pl.String, "from": pl.String, "value": pl.String})
RAW: dict[str, pl.DataType] = {
    "id": pl.String(),
    "prompt_id": pl.String(),
    "data": pl.List(pl.String),
    **dict.fromkeys(OF_OBJECTS, pl.List(_TURN)),
}
_READ = {
    "row": pl.UInt32(),
    "as_read": pl.List(pl.String),
    "turns": pl.List(pl.String),
    "system": pl.String(),
    "rule": pl.String(),
    "dropped_turn": pl.Int32(),
    "matched": pl.String(),
    "edits": schemas.DIALOGUES["edits"],
}


def to_turns(raw: pl.DataFrame, shape: str) -> pl.DataFrame:
    """Return id, as_read, turns, system, dropped_by, dropped_turn, matched and edits for rows of one shape.

    `as_read` are the texts that row_key is taken over, null on a row that has no valid list of them.

    Columns in:  RAW, plus fault (str | null) where a line did not parse
    """
    roles, texts = _roles_and_texts(shape)
    has_empty = pl.any_horizontal(pl.col(name).list.len() == 0 for name in LISTS)
    texts = pl.when(has_empty & texts.is_null()).then(pl.lit([], dtype=pl.List(pl.String))).otherwise(texts)
    table = raw.select(pl.coalesce("id", "prompt_id").alias("id"), "fault", roles=roles, turns=texts)
    table = table.with_row_index("row")
    doubtful = table.filter(pl.col("fault").is_null() & ~_is_clean(shape)).select("row", "roles", "turns")
    read = _read_one_by_one(doubtful)
    joined = table.select("row", "id", "fault", "turns").join(read, on="row", how="left", maintain_order="left")
    is_read = pl.col("row").is_in(read["row"].implode())
    texts_of = {name: pl.col("turns") for name in ("as_read", "turns")}
    if read.height:
        own = {"as_read": "as_read", "turns": "turns_right"}
        texts_of = {name: pl.when(is_read).then(column).otherwise("turns") for name, column in own.items()}
    reason = pl.coalesce("fault", "rule")
    return joined.select(
        "id",
        "system",
        "dropped_turn",
        "matched",
        "edits",
        dropped_by=pl.when(reason.is_not_null()).then(pl.format(f"{STAGE}/{{}}", reason)),
        **texts_of,
    )


def _read_one_by_one(doubtful: pl.DataFrame) -> pl.DataFrame:
    rows = []
    for row, roles, texts in doubtful.iter_rows():
        dialogue = read_dialogue(roles, texts)
        # a row with a fault keeps its turns, so that it still has a key
        as_read, turns = (None if part and None in part else part for part in (dialogue.as_read, dialogue.turns))
        rows.append((row, as_read, turns, dialogue.system, *(dialogue.fault or (None,) * 3), dialogue.cuts or None))
    return pl.DataFrame(rows, schema=_READ, orient="row")


def find_shape(raw: pl.DataFrame) -> str | None:
    """Return the shape of the first row that has one, or None if no row has one; an empty list is of no shape."""
    present = [_is_present(name) for name in LISTS]
    first = raw.filter(pl.any_horizontal(present)).head(1).select(present)
    return next((name for name in LISTS if first.height and first[name][0]), None)


def _is_present(name: str) -> pl.Expr:
    return pl.col(name).list.len() > 0


def refuse_mixed(raw: pl.DataFrame, shape: str, file: str) -> None:
    """Raise if a row has a different shape from its file, or two shapes at once."""
    others = [_is_present(other) for other in LISTS if other != shape]
    mixed = raw.filter(pl.any_horizontal(others))
    if mixed.height:
        names = [name for name in LISTS if mixed[name][0] is not None and len(mixed[name][0])]
        raise mixed_shapes(file, mixed["line"][0], names, shape)


def mixed_shapes(file: str, line: int, names: list[str], shape: str) -> MixedShapes:
    """Return the error about a row that holds other shapes than its file's."""
    return MixedShapes(
        f"{file}, line {line}: the row holds {' and '.join(map(repr, names))}, the file's shape is {shape!r}",
        ONE_SHAPE,
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
