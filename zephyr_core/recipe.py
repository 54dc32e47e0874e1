"""Recipes: TOML files whose values are resolved once, each with the place it came from.

defaults (frozen dataclasses, the paper's numbers) < recipe < file < environment < flag
"""

import dataclasses
import difflib
import os
import tomllib
import types
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from zephyr_core import paths
from zephyr_core.errors import RecipeError
from zephyr_core.records import OptionsRecord

DEFAULT = "zephyr-7b-beta"
Options = TypeVar("Options")


@dataclass(frozen=True)
class Recipe:
    """A chain of recipe files, the base first; `name` is that of the last one, `typed` what a command line calls it."""

    name: str
    typed: str
    layers: tuple[tuple[str, dict[str, Any]], ...]  # (origin, parsed file)
    directory: Path

    def notes(self, kind: str) -> list[dict[str, Any]]:
        """Return the entries of a list of notes: "deviations" or "interpretations"."""
        return [note for _, content in self.layers for note in content.get(kind, [])]

    def about(self) -> str:
        """Return the one-line description of the recipe."""
        return str(self.layers[-1][1].get("about", ""))


@dataclass(frozen=True)
class Resolved(Generic[Options]):
    """Options with the origin of each value."""

    options: Options
    origins: dict[str, str]
    step: str
    recipe: str

    def explain(self, key: str) -> str:
        """Return the value of `key` and where it came from, as one line."""
        if key not in self.origins:
            raise RecipeError(f"{self.step} has no option {key!r}", _suggest(key, self.origins))
        return f"{self.step}.{key} = {getattr(self.options, key)!r}   ({self.origins[key]})"

    def record(self) -> OptionsRecord:
        """Return what the manifest keeps: every value and its origin, JSON-ready."""
        values = dataclasses.asdict(self.options)  # type: ignore[call-overload]
        return {"recipe": self.recipe, "values": values, "origins": self.origins}


def shipped_names() -> list[str]:
    """Return the names of the shipped recipes."""
    return sorted(path.stem for path in paths.shipped("recipes").glob("*.toml"))


def load(name_or_file: str) -> Recipe:
    """Read a shipped recipe by name, or a recipe file by path, with the recipes that it extends.

    Raises:
        RecipeError: no such recipe, not TOML, it extends itself, or its name is that of the folder which runs share.
    """
    layers: list[tuple[str, dict[str, Any]]] = []
    seen: list[str] = []
    wanted: str | None = name_or_file
    while wanted is not None:
        if wanted in seen:
            raise RecipeError(f"recipe {wanted!r} extends itself: {' → '.join([*seen, wanted])}")
        seen.append(wanted)
        origin, content = _parse(wanted)
        layers.insert(0, (origin, content))
        wanted = content.get("extends")
    first = Path(name_or_file)
    is_file = name_or_file.endswith(".toml")
    directory = first.parent if is_file else paths.shipped("recipes")
    name = first.stem if is_file else name_or_file
    if name == paths.SHARED:
        raise RecipeError(f"{first}: runs keep what they share in a folder {name!r}", "give the recipe another name")
    return Recipe(name, name_or_file, tuple(layers), directory)


def _parse(name_or_file: str) -> tuple[str, dict[str, Any]]:
    is_file = name_or_file.endswith(".toml")
    path = Path(name_or_file) if is_file else paths.shipped("recipes") / f"{name_or_file}.toml"
    if not path.is_file():
        names = shipped_names()
        raise RecipeError(f"no recipe {name_or_file!r}", _suggest(name_or_file, names, "a file name ends in .toml"))
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as fault:
        raise RecipeError(f"{path} is not valid TOML: {fault}") from None
    return (f"file {path}" if is_file else f"recipe {name_or_file}"), content


def resolve(
    step: str,
    options_type: type[Options],
    recipe: Recipe,
    flags: dict[str, Any] | None = None,
    environment: typing.Mapping[str, str] | None = None,
) -> Resolved[Options]:
    """Return the step's options, each value from the last layer that sets it.

    A flag whose value is None was not given. The environment sets `ZEPHYR_<STEP>_<KEY>`.

    Raises:
        RecipeError: an unknown key, a wrong type, or a value that the options refuse.
    """
    fields = {field.name: field for field in dataclasses.fields(options_type)}  # type: ignore[arg-type]
    kinds = typing.get_type_hints(options_type)
    values: dict[str, Any] = {}
    origins = {name: _default_origin(field) for name, field in fields.items()}
    for origin, given in _layers(step, fields, recipe, flags or {}, environment):
        for key, value in given.items():
            name = key.replace("-", "_")
            if name not in fields:
                raise RecipeError(f"{origin}: [{step}] has no option {key!r}", _suggest(name, fields))
            values[name] = _typed(value, kinds[name], f"{origin}: {step}.{name}")
            origins[name] = origin
    return Resolved(options_type(**values), origins, step, recipe.name)


def _layers(
    step: str,
    fields: typing.Iterable[str],
    recipe: Recipe,
    flags: dict[str, Any],
    environment: typing.Mapping[str, str] | None,
) -> typing.Iterator[tuple[str, dict[str, Any]]]:
    for origin, content in recipe.layers:
        yield origin, content.get(step, {})
    variables = os.environ if environment is None else environment
    prefix = f"ZEPHYR_{step.upper().replace('-', '_')}_"
    for name in fields:
        if prefix + name.upper() in variables:
            yield f"environment {prefix}{name.upper()}", {name: variables[prefix + name.upper()]}
    for name, value in flags.items():
        if value is not None:
            yield f"flag --{name.replace('_', '-')}", {name: value}


def _default_origin(field: Any) -> str:
    section = field.metadata.get("section")
    return f"default, {section}" if section else "default"


def _typed(value: Any, kind: Any, where: str) -> Any:
    """Return `value` as `kind`; text (from the environment) is read, anything else must fit."""
    if isinstance(kind, types.UnionType):
        if value is None or value == "none":
            return None
        kind = next(member for member in typing.get_args(kind) if member is not type(None))
    if typing.get_origin(kind) is tuple:
        parts = value.split(",") if isinstance(value, str) else list(value)
        return tuple(part.strip() if isinstance(part, str) else part for part in parts)
    if kind is bool and value in ("true", "false"):
        return value == "true"
    if kind in (int, float) and isinstance(value, str):
        try:
            return kind(value)
        except ValueError:
            raise RecipeError(f"{where}: {value!r} is not {_ARTICLES[kind]}") from None
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise RecipeError(f"{where}: {value!r} is not {_ARTICLES.get(kind, kind)}")
    return value


_ARTICLES = {int: "an integer", float: "a number", bool: "true or false", str: "text"}


def _suggest(wrong: str, known: typing.Iterable[str], otherwise: str = "") -> str:
    near = difflib.get_close_matches(wrong, list(known), n=1)
    listed = f"known: {', '.join(sorted(known))}" + (f"; {otherwise}" if otherwise else "")
    return f"did you mean {near[0]!r}? {listed}" if near else listed
