"""A step's command: as a user would type it, and as a process of its own."""

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from zephyr_core import paths
from zephyr_core.manifest import write_text_whole
from zephyr_core.recipe import Recipe
from zephyr_core.recipe_names import RECORD
from zephyr_core.steps import Step
from zephyr_run.steps import CHAIN

PARSED = "parsed.json"  # a recipe as its files were read
OFFLINE = {"HF_HUB_OFFLINE": "1"}
CODE = (
    "import sys; sys.argv[0] = 'zephyr'; from zephyr_core.process import end_with; end_with({parent}, softly=True);"
    " import cli; cli.main({arguments})"
)


def words(step: Step, recipe: str, sources: Sequence[str] = (), flags: Sequence[str] = ()) -> list[str]:
    """Return the command of a step, beginning with `zephyr`."""
    return ["zephyr", *step.command, *sources, "--recipe", recipe, *flags]


def typed(command: Sequence[str]) -> str:
    """Return a command as a user would type it."""
    return shlex.join(command)


def alone(command: Sequence[str], step: Step, recipe: Recipe, out: Path | None) -> str:
    """Return a step's command as a user would type it to get what the run gets, without the run.

    Values that the run's command line gave are variables of the environment in front of it.
    """
    values = dict(one.variable() for one in recipe.given if one.section in step.sections)
    values |= {paths.RUN: str(out)} if out else {}
    return " ".join([*(f"{name}={shlex.quote(value)}" for name, value in values.items()), typed(command)])


def of_the_run(recipe: Recipe, sources: Mapping[str, Sequence[str]], out: Path | None, *more: str) -> str:
    """Return `zephyr run` as a user would type it for the same place, sources and values, with `more` words."""
    named = [(step.source_flag, source) for step in CHAIN for source in sources.get(step.name, ())]
    folder = out or os.environ.get(paths.RUN)
    words = ["zephyr", "run", "--recipe", recipe.typed, *(str(word) for pair in named for word in pair)]
    words += [*given_words(recipe), *(["--out", str(folder)] if folder else []), *more]
    runs = None if folder else os.environ.get(paths.RUNS)
    return (f"{paths.RUNS}={shlex.quote(runs)} " if runs else "") + typed(words)


def given_words(recipe: Recipe) -> list[str]:
    """Return the flags that give the recipe the values that its command line gave, each with its word."""
    pairs = dict.fromkeys(pair for one in recipe.given for pair in one.words())
    return [word for pair in pairs for word in pair]


def with_recipe(recipe: Recipe, folder: Path, out: Path | None = None) -> dict[str, str]:
    """Return the environment in which commands read this recipe as it was parsed, even if its files change.

    The parsed recipe is kept in `folder`; `out` is the folder of the run, if it is not where the recipe's runs go.
    """
    file = folder / PARSED
    folder.mkdir(parents=True, exist_ok=True)
    write_text_whole(file, recipe.as_json())
    return {**os.environ, RECORD: str(file.absolute()), **({paths.RUN: str(out)} if out else {})}


def argv(command: Sequence[str], *, of_run: bool = False) -> list[str]:
    """Return the arguments that run a command, whose first word is `zephyr`, in this interpreter.

    The command ends when this process does, as after ctrl-c. With `of_run` it is a step of `zephyr run`: its hints name
    the options of that command, and it leaves to that command to say that the run was stopped.
    """
    code = CODE.format(parent=os.getpid(), arguments="of_run=True" if of_run else "")
    return [sys.executable, "-P", "-c", code, *command[1:]]
