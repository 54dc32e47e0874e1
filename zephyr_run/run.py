"""Entry point of `zephyr run`: the steps in order, each its own command, which skips a whole output."""

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from zephyr_core.console import say
from zephyr_core.recipe import Recipe
from zephyr_core.records import AnyManifest
from zephyr_core.steps import Step
from zephyr_run import answers, command, kept_recipe, record
from zephyr_run.chain import Chain
from zephyr_run.kept_recipe import Loaded
from zephyr_run.report import page
from zephyr_run.steps import CHAIN, between


@dataclass(frozen=True)
class Asked:
    """What the command line asked for."""

    recipe: Recipe
    first: str | None = None
    last: str | None = None
    sources: Mapping[str, Sequence[str]] = field(default_factory=dict)  # step → what it reads instead
    fresh: bool = False
    as_json: bool = False

    @property
    def steps(self) -> tuple[Step, ...]:
        """Return the steps that were asked for."""
        return between(self.first, self.last)

    def makes_anew(self, step: Step) -> bool:
        """Return whether to rebuild a step even if it is whole: the --from step, or every step without --from."""
        return self.fresh and self.first in (None, step.name)


def run(asked: Asked) -> tuple[dict[str, Any], str]:
    """Return the result of a run, JSON-ready and as text; the last line is the path of the page about it.

    Raises:
        StepFailed: a step's command failed; those after it did not run.
        DamagedInput: a step would have read damaged files.
        RunInProgress: another run is active in the same directory.
    """
    loaded = kept_recipe.load(asked.recipe, asked.sources)
    folder = loaded.folder
    told: dict[str, dict[str, Any]] = {}
    with record.held(folder) as lock:
        kept = Kept(loaded)
        on_record, out_to = record.Record.read(folder, loaded.recipe.name), sys.stderr if asked.as_json else None
        environment = command.with_recipe(loaded.recipe, folder / kept_recipe.FOLDER)
        chain = Chain(asked.steps, loaded, on_record, asked.sources, lock, environment, out_to)
        for number, step in enumerate(asked.steps, start=1):
            say(f"\n== {number} of {len(asked.steps)}: {step.name}")
            started = time.monotonic()
            outcome = chain.carry_out(step, anew=asked.makes_anew(step))
            told[step.name] = {"outcome": outcome, "seconds": round(time.monotonic() - started, 1)}
            kept.settle(step, chain.output(step).manifest())
        if asked.steps[-1] is CHAIN[-1]:
            trained = {step.name: chain.output(step) for step in CHAIN if step.name in ("sft", "dpo")}
            answers.keep(folder, {name: output for name, output in trained.items() if output.is_whole}, lock)
        report = page.write(folder, loaded.recipe.name)
    lines = [f"{name:<16} {entry['outcome']:<8} {entry['seconds']:8.1f} s" for name, entry in told.items()]
    return {"run": str(folder), "steps": told, "report": str(report)}, "\n".join(["", *lines, str(report)])


class Kept:
    """The recipe that a run keeps: a step's values replace older ones once the step is whole with them."""

    def __init__(self, loaded: Loaded) -> None:
        self.recipe, self.values = loaded.recipe, kept_recipe.sections(loaded.resolved)
        self.path = kept_recipe.file_of(loaded.folder, loaded.recipe.name)
        older = kept_recipe.read(self.path)
        self.written = {name: older.get(name, section) for name, section in self.values.items()}
        self._write()

    def settle(self, step: Step, made: AnyManifest | None) -> None:
        """Keep the values that a whole step was made with."""
        for name in (step.section, *(("student",) if step.section == "sft" else ())):
            self.written[name] = kept_recipe.at_commit(name, self.values[name], made)
        self._write()

    def _write(self) -> None:
        kept_recipe.write(self.path, self.recipe, self.written)
