"""Entry point of `zephyr reproduce`: a run made again from its own recipe, and compared by digests."""

import dataclasses
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from zephyr_core.errors import UsageError
from zephyr_run import command, kept_recipe, outputs, steps, versions
from zephyr_run.comparison import Compared, compare
from zephyr_run.errors import NotReproduced, StepFailed
from zephyr_run.outputs import Output
from zephyr_run.record import Record
from zephyr_run.run import say
from zephyr_run.steps import Step

BESIDE = ".reproduced"


def reproduce(run: Path, last: str | None, sections: Sequence[str], *, as_json: bool) -> tuple[dict[str, Any], str]:
    """Return how the steps of a run compare with themselves made again, JSON-ready and as a table.

    Raises:
        UsageError: the directory is not one of `zephyr run`, or holds no whole step.
        StepFailed: a step could not be made again.
    """
    recipe = _recipe_of(run)
    record = Record.read(run, recipe.stem)
    recorded = {step: outputs.find(step, run, record.entry(step.name)) for step in steps.between(None, last)}
    whole = {step: output for step, output in recorded.items() if output.is_whole}
    if not whole:
        raise UsageError(f"{run} holds no finished step to make again", "see `zephyr status`")
    _tell_versions({step.name: output.manifest() for step, output in whole.items()})
    again = run.with_name(run.name + BESIDE)
    _clear_finished(again, recipe.stem, list(whole))
    _run_again(recipe, again, list(whole)[-1].name, sections, as_json=as_json)
    compared = _compared(whole, again / recipe.stem, recipe.stem)
    told = [dataclasses.asdict(step) | {"is_equal": step.is_equal} for step in compared]
    return {"run": str(run), "again": str(again / recipe.stem), "steps": told}, _table(compared)


def _recipe_of(run: Path) -> Path:
    found = sorted((run / kept_recipe.FOLDER).glob("*.toml"))
    named = [file for file in found if file.stem == run.resolve().name] or found
    if not named:
        raise UsageError(
            f"{run} was not made by `zephyr run`: it has no {kept_recipe.FOLDER}/",
            "`zephyr run` with its recipe puts that there; what is whole is skipped",
        )
    return named[0]


def _tell_versions(manifests: Mapping[str, Mapping[str, Any]]) -> None:
    found = versions.otherwise(manifests)
    if found:
        say("other versions are installed than those on record, so digests may differ:\n  " + "\n  ".join(found))


def _clear_finished(again: Path, recipe: str, made: Sequence[Step]) -> None:
    """Remove what an earlier call finished, since this one shall make it; what was stopped is continued."""
    record = Record.read(again / recipe, recipe)
    if all(outputs.find(step, again / recipe, record.entry(step.name)).is_whole for step in made):
        say(f"{again} is of an earlier time: it is removed, and made anew")
        shutil.rmtree(again)


def _run_again(recipe: Path, runs: Path, last: str, sections: Sequence[str], *, as_json: bool) -> None:
    """Run the recipe in a folder of its own; the environment's options are in the recipe already.

    Raises:
        StepFailed: it did not end well.
    """
    prefixes = tuple(f"ZEPHYR_{name.upper().replace('-', '_')}_" for name in sections)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}
    words = ["zephyr", "run", "--recipe", str(recipe), "--to", last]
    say(f"$ ZEPHYR_RUNS={runs} {command.typed(words)}")
    environment["ZEPHYR_RUNS"] = str(runs)
    ended = command.start(words, out_to=sys.stderr if as_json else None, environment=environment)
    if ended.code:
        raise StepFailed("the run could not be made again", "what it lacked is told above", ended.code)


def _compared(recorded: Mapping[Step, Output], again: Path, recipe: str) -> list[Compared]:
    record, unequal, found = Record.read(again, recipe), [], []
    for step, output in recorded.items():
        made = outputs.find(step, again, record.entry(step.name))
        one = compare(step, output, made, [name for name in step.reads if name in unequal])
        unequal += [] if one.is_equal else [step.name]
        found.append(one)
    return found


def _table(compared: Sequence[Compared]) -> str:
    lines = [""]
    for step in compared:
        figures = len(step.equal) + len(step.different)
        verdict = f"equal      {figures} digests and figures" if step.is_equal else "different"
        lines.append(f"{step.step:<16} {verdict}")
        lines += [f"  {line}" for line in step.different]
        lines += [f"  could explain it: {line}" for line in step.reasons]
    return "\n".join(lines)


def refuse_different(result: Mapping[str, Any]) -> None:
    """Raise when a step came out otherwise.

    Raises:
        NotReproduced: with the steps.
    """
    different = [step["step"] for step in result["steps"] if not step["is_equal"]]
    if different:
        raise NotReproduced(f"came out otherwise: {', '.join(different)}", "the table says in what, and why perhaps")
