"""Entry point of `zephyr reproduce`: a run made again from its own recipe, and compared by digests."""

import dataclasses
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from zephyr_core import kinds, manifest, paths, process
from zephyr_core import recipe as recipes
from zephyr_core.console import say
from zephyr_core.errors import Different, UsageError
from zephyr_core.folder import discard
from zephyr_core.options import declared
from zephyr_core.reading import json_file
from zephyr_core.recipe_names import Given, variable_of
from zephyr_core.steps import Step
from zephyr_run import invocation, kept_recipe, outputs, steps
from zephyr_run.comparison import Compared, compare, installed_versions, version_differences
from zephyr_run.errors import StepFailed
from zephyr_run.outputs import StepOutput
from zephyr_run.record import Record, run_lock

SUFFIX = ".reproduced"
ORIGIN = "reproduction.json"  # in that folder: the recipe, the versions and the given values it is made with


def reproduce(
    run: Path, last: str | None, *, given: Sequence[Given], out: Path | None, fresh: bool, as_json: bool
) -> tuple[dict[str, Any], str]:
    """Make the steps of a run again; return how they compare with the originals, JSON-ready and as a table.

    Args:
        run: the run's folder.
        last: the last step to make; None: all that the run finished.
        given: values for the recipe that the run kept.
        out: where to make them; None: RUN.reproduced.
        fresh: discard an earlier reproduction.
        as_json: leave stdout to the result.

    Raises:
        WrongFolder: the directory belongs to a step, or is another kind of zephyr folder.
        UsageError: the directory was not made by `zephyr run`, or has no whole step; or its reproduction was begun
            from another recipe or with other values or versions, and `fresh` is not set.
        StepFailed: a step could not be made again.
    """
    kinds.refuse(run, kinds.WHOLE_RUN)
    run = run.absolute()
    recipe = _recipe_of(run)
    record = Record.read(run, recipe.stem)
    loaded = dataclasses.replace(recipes.load(str(recipe), steps.SECTIONS), given=tuple(given))
    options = kept_recipe.load(loaded, {}).options
    recorded = {step: outputs.find(step, run, record.entry(step.name)) for step in steps.needed(options)}
    to_compare = steps.between(options, None, last)
    whole = {step: output for step, output in recorded.items() if output.is_whole and step in to_compare}
    if not whole:
        raise UsageError(f"{run} has no finished step to reproduce", "see `zephyr status`")
    _warn(whole, [step.name for step in to_compare if step not in whole])
    again = run.with_name(run.name + SUFFIX) if out is None else out.absolute()
    words, versions = invocation.given_words(loaded), installed_versions(one.manifest() for one in recorded.values())
    made_of = {"recipe": manifest.file_digest(recipe), "versions": versions, **({"given": words} if words else {})}
    _begin(again, recipe.stem, made_of, fresh=fresh)
    _run_again(recipe, again, [*words, "--to", list(whole)[-1].name], as_json=as_json)
    compared = _compared(whole, again / recipe.stem, recipe.stem)
    results = [dataclasses.asdict(step) | {"is_equal": step.is_equal} for step in compared]
    return {"run": str(run), "again": str(again / recipe.stem), "steps": results}, _table(compared)


def _warn(whole: Mapping[Step, StepOutput], missing: Sequence[str]) -> None:
    """Report what could make a difference, and which steps are left out."""
    differences = version_differences(output.manifest() for output in whole.values())
    if differences:
        say("installed versions differ from those on record, so digests may differ:\n  " + "\n  ".join(differences))
    if missing:
        say(f"not compared, because the run did not finish them: {', '.join(missing)}")


def _begin(again: Path, recipe: str, made_of: Mapping[str, object], *, fresh: bool) -> None:
    """Record what a reproduction is made from; an existing one must be made from the same, or is removed.

    Raises:
        UsageError: it has another recipe, other values or versions, or the folder is not a reproduction.
    """
    before = json_file(again / ORIGIN)
    if before and fresh:
        with run_lock(again / recipe):
            discard(again)
    elif before and before != made_of:
        what = "with another recipe, other values or versions, or another state of zephyr"
        raise UsageError(f"{again} was begun {what}", "--fresh removes it and starts over")
    elif not before and again.exists() and (not again.is_dir() or any(again.iterdir())):
        raise UsageError(f"{again} exists and is not a reproduction", "move it away")
    again.mkdir(parents=True, exist_ok=True)
    manifest.write_json(again / ORIGIN, made_of)


def _recipe_of(run: Path) -> Path:
    files = sorted((run / kept_recipe.FOLDER).glob("*.toml"))
    candidates = [file for file in files if file.stem == run.name] or files
    if not candidates:
        raise UsageError(
            f"{run} was not made by `zephyr run`: it has no {kept_recipe.FOLDER}/",
            "`zephyr run` with its recipe writes that folder; finished steps are skipped",
        )
    return candidates[0]


def _run_again(recipe: Path, runs: Path, more: Sequence[str], *, as_json: bool) -> None:
    """Run the recipe in a folder of its own; the environment's options are in the recipe already.

    Raises:
        StepFailed: the run failed.
    """
    of_options = {variable_of(section, key) for section, kind in steps.SECTIONS.items() for key in declared(kind)}
    environment = {name: value for name, value in os.environ.items() if name not in of_options}
    words = ["zephyr", "run", "--recipe", str(recipe), *more]
    say(f"$ ZEPHYR_RUNS={runs} {invocation.typed(words)}")
    environment["ZEPHYR_RUNS"] = str(runs)
    environment.pop(paths.RUN, None)
    ended = process.start(invocation.argv(words), out_to=sys.stderr if as_json else None, environment=environment)
    if ended.code:
        raise StepFailed(
            "the run could not be reproduced",
            f"its error is shown above; --fresh starts over in {runs}",
            ended.code,
        )


def _compared(recorded: Mapping[Step, StepOutput], again: Path, recipe: str) -> list[Compared]:
    record, unequal, results = Record.read(again, recipe), [], []
    for step, output in recorded.items():
        remade = outputs.find(step, again, record.entry(step.name))
        result = compare(step, output, remade, [name for name in step.reads if name in unequal])
        unequal += [] if result.is_equal else [step.name]
        results.append(result)
    return results


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
    """Raise if a step came out differently.

    Raises:
        Different: names the steps.
    """
    different = [step["step"] for step in result["steps"] if not step["is_equal"]]
    if different:
        raise Different(f"different: {', '.join(different)}", "the table shows what differs, and what could explain it")
