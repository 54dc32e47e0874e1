"""What an option is: a field of a frozen dataclass with its default, where that comes from, and what it means.

The declaration is the only place that names an option: recipes, environment, flags, `--explain`, docs/recipe.md and the
checks of its value all read it.
"""

import dataclasses
import difflib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from zephyr_core.errors import OptionError

_KEY = "option"
Options = TypeVar("Options")


@dataclass(frozen=True)
class Option:
    """What is declared about an option besides its name, type and default."""

    source: str  # of the default: "paper §…", a public card or config, or "ours"
    help: str
    choices: tuple[str, ...] = ()  # of the value, or of each of several
    least: float | None = None  # of a number
    has_flag: bool = False  # on the command line
    is_argument: bool = False  # given by position instead
    is_repeated: bool = False  # its flag is given once for each value; else several are separated by commas


def value(default: Any, source: str, help: str, *, choices: Iterable[str] = (), **more: Any) -> Any:
    """Return the dataclass field of an option; `more` are fields of Option."""
    return dataclasses.field(default=default, metadata={_KEY: Option(source, help, tuple(choices), **more)})


def declared(kind: Any) -> dict[str, Option]:
    """Return name → declaration of each option of an options dataclass (or an instance), in order."""
    return {field.name: of(field) for field in dataclasses.fields(kind)}


def of(field: "dataclasses.Field[Any]") -> Option:
    """Return what is declared about a dataclass field; an empty declaration for a plain one."""
    option = field.metadata.get(_KEY)
    return option if isinstance(option, Option) else Option("", "")


def check(options: Any) -> None:
    """Check each value against its declaration: one of the choices, not below the least; numbers are finite.

    Raises:
        OptionError: with the option's name, its value, and what it can be.
    """
    for name, option in declared(options).items():
        setting = getattr(options, name)
        for one in setting if isinstance(setting, tuple) else (setting,):
            if option.choices and one is not None and one not in option.choices:
                listed = ", ".join(option.choices)
                raise OptionError(f"{name} is {one!r}; it can be {listed}", did_you_mean(str(one), option.choices))
            if isinstance(one, float) and not math.isfinite(one):
                raise OptionError(f"{name} is {one}: it must be a number")
            if option.least is not None and one is not None and one < option.least:
                raise OptionError(f"{name} is {one}: it must be at least {option.least:g}")


def did_you_mean(wrong: str, names: Iterable[str]) -> str | None:
    """Return a question with the nearest known name, or None if none is close."""
    near = difflib.get_close_matches(wrong, list(names), n=1)
    return f"did you mean {near[0]!r}?" if near else None


def from_json(kind: type[Options], values: Mapping[str, Any]) -> Options:
    """Return the options that a record holds; JSON has no tuples."""
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})


def flag_values(kind: Any, parameters: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters of a command that name an option of a step; None where its flag was not given."""
    flags = {name: parameters[name] for name in declared(kind) if name in parameters}
    return {name: None if value in ([], ()) else value for name, value in flags.items()}
