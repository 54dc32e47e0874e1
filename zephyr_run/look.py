"""Before the first step: what this machine lacks for the training steps after it, so nothing is fetched in vain."""

import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from zephyr_core import process
from zephyr_core.errors import ENVIRONMENT
from zephyr_core.steps import Step
from zephyr_run import invocation, outputs
from zephyr_run.errors import StepFailed
from zephyr_run.hints import in_words_of_the_run
from zephyr_run.kept_recipe import Loaded
from zephyr_run.record import Record

ONLY = ("--dry-run", "--machine", "--json")  # of a training step's command: options and machine, no inputs


def look(steps: Sequence[Step], loaded: Loaded, rebuilds: Callable[[Step], bool], again: Callable[..., str]) -> None:
    """Refuse to begin a run whose training steps could not run here; nothing is fetched or written.

    The first step to make is not looked at: its command judges itself before it does anything.

    Args:
        steps: those that were asked for.
        loaded: the recipe.
        rebuilds: whether a step is made even if it is whole.
        again: returns the command of this run with further words.

    Raises:
        StepFailed: options or machine do not fit. The exit code is 4 if only the machine does not, else the step's.
    """
    record = Record.read(loaded.folder, loaded.recipe.name)
    to_make = [step for step in steps if rebuilds(step) or not _is_whole(step, record)]
    faults: dict[str, list[str]] = {}  # fault, and what to do → the steps that have it
    codes = []
    for step in (step for step in to_make[1:] if step.kind == "model"):
        answer, code = _answer(step, loaded)
        for fault in (*answer["lacks"], *answer["faults"]):
            line = f"{fault['name']}: {fault['message']}\n    → {fault['hint']}"
            faults.setdefault(in_words_of_the_run(line, step), []).append(step.name)
        codes += [code or ENVIRONMENT] if answer["lacks"] or answer["faults"] else []
    if faults:
        lines = [f"{', '.join(names)}: {line}" for line, names in faults.items()]
        message = "\n  ".join(["not begun, because later steps could not run here:", *lines])
        data = [step.name for step in to_make if step.kind == "dataset"]
        only = f"; the data steps alone: `{again('--to', data[-1])}`" if data else ""
        raise StepFailed(message, f"nothing was fetched or written{only}", codes[0])


def _is_whole(step: Step, record: Record) -> bool:
    return outputs.find(step, record.folder, record.entry(step.name)).is_whole


def _answer(step: Step, loaded: Loaded) -> tuple[dict[str, Any], int]:
    """Return what a training step's command finds without its inputs (faults, lacks), and its exit code."""
    words = invocation.words(step, loaded.recipe.typed, flags=ONLY)
    with tempfile.TemporaryDirectory(prefix="zephyr-") as place:
        environment = invocation.with_recipe(loaded.recipe, Path(place), loaded.out) | invocation.OFFLINE
        ended = process.start(invocation.argv(words, of_run=True), catch=["out", "err"], environment=environment)
    if not ended.out:
        raise StepFailed(f"{step.name} cannot be looked at: {ended.err.strip()}", None, ended.code)
    return json.loads(ended.out), ended.code
