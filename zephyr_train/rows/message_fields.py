"""What messages hold besides role and text: loss weights are honoured, what a model would miss is refused."""

from collections import Counter
from typing import TYPE_CHECKING, Any

from zephyr_train.errors import RowsUnfit

if TYPE_CHECKING:
    from zephyr_train.rows.messages import ChunkOrigin

# 0 or false: no loss on the message; 1, true or null: the usual one.
WEIGHTS = ("weight", "loss", "loss_mask", "train", "trainable")
# Part of what the model said or was given: without it, another reply would be trained.
MEANINGFUL = ("reasoning_content", "reasoning", "thinking", "tool_calls", "function_call", "tools")
TOOLS = "tools"  # also a column, of the tools that a dialogue offers


def silent_messages(structs: Any, place: "MessagePlace") -> Any:
    """Return which messages have a weight of 0, numpy bool (messages), or None if no field is a weight.

    Raises:
        RowsUnfit: a weight is neither 0 nor 1.
    """
    import numpy as np

    silent = None
    for name in filter(WEIGHTS.__contains__, _fields(structs)):
        values = _values(structs, name)
        odd = next((number for number, value in enumerate(values) if value not in (None, 0, 1)), None)
        if odd is not None:
            raise RowsUnfit(
                f"{place.of(odd)} has {name} {values[odd]!r}", "a message counts in the loss or not: write 1 or 0"
            )
        zero = np.array([value is not None and not value for value in values], bool)
        silent = zero if silent is None else silent | zero
    return silent


def refuse_meaningful(structs: Any, place: "MessagePlace") -> None:
    """Refuse messages with a field that training would have to show the model.

    Raises:
        RowsUnfit: naming the row and the field.
    """
    for name in filter(MEANINGFUL.__contains__, _fields(structs)):
        number = next((number for number, value in enumerate(_values(structs, name)) if value), None)
        if number is not None:
            raise RowsUnfit(
                f"{place.of(number)} has {name}, which is not trained on",
                f"write it into the text as the model is to say it, or remove {name} from the messages",
            )


def other_fields(structs: Any, read: tuple[str, ...]) -> Counter[str]:
    """Return how many messages have a value in each field that is neither read nor means anything here."""
    others = [name for name in _fields(structs) if name not in (*read, *WEIGHTS, *MEANINGFUL)]
    columns = dict(zip(_fields(structs), structs.flatten(), strict=True)) if others else {}
    counts = Counter({name: len(columns[name]) - columns[name].null_count for name in others})
    return +counts


class MessagePlace:
    """Where a message of a chunk stands, for errors."""

    def __init__(self, offsets: Any, column: str, origin: "ChunkOrigin") -> None:
        self._offsets, self._column, self._origin = offsets, column, origin

    def of(self, number: int) -> str:
        """Return the row and the place in its list of a message of the chunk."""
        import numpy as np

        row = int(np.searchsorted(self._offsets, number, side="right")) - 1
        return f"{self._origin.row(row)}: message {number - int(self._offsets[row])} of column {self._column!r}"


def refuse_tools(table: Any, origin: "ChunkOrigin") -> None:
    """Refuse rows that offer tools.

    Raises:
        RowsUnfit: naming the row.
    """
    if TOOLS not in table.column_names:
        return
    values = table[TOOLS].to_pylist()
    number = next((number for number, value in enumerate(values) if value and value != "[]"), None)
    if number is not None:
        raise RowsUnfit(
            f"{origin.row(number)}: column {TOOLS!r} offers tools, which are not trained on",
            "leave such rows out, or remove the column if the dialogues do not use it",
        )


def _fields(structs: Any) -> list[str]:
    return [structs.type.field(index).name for index in range(structs.type.num_fields)]


def _values(structs: Any, name: str) -> list[Any]:
    values: list[Any] = structs.flatten()[_fields(structs).index(name)].to_pylist()
    return values
