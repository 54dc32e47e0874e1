"""Recipes: TOML files whose values are resolved once, each with the place it came from.

defaults (frozen dataclasses, the paper's numbers) < recipe < file < environment < flag of the run < flag

A name that no option has is refused wherever it is: a section, a key, an environment variable.
"""

import dataclasses
import json
import os
import tomllib
import types
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from zephyr_core import options as declarations
from zephyr_core import paths, recipe_names
from zephyr_core.errors import RecipeError
from zephyr_core.options import from_json
from zephyr_core.reading import checked, parsed
from zephyr_core.recipe_names import Given, Sections, suggest, variable_of
from zephyr_core.records import OptionsRecord

DEFAULT = "zephyr-7b-beta"
Options = TypeVar("Options")


@dataclass(frozen=True)
class Recipe:
    """A chain of recipe files, the base first; `name` is that of the last one, `typed` what a command line calls it."""

    name: str
    typed: str
    layers: tuple[tuple[str, dict[str, Any]], ...]  # (origin, parsed file)
    given: tuple[Given, ...] = ()  # by the command line of a whole run; a later value replaces an earlier one

    def notes(self, kind: str) -> list[dict[str, Any]]:
        """Return the entries of a list of notes: "deviations" or "interpretations"."""
        return [note for _, content in self.layers for note in content.get(kind, [])]

    def about(self) -> str:
        """Return the one-line description of the recipe."""
        return str(self.layers[-1][1].get("about", ""))

    def as_json(self) -> str:
        """Return the parsed recipe as the record that a run's steps read instead of its files."""
        return json.dumps(dataclasses.asdict(self), indent=1, ensure_ascii=False, default=str)


@dataclass(frozen=True)
class Resolved(Generic[Options]):
    """Options with the origin of each value."""

    options: Options
    origins: dict[str, str]
    step: str
    recipe: str

    def explain(self, key: str) -> str:
        """Return the value of `key` and where it came from, as one line.

        Raises:
            RecipeError: the step has no such option.
        """
        name = key.replace("-", "_")
        if name not in self.origins:
            raise RecipeError(f"{self.step} has no option {key!r}", suggest(name, self.origins))
        return f"{self.step}.{name} = {getattr(self.options, name)!r}   ({self.origins[name]})"

    def record(self) -> OptionsRecord:
        """Return what the manifest keeps: every value and its origin, JSON-ready."""
        options = dataclasses.asdict(self.options)  # type: ignore[call-overload]
        values = {name: _recordable(value) for name, value in options.items()}
        return {"recipe": self.recipe, "values": values, "origins": self.origins}


def _recordable(value: object) -> object:
    """Return a value with the names of files in it as texts that any file can hold."""
    if isinstance(value, tuple):
        return tuple(map(_recordable, value))
    return paths.readable(value) if isinstance(value, str) else value


def shipped_names() -> list[str]:
    """Return the names of the shipped recipes."""
    return sorted(path.stem for path in paths.shipped("recipes").glob("*.toml"))


def load(name_or_file: str, sections: Sections | None = None) -> Recipe:
    """Read a shipped recipe by name, or a recipe file by path, with the recipes that it extends.

    A step of a run reads the run's record of the recipe instead, so no later edit can change it.

    Args:
        name_or_file: a file ends in .toml; what a file extends is searched for in the file's folder.
        sections: those that a recipe can have; without them neither sections nor the environment is checked.

    Raises:
        RecipeError: no such recipe, not TOML, it extends itself, an unknown section, key or variable, or its name is
            that of the folder that runs share.
    """
    recipe = _recorded(name_or_file) or _read(name_or_file)
    if sections is not None:
        for origin, content in recipe.layers:
            recipe_names.check(origin, content, sections)
        recipe_names.check_environment(os.environ, sections)
    return recipe


def _recorded(name_or_file: str) -> Recipe | None:
    file = os.environ.get(recipe_names.RECORD)
    if not file:
        return None
    try:
        content = parsed(Path(file))
        layers = tuple((str(origin), dict(layer)) for origin, layer in content["layers"])
        given = tuple(from_json(Given, one) for one in content.get("given", []))
        recorded = Recipe(str(content["name"]), str(content["typed"]), layers, given)
        if not layers:
            raise ValueError("it has no layers")
    except (OSError, ValueError, KeyError, TypeError) as fault:
        raise RecipeError(
            f"{file}, the run's record of its recipe, cannot be read: {fault}", f"unset {recipe_names.RECORD}"
        ) from None
    return recorded if recorded.typed == name_or_file else None


def _read(name_or_file: str) -> Recipe:
    layers: list[tuple[str, dict[str, Any]]] = []
    names: dict[str, str] = {}  # file → the name it was given
    current: str | None = name_or_file
    while current is not None:
        file = os.path.realpath(current) if current.endswith(".toml") else current
        if file in names:
            raise RecipeError(f"recipe {names[file]!r} extends itself: {' → '.join([*names.values(), current])}")
        names[file] = current
        origin, content = _parse(current)
        layers.insert(0, (origin, content))
        current = _base(current, content.get("extends"), origin)
    is_file = name_or_file.endswith(".toml")
    name = Path(name_or_file).stem if is_file else name_or_file
    if not paths.is_name(name):
        raise RecipeError(
            f"{name_or_file}: {name!r} cannot be a recipe's name, which its run's folder gets",
            "name the file with letters, digits, dots, dashes and underscores",
        )
    if name == paths.SHARED:
        raise RecipeError(
            f"{name_or_file}: runs keep what they share in a folder {name!r}", "give the recipe another name"
        )
    return Recipe(name, name_or_file, tuple(layers))


def _base(file: str, extends: Any, origin: str) -> str | None:
    """Return the recipe that a file extends: a shipped one by name, or a file next to it by path."""
    if extends is not None and not isinstance(extends, str):
        raise RecipeError(f"{origin}: extends is {extends!r}", "name a shipped recipe, or a .toml file")
    if extends is None or not extends.endswith(".toml"):
        return extends
    folder = Path(file).parent if file.endswith(".toml") else paths.shipped("recipes")
    return str(folder / paths.expanded(extends))


def _parse(name_or_file: str) -> tuple[str, dict[str, Any]]:
    is_file = name_or_file.endswith(".toml")
    path = Path(name_or_file) if is_file else paths.shipped("recipes") / f"{name_or_file}.toml"
    names = shipped_names()
    if not (path.is_file() if is_file else name_or_file in names):
        raise RecipeError(f"no recipe {name_or_file!r}", suggest(name_or_file, names, "a file name ends in .toml"))
    content = checked(path, tomllib.loads, form="TOML", error=RecipeError)
    return (f"file {path}" if is_file else f"recipe {name_or_file}"), content


def resolve(
    step: str,
    options_type: type[Options],
    recipe: Recipe,
    flags: dict[str, Any] | None = None,
) -> Resolved[Options]:
    """Return the step's options, each value from the last layer that sets it.

    A flag whose value is None was not given. The environment sets `ZEPHYR_<STEP>_<KEY>`. If the options have `implied`,
    it takes the values that were given and returns name → value, origin: defaults that depend on them.

    Raises:
        RecipeError: an unknown key, a wrong type, or a value that the options refuse.
    """
    fields = {field.name: field for field in dataclasses.fields(options_type)}  # type: ignore[arg-type]
    kinds = typing.get_type_hints(options_type)
    values: dict[str, Any] = {}
    origins = {name: _default_origin(field) for name, field in fields.items()}
    for origin, layer, is_text in _layers(step, fields, recipe, flags or {}):
        for key, value in layer.items():
            name = key.replace("-", "_")
            if name not in fields:
                raise RecipeError(f"{origin}: [{step}] has no option {key!r}", suggest(name, fields))
            values[name] = _typed(value, kinds[name], f"{origin}: {step}.{name}", is_text=is_text)
            origins[name] = origin
    for name, (value, origin) in getattr(options_type, "implied", lambda given: {})(values).items():
        if name not in values:
            values[name], origins[name] = value, origin
    return Resolved(options_type(**values), origins, step, recipe.name)


def _layers(
    step: str,
    fields: typing.Iterable[str],
    recipe: Recipe,
    flags: dict[str, Any],
) -> typing.Iterator[tuple[str, dict[str, Any], bool]]:
    """Yield each layer: its origin, its values, and whether all of these are text, as the environment's are."""
    for origin, content in recipe.layers:
        yield origin, content.get(step, {}), False
    for name in fields:
        variable = variable_of(step, name)
        if variable in os.environ:
            yield f"environment {variable}", {name: os.environ[variable]}, True
    for one in recipe.given:
        if one.section == step:
            yield f"flag {one.flag} of zephyr run", {one.key: one.value}, True
    for name, value in flags.items():
        if value is not None:
            yield f"flag --{'no-' if value is False else ''}{name.replace('_', '-')}", {name: value}, False


def _default_origin(field: "dataclasses.Field[Any]") -> str:
    source = declarations.of(field).source
    return f"default, {source}" if source else "default"


def _typed(value: Any, kind: Any, where: str, *, is_text: bool) -> Any:
    """Return `value` as `kind`; if all values are text, numbers and switches are parsed, otherwise it must fit."""
    if isinstance(kind, types.UnionType):
        if value is None or value == "none":
            return None
        kind = next(member for member in typing.get_args(kind) if member is not type(None))
    if typing.get_origin(kind) is tuple:
        return tuple(_typed(part, typing.get_args(kind)[0], where, is_text=is_text) for part in _parts(value, where))
    if is_text and kind is bool and value in ("true", "false"):
        return value == "true"
    if (is_text and kind in (int, float)) or (kind is float and type(value) is int):
        try:
            return kind(value)
        except (ValueError, OverflowError):
            raise RecipeError(f"{where}: {value!r} is not {_ARTICLES[kind]}") from None
    if type(value) is not kind:
        hint = "leave the quotes out" if isinstance(value, str) and not is_text else None
        raise RecipeError(f"{where}: {value!r} is not {_ARTICLES.get(kind, kind)}", hint)
    return value


def _parts(value: Any, where: str) -> list[Any]:
    """Return the values of a list; text is split at its commas."""
    if isinstance(value, str):
        return [] if value in ("", "none") else [part.strip() for part in value.split(",")]
    if not isinstance(value, list | tuple):
        raise RecipeError(f"{where}: {value!r} is not a list")
    return [*value]


_ARTICLES = {int: "an integer", float: "a number", bool: "true or false", str: "text"}
