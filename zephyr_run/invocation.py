"""A step's command: as a user would type it, and as a process of its own."""

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from zephyr_core.manifest import write_text_whole
from zephyr_core.recipe import Recipe
from zephyr_core.recipe_names import RECORD
from zephyr_core.steps import Step
from zephyr_run.steps import CHAIN

PARSED = "parsed.json"  # a recipe as its files were read
CODE = (
    "import sys; sys.argv[0] = 'zephyr'; from zephyr_core.process import end_with; end_with({parent}, softly=True);"
    " import cli; cli.main()"
)


def words(step: Step, recipe: str, sources: Sequence[str] = (), flags: Sequence[str] = ()) -> list[str]:
    """Return the command of a step, beginning with `zephyr`."""
    return ["zephyr", *step.command, *sources, "--recipe", recipe, *flags]


def typed(command: Sequence[str]) -> str:
    """Return a command as a user would type it."""
    return shlex.join(command)


def of_the_run(recipe: str, first: str, sources: Mapping[str, Sequence[str]], *, fresh: bool = False) -> str:
    """Return `zephyr run` from a step on, as a user would type it for the same place and sources."""
    given = [(step.source_flag, source) for step in CHAIN for source in sources.get(step.name, ())]
    words = ["zephyr", "run", "--recipe", recipe, *(str(word) for pair in given for word in pair), "--from", first]
    runs = os.environ.get("ZEPHYR_RUNS")
    return (f"ZEPHYR_RUNS={shlex.quote(runs)} " if runs else "") + typed([*words, *(["--fresh"] if fresh else [])])


def with_recipe(recipe: Recipe, folder: Path) -> dict[str, str]:
    """Return the environment in which commands read this recipe as it was parsed, even if its files change.

    The parsed recipe is kept in the folder.
    """
    file = folder / PARSED
    folder.mkdir(parents=True, exist_ok=True)
    write_text_whole(file, recipe.as_json())
    return {**os.environ, RECORD: str(file.absolute())}


def argv(command: Sequence[str]) -> list[str]:
    """Return the arguments that run a command, whose first word is `zephyr`, in this interpreter.

    The command ends when this process does, as after ctrl-c.
    """
    return [sys.executable, "-P", "-c", CODE.format(parent=os.getpid()), *command[1:]]
