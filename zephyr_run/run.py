"""Entry point of `zephyr run`: the steps in order, each its own command, which skips a whole output."""

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zephyr_core.console import say
from zephyr_core.recipe import Recipe
from zephyr_core.records import AnyManifest
from zephyr_core.steps import Step
from zephyr_run import answers, invocation, kept_recipe, record
from zephyr_run.chain import Chain
from zephyr_run.kept_recipe import Loaded
from zephyr_run.look import look
from zephyr_run.report import page
from zephyr_run.steps import CHAIN, between, of_kind


@dataclass(frozen=True)
class RunRequest:
    """What the command line asked for."""

    recipe: Recipe
    first: str | None = None
    last: str | None = None
    sources: Mapping[str, Sequence[str]] = field(default_factory=dict)  # step → what it reads instead
    fresh: bool = False
    as_json: bool = False
    out: Path | None = None  # the run's folder, instead of the one that its recipe gets

    def loaded(self) -> Loaded:
        """Return the recipe, resolved.

        Raises:
            RecipeError: it does not resolve.
            UsageError: the folder for the run holds something else.
        """
        if self.out is not None:
            record.refuse_foreign(self.out)
        return kept_recipe.load(self.recipe, self.sources, self.out)

    def steps(self, loaded: Loaded) -> tuple[Step, ...]:
        """Return the steps that were asked for."""
        return between(loaded.options, self.first, self.last)

    def command(self, *more: str) -> str:
        """Return this run's command as a user would type it, with `more` words."""
        return invocation.of_the_run(self.recipe, self.sources, self.out, *more)

    def rebuilds(self, step: Step) -> bool:
        """Return whether to rebuild a step even if it is whole: the --from step, or every step without --from."""
        return self.fresh and self.first in (None, step.name)


def run(request: RunRequest) -> tuple[dict[str, Any], str]:
    """Return the result of a run, JSON-ready and as text; the last line is the path of the page about it.

    Raises:
        StepFailed: a step's command failed, and those after it did not run; or one could not run here, and none did.
        DamagedInput: a step would have read damaged files.
        RunInProgress: another run is active in the same directory.
    """
    loaded = request.loaded()
    folder, steps = loaded.folder, request.steps(loaded)
    results: dict[str, dict[str, Any]] = {}
    look(steps, loaded, request.rebuilds, request.command)
    with record.run_lock(folder) as lock:
        kept = Kept(loaded)
        on_record, out_to = record.Record.read(folder, loaded.recipe.name), sys.stderr if request.as_json else None
        environment = invocation.with_recipe(loaded.recipe, folder / kept_recipe.FOLDER, loaded.out)
        chain = Chain(steps, loaded, on_record, request.sources, request.command, lock, environment, out_to)
        for number, step in enumerate(steps, start=1):
            say(f"\n== {number} of {len(steps)}: {step.name}")
            started = time.monotonic()
            outcome = chain.carry_out(step, rebuild=request.rebuilds(step))
            results[step.name] = {"outcome": outcome, "seconds": round(time.monotonic() - started, 1)}
            kept.settle(step, chain.output(step).manifest())
            on_record.seal()
        if steps[-1] is CHAIN[-1]:
            models = {step.name: chain.output(step) for step in of_kind("model")}
            answers.keep(folder, {name: output for name, output in models.items() if output.is_whole}, lock)
        report = page.write(folder, loaded.recipe.name)
        on_record.seal()
    lines = [f"{name:<16} {entry['outcome']:<8} {entry['seconds']:8.1f} s" for name, entry in results.items()]
    return {"run": str(folder), "steps": results, "report": str(report)}, "\n".join(["", *lines, str(report)])


class Kept:
    """The recipe that a run keeps: a step's values replace older ones once the step is whole with them."""

    def __init__(self, loaded: Loaded) -> None:
        self.recipe, self.values = loaded.recipe, kept_recipe.sections(loaded.resolved)
        self.path = kept_recipe.file_of(loaded.folder, loaded.recipe.name)
        older = kept_recipe.read(self.path)
        self.settled = {name: older.get(name, section) for name, section in self.values.items()}
        self._write()

    def settle(self, step: Step, content: AnyManifest | None) -> None:
        """Keep the values that a whole step was made with, by its manifest."""
        for name in step.sections:
            self.settled[name] = kept_recipe.at_commit(self.values[name], content)
        self._write()

    def _write(self) -> None:
        kept_recipe.write(self.path, self.recipe, self.settled)
