"""Values of a row that are used: what cannot be used is a fault of the row."""

from typing import Any

from zephyr_core.texts import is_empty
from zephyr_data.sources.dialogue_turns import BETWEEN
from zephyr_data.sources.lines import repeats


class Unfit(ValueError):
    """A used value cannot be read: it has the wrong type, or its key is repeated; `fault` names it."""

    def __init__(self, fault: str = "wrong-type") -> None:
        super().__init__(fault)
        self.fault = fault


def text_of(value: Any) -> str | None:
    """Return a text or None.

    Raises:
        Unfit: the value is neither.
    """
    if value is not None and not isinstance(value, str):
        raise Unfit
    return value


def refuse_repeats(row: dict[str, Any], *names: str) -> None:
    """Raise if one of these keys of an object is repeated; without names, if any is.

    Raises:
        Unfit: as `duplicate-key`.
    """
    if repeats(row, *names):
        raise Unfit("duplicate-key")


def with_material(task: str | None, material: str | None) -> str | None:
    """Return a task with the material that it is about, where that can be seen."""
    return task if task is None or material is None or is_empty(material) else task + BETWEEN + material
