"""Run one step after another: rebuild what is damaged or stale, leave everything else to the step's invocation.

A command does nothing if its output is whole and has the same inputs and options, continues if it was stopped, and
refuses (exit code 2) if the output was made differently. This module only decides whether that is our own doing: the
step before came out differently, or an output is damaged.
"""

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from zephyr_core import process
from zephyr_core.console import say
from zephyr_core.errors import USAGE
from zephyr_core.folder import damage
from zephyr_core.recipe import Recipe
from zephyr_core.records import StepEntry
from zephyr_core.steps import Step
from zephyr_run import invocation, outputs, repair
from zephyr_run.errors import DamagedInput, StepFailed
from zephyr_run.kept_recipe import Loaded
from zephyr_run.outputs import StepOutput
from zephyr_run.record import Record
from zephyr_run.steps import named

DONE, SKIPPED, REBUILT = "done", "skipped", "rebuilt"


@dataclass
class Chain:
    """The steps of one run directory."""

    steps: Sequence[Step]
    loaded: Loaded
    record: Record
    sources: Mapping[str, Sequence[str]]  # step → what it reads instead of the recipe's
    again: Callable[..., str]  # returns the command of this run with further words
    lock: int
    environment: Mapping[str, str]  # for commands
    out_to: IO[str] | None = None  # where commands write their results; None: stdout
    changed: set[str] = field(default_factory=set)  # steps that came out differently than before
    checked: set[str] = field(default_factory=set)  # steps already run, whose files need no second check

    @property
    def recipe(self) -> Recipe:
        """Return the recipe."""
        return self.loaded.recipe

    @property
    def options(self) -> Mapping[str, object]:
        """Return section → its options."""
        return self.loaded.options

    def output(self, step: Step) -> StepOutput:
        """Return a step's output as it is on disk."""
        return outputs.find(step, self.record.folder, self.record.entry(step.name))

    def carry_out(self, step: Step, *, rebuild: bool) -> str:
        """Run a step's command, a second time if its output is stale; return the outcome.

        Raises:
            StepFailed: the command failed.
            DamagedInput: it would read damaged files that this run does not rebuild.
        """
        self._check_inputs(step)
        before, started = self.output(step), time.monotonic()
        content, mark, entry = before.content(), before.mark(), self.record.entry(step.name)
        times = {place.folder: place.written() for place in (before, *self._artefacts(step))}
        flags = repair.prepare(step, before, self.record, rebuild=rebuild)
        code = self._run_or_replace(step, flags, is_wanted=rebuild or content is None)
        if code:
            if mark and self.output(step).mark() == mark:  # the previous output is still in place
                self.record.note(step.name, made_of=entry.get("made_of"), discards=entry.get("discards"))
            self._give_up(step, code)
        after = self.output(step)
        self._conclude(step, after, content)
        if after.written() == times.get(after.folder):
            return SKIPPED
        self.record.note(step.name, seconds=round(time.monotonic() - started, 3))
        return REBUILT if times.get(after.folder) else DONE

    def _run_or_replace(self, step: Step, flags: Sequence[str], *, is_wanted: bool) -> int:
        """Run a step's command, with its flag if the old output must go, and return the exit code.

        Unless that was asked for, the command runs without the flag first: an output that is damaged and was also made
        with other options is for the user to decide.
        """
        if flags and is_wanted:
            return self._run(step, flags)
        before = self.output(step).written()
        code = self._run(step, [])
        if code == USAGE:  # it refuses the output that is there
            stale = self._stale(step) if step.replaces else None
            if stale is None:
                return code
            say(f"{step.name} {stale}: rebuilding it with {step.replaces}")
            return self._run(step, [str(step.replaces)])
        if not flags or self.output(step).written() != before:
            return code
        say(f"{step.name} has the same inputs and options as before: rebuilding it with {' '.join(flags)}")
        return self._run(step, flags)

    def _check_inputs(self, step: Step) -> None:
        for name in step.upstream(self.options):
            output = self.output(named(name))
            what = damage(output.folder) if name not in self.checked and output.folder and output.is_whole else None
            if what:
                again = f"`{self.again('--from', name)}` rebuilds it"
                raise DamagedInput(f"{output.folder}, which {step.name} reads, is damaged: {what}", again)

    def _run(self, step: Step, flags: Sequence[str]) -> int:
        """Run the step's command and return its exit code; record the folder of an artefact."""
        names_it = step.folder is None  # the command's answer says where the output is
        words = invocation.words(
            step, self.recipe.typed, self.sources.get(step.name, ()), ["--json"] if names_it else []
        )
        self._begin(step, words, replaces=bool(flags))
        say(f"$ {invocation.alone([*words, *flags], step, self.recipe, self.loaded.out)}")
        ended = process.start(
            invocation.argv([*words, *flags], of_run=True),
            catch=["out"] if names_it else [],
            out_to=self.out_to,
            lock=self.lock,
            environment=self.environment,
        )
        if names_it and not ended.code:
            result = json.loads(ended.out)
            self.record.note(step.name, artefact=Path(result["folder"]).name)
            pairs = sum(result["rows"].values())
            print(f"{result['folder']}: {pairs:,} pairs", file=self.out_to or sys.stdout, flush=True)
        return ended.code

    def _begin(self, step: Step, words: Sequence[str], *, replaces: bool) -> None:
        """Record the command and, unless an older output may stay, what its output is built from."""
        mark = self.output(step).mark()
        changes: StepEntry = {"command": list(words), "state": "running", "exit_code": None}
        if mark is None or replaces:
            changes |= {"made_of": self._made_of(step), "discards": mark}
        self.record.note(step.name, **changes)

    def _made_of(self, step: Step) -> dict[str, str]:
        contents = {name: self.output(named(name)).content() for name in step.upstream(self.options)}
        return {name: digest for name, digest in contents.items() if digest}

    def _stale(self, step: Step) -> str | None:
        """Return why a refused output is stale by our own doing; None if it is the user's doing."""
        entry = self.record.entry(step.name)
        if entry.get("discards") and entry["discards"] == self.output(step).mark():
            return "was stopped before it was rebuilt"
        made_of = entry.get("made_of") or {}
        for name, digest in self._made_of(step).items():
            if name in self.changed or made_of.get(name, digest) != digest:
                return f"was built from another {name}"
        return None

    def _give_up(self, step: Step, code: int) -> None:
        self.record.note(step.name, state="failed", exit_code=code)
        rest = [later.name for later in self.steps[self.steps.index(step) + 1 :]]
        message = f"{step.name} ended with exit code {code}" + (f"; not run: {', '.join(rest)}" if rest else "")
        again = f"`{self.again('--from', step.name, '--fresh')}` rebuilds it"
        raise StepFailed(message, f"fix it and run the same command again; after a change of options {again}", code)

    def _conclude(self, step: Step, output: StepOutput, before: str | None) -> None:
        """Record a finished step, and whether it differs from what later steps were built from."""
        content = output.content()
        if (self.record.entry(step.name).get("content") or before or content) != content:
            self.changed.add(step.name)
        self.checked.add(step.name)
        self.record.note(
            step.name,
            state="whole",
            exit_code=None,
            discards=None,
            manifest=output.manifest_digest(),
            content=content,
            made_of=self._made_of(step),
        )

    def _artefacts(self, step: Step) -> list[StepOutput]:
        """Return the artefacts that a step's command may answer with."""
        folders = outputs.shared(step, self.record.folder) if step.folder is None else []
        return [StepOutput(step, folder) for folder in folders]
