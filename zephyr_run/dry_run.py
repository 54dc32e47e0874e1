"""Entry point of `zephyr run --dry-run`: every step's command and its own plan; no network, nothing written."""

import dataclasses
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from zephyr_core import process
from zephyr_core.console import listed, show, table
from zephyr_core.errors import ENVIRONMENT
from zephyr_core.steps import Step
from zephyr_run import invocation, outputs
from zephyr_run.errors import StepFailed
from zephyr_run.kept_recipe import Loaded
from zephyr_run.record import Record
from zephyr_run.run import RunRequest


def plan(request: RunRequest) -> tuple[dict[str, Any], str]:
    """Return the plan of all steps, JSON-ready and as text.

    Raises:
        StepFailed: a step's plan has faults, which were printed. The exit code is that of the first such step.
    """
    loaded = request.loaded()
    with tempfile.TemporaryDirectory(prefix="zephyr-") as place:
        environment = invocation.with_recipe(request.recipe, Path(place), request.out) | invocation.OFFLINE
        return _plans(request, loaded, environment)


def _plans(request: RunRequest, loaded: Loaded, environment: Mapping[str, str]) -> tuple[dict[str, Any], str]:
    recipe, options, folder = loaded.recipe, loaded.options, loaded.folder
    record, plans, parts = Record.read(folder, recipe.name), [], [f"{recipe.name}: {recipe.about()}"]
    failed: list[tuple[str, int]] = []
    steps = request.steps(loaded)
    for number, step in enumerate(steps, start=1):
        words = invocation.words(step, recipe.typed, request.sources.get(step.name, ()))
        whole = outputs.find(step, folder, record.entry(step.name)).is_whole
        content, text, code = _plan_of(step, words, options, environment, as_json=request.as_json)
        failed += [(step.name, code)] if code else []
        entry = {"step": step.name, "command": words, "whole": whole, "exit_code": code, "plan": content}
        plans.append(entry | ({"error": text} if code and content is None else {}))
        head = f"== {number} of {len(steps)}: {step.name}{', whole' if whole else ''}"
        parts += ["", head, f"$ {invocation.alone(words, step, recipe, request.out)}", text]
    result = {"recipe": recipe.name, "run": str(folder), "steps": plans}, "\n".join(parts)
    if failed:
        names = ", ".join(name for name, _ in failed)
        show(*result, request.as_json)
        raise StepFailed(f"the plan has faults: {names}", "each step's plan names them", failed[0][1])
    return result


def _plan_of(
    step: Step, words: Sequence[str], options: Mapping[str, Any], environment: Mapping[str, str], *, as_json: bool
) -> tuple[Any, str, int]:
    """Return a step's plan as its command prints it, as JSON and text, and the exit code."""
    values = dataclasses.asdict(options[step.section])
    if step.plan:
        lines = [line.format(**values) for line in step.plan]
        return lines, "\n".join(lines), 0
    words_of_plan = [*words, "--dry-run", *(["--json"] if as_json else [])]
    ended = process.start(invocation.argv(words_of_plan, of_run=True), catch=["out", "err"], environment=environment)
    if ended.code == ENVIRONMENT and step.kind == "dataset":  # its source is not on this machine
        return {"not looked at": _fault(ended.err), "options": values}, _unseen(words, ended.err, values), 0
    text = ended.out.rstrip("\n") if not ended.code else f"{ended.out}{ended.err}".rstrip("\n")
    return (json.loads(ended.out) if as_json and ended.out else None), text, ended.code


def _fault(stderr: str) -> str:
    """Return the error message of a invocation."""
    lines = [line.removeprefix("error: ") for line in stderr.splitlines() if line.startswith("error: ")]
    return lines[0] if lines else stderr.strip()


def _unseen(words: Sequence[str], stderr: str, values: Mapping[str, Any]) -> str:
    """Return what is known about a planned dataset whose source is not on this machine."""
    lines = [f"  {line}" for line in table([(name, _text(value)) for name, value in values.items()])]
    note = f"not looked at: {_fault(stderr)}; with a network, `{invocation.typed([*words, '--dry-run'])}` does"
    return "\n".join(["options:", *lines, note])


def _text(value: Any) -> str:
    return f"{value:,}" if type(value) is int else listed(value) or "none"
