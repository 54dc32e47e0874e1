"""The recipe as a run resolved it: all its layers merged into one TOML file that can reproduce the run."""

import glob
import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, time
from functools import partial
from pathlib import Path
from typing import Any

from zephyr_core import amounts, manifest, paths
from zephyr_core import recipe as recipes
from zephyr_core.errors import RecipeError, UsageError
from zephyr_core.reading import parsed
from zephyr_core.recipe import Recipe, Resolved
from zephyr_core.recipe_names import NOTES
from zephyr_core.records import AnyManifest
from zephyr_run.hints import in_words_of_the_run
from zephyr_run.steps import CHAIN, SECTIONS

FOLDER = "recipe"
PATHS = ("sources", "rules", "benchmark", "model", "data", "source")  # options that may name a file or folder here
SAMPLES = "samples:"
DEFAULT = "default"  # the origin of a value that nothing sets begins with this
MAIN = "main"  # the default revision
NONE = "none"  # how a recipe says that an option has no value

Sections = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Loaded:
    """A recipe resolved once, and the directory of its run."""

    recipe: Recipe
    resolved: Mapping[str, Resolved[Any]]  # section → options and origins
    folder: Path
    out: Path | None = None  # that directory, if the command line named it

    @property
    def options(self) -> dict[str, Any]:
        """Return section → its options."""
        return {name: section.options for name, section in self.resolved.items()}


def load(recipe: Recipe, sources: Mapping[str, Sequence[str]], out: Path | None = None) -> Loaded:
    """Return a recipe with its options and their origins; `sources` overrides those of some steps, `out` the directory.

    Raises:
        RecipeError: a section does not resolve; this is known before the first step runs.
    """
    flags = {name: {"sources": list(given)} if given else {} for name, given in sources.items()}
    resolved: dict[str, Resolved[Any]] = {}
    for name, kind in SECTIONS.items():
        try:
            resolved[name] = recipes.resolve(name, kind, recipe, flags.get(name))
        except UsageError as fault:
            reword = partial(in_words_of_the_run, step=next(step for step in CHAIN if step.section == name))
            raise type(fault)(reword(str(fault)), fault.hint and reword(fault.hint)) from None
    return Loaded(recipe, resolved, out or paths.run_directory(recipe.name), out)


def of_the_run(loaded: Loaded) -> dict[str, Any]:
    """Return section → its options as the run in the directory has them; before it was begun, the recipe's."""
    values = read(file_of(loaded.folder, loaded.recipe.name))
    if not values:
        return loaded.options
    kept = replace(loaded.recipe, layers=((f"run {loaded.folder}", values),))
    try:
        return load(kept, {}, loaded.out).options
    except RecipeError:  # of another version of zephyr
        return loaded.options


def sections(resolved: Mapping[str, Resolved[Any]]) -> Sections:
    """Return section → option → TOML value for the options that something sets; defaults are left out.

    Files and folders on this machine are given by absolute path.
    """
    return {
        name: {
            key: _plain(key, getattr(section.options, key))
            for key, origin in section.origins.items()
            if not origin.startswith(DEFAULT)
        }
        for name, section in resolved.items()
    }


def file_of(run_directory: Path, name: str) -> Path:
    """Return where a run keeps its recipe."""
    return run_directory / FOLDER / f"{name}.toml"


def read(path: Path) -> Sections:
    """Return the sections of a kept recipe; none if the file is missing or cannot be read."""
    try:
        content = parsed(path, tomllib.loads)
    except (OSError, ValueError):  # ValueError includes tomllib's and the decoder's errors
        return {}
    return {name: value for name, value in content.items() if isinstance(value, dict)}


def write(path: Path, loaded: Recipe, values: Sections) -> None:
    """Write a recipe that extends no other: the values, and the notes of all files they come from."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [
        "# What recipes, environment and command line set, as `zephyr run` resolved it; `zephyr reproduce` reads it.",
        "",
    ]
    lines += [f"about = {_toml(loaded.about())}"]
    for name, options in values.items():
        lines += ["", f"[{name}]", *(f"{key} = {_toml(value)}" for key, value in options.items())]
    for kind in NOTES:
        for note in loaded.notes(kind):
            lines += ["", f"[[{kind}]]", *(f"{_key(key)} = {_toml(value)}" for key, value in note.items())]
    manifest.write_text_whole(path, "\n".join(lines) + "\n")


def at_commit(values: dict[str, Any], content: AnyManifest | None) -> dict[str, Any]:
    """Return a section's values, with a branch on the Hub replaced by the commit in the manifest of its step."""
    commit = _commit(values, content)
    return values if commit in (None, values.get("revision", MAIN)) else {**values, "revision": commit}


def _commit(values: dict[str, Any], content: AnyManifest | None) -> str | None:
    """Return the commit of what a section's `revision` is of: a dataset's sources, or the model trained from."""
    if content is not None and content["kind"] == "model":
        name, _, commit = content["inputs"]["model"].partition(" at ")
        return commit if name == values.get("source") else None
    dataset = manifest.as_dataset(content)
    return str(dataset["options"]["values"].get("revision", MAIN)) if dataset else None


def _plain(key: str, value: Any) -> Any:
    if value is None:
        return NONE
    if isinstance(value, tuple | list):
        return [_plain(key, inner) for inner in value]
    if key == "data" and isinstance(value, str):
        wanted = amounts.read(value)
        return str(replace(wanted, name=_absolute(key, wanted.name)))
    return _absolute(key, value) if key in PATHS and isinstance(value, str) else value


def _absolute(key: str, value: str) -> str:
    return str(paths.expanded(value).absolute()) if _is_here(key, value) else value


def _is_here(key: str, value: str) -> bool:
    """Return whether a value names something on this machine rather than a sample, a rule set or a model on the Hub."""
    is_name = value.startswith(SAMPLES) or (key, value) == ("source", "new")
    if is_name or (key == "rules" and not value.endswith(".toml")):
        return False
    return glob.has_magic(value) or paths.expanded(value).exists()


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name)


def _toml(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_key(key)} = {_toml(inner)}' for key, inner in value.items())}}}"
    if isinstance(value, date | time):  # datetime is a date
        return value.isoformat()
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return str(value).lower() if isinstance(value, bool) else repr(value)
