"""The command that made something, as one would type it, from the record of its options."""

import shlex
from collections.abc import Iterator, Mapping

from zephyr_core.options import Option, declared


def command(words: str, kind: type, recipe: str, values: Mapping[str, object], origins: Mapping[str, str]) -> str:
    """Return the command: what was set by a variable or a flag, and the recipe for the rest.

    Args:
        words: "zephyr data binarize".
        kind: the dataclass of the step's options.
        recipe: its name.
        values: option → value.
        origins: option → where the value comes from, as recipes record it.
    """
    variables, flags, arguments = list[str](), list[str](), list[str]()
    for name, option in declared(kind).items():
        origin = origins.get(name, "")
        if origin.startswith("environment "):
            variables.append(f"{origin.removeprefix('environment ')}={shlex.quote(_joined(values[name]))}")
        elif origin.startswith("flag "):
            (arguments if option.is_argument else flags).extend(_words(name, values[name], option))
    is_file = any(origin.startswith("file ") for origin in origins.values())
    return " ".join([*variables, words, *arguments, "--recipe", shlex.quote(recipe + ".toml" * is_file), *flags])


def _words(name: str, value: object, option: Option) -> Iterator[str]:
    flag = f"--{'no-' if value is False else ''}{name.replace('_', '-')}"
    parts = list(value) if isinstance(value, list | tuple) else [value]
    if option.is_argument:
        yield from (shlex.quote(str(part)) for part in parts)
    elif isinstance(value, bool):
        yield flag
    elif option.is_repeated:
        yield from (f"{flag} {shlex.quote(str(part))}" for part in parts)
    else:
        yield f"{flag} {shlex.quote(_joined(value))}"


def _joined(value: object) -> str:
    if value is None:
        return "none"
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
