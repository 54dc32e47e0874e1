"""A step's messages in the words of `zephyr run`: the options that they name exist on the command that was typed."""

import re
import typing
from functools import partial

from zephyr_core.options import declared
from zephyr_core.recipe_names import SET
from zephyr_core.steps import FRESH, OVERWRITE, Step
from zephyr_run.steps import CHAIN, SHORT

OF_COMMANDS = (
    "--workers",
    "--memory",
    "--machine",
    "--explain",
    "--data",
)  # flags of a step's own command that are no options
SAME = ("--out", "--dry-run", "--json")  # flags of a step that `zephyr run` has too
_FLAG = re.compile(r"(?<![\w-])--(no-)?([a-z]+(?:-[a-z]+)*)(?:([ =])([^\s,;:)`]*[^\s,;:).`]))?")


def step_of(words: list[str]) -> Step | None:
    """Return the step whose command the words begin with, without `zephyr`."""
    return next((step for step in CHAIN if tuple(words[: len(step.command)]) == step.command), None)


def in_words_of_the_run(text: str, step: Step) -> str:
    """Return a text of a step's command with its flags as `zephyr run` takes them; a command in backticks stays.

    A flag that the run lacks becomes `--set SECTION.KEY=VALUE`, or is said to be one of the step's own command.
    """
    parts = text.split("`")
    for place, part in enumerate(parts):
        is_code = place % 2 == 1 and place < len(parts) - 1
        if not is_code or part.startswith("--"):
            parts[place] = _FLAG.sub(partial(_flag, step=step, is_code=is_code), part)
    return "`".join(parts)


def _flag(match: "re.Match[str]", *, step: Step, is_code: bool) -> str:
    negated, name, space, word = match.groups()
    flag, key, options = f"--{name}", name.replace("-", "_"), declared(step.options)
    if flag in SAME or any((step.section, key) == place[:2] for place in SHORT.get(flag, ())):
        return match[0]
    after = f"{space}{word}" if word else ""
    if flag in (FRESH, OVERWRITE):
        return f"--from {step.name} --fresh{after}"
    if key not in options:
        command = f"zephyr {' '.join(step.command)}"
        if flag not in OF_COMMANDS:
            return match[0]
        return f"{command} {match[0]}" if is_code else f"{flag} of `{command}`{after}"
    if _is_switch(step, key):
        return f"{SET} {step.section}.{key}={'false' if negated else 'true'}{after}"
    is_value = word and (is_code or flag == SET or word in options[key].choices or not re.match("[a-z]", word))
    return f"{SET} {step.section}.{key}={word if is_value else '…' + after}"


def _is_switch(step: Step, key: str) -> bool:
    hint = typing.get_type_hints(step.options)[key]
    return bool in (hint, *typing.get_args(hint))
