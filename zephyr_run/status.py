"""Entry point of `zephyr status`: what each step has on disk, and whether it is as it should be."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zephyr_core import manifest
from zephyr_core.console import table
from zephyr_core.folder import damage, partial_of
from zephyr_core.reading import json_file, json_lines
from zephyr_core.steps import Step
from zephyr_run import kept_recipe, outputs
from zephyr_run.outputs import StepOutput
from zephyr_run.record import Record
from zephyr_run.report import page
from zephyr_run.run import RunRequest
from zephyr_run.steps import named, needed

MISSING, HALFWAY, WHOLE, STALE = "missing", "stopped half-way", "whole", "stale"
SHOWN = 12  # characters of a digest


def status(request: RunRequest, *, hashed: bool) -> tuple[dict[str, Any], str]:
    """Return the state of every step, JSON-ready and as a table; files compared by size, or by sha256 if `hashed`."""
    loaded = request.loaded()
    recipe, folder = loaded.recipe, loaded.folder
    options = kept_recipe.of_the_run(loaded)
    record = Record.read(folder, recipe.name)
    states: dict[str, dict[str, Any]] = {}
    for step in needed(options):
        output = outputs.find(step, folder, record.entry(step.name))
        state = _state(step, output, hashed=hashed)
        if state == WHOLE:
            state = _stale(step, options, record, states) or WHOLE
        states[step.name] = {"state": state, "amount": _amount(step, output), "digest": _digest(step, output)}
    report = folder / page.NAME
    result = {"run": str(folder), "steps": states, "report": str(report) if report.is_file() else None}
    return result, _table(result)


def _state(step: Step, output: StepOutput, *, hashed: bool) -> str:
    if output.is_whole and output.folder is not None:
        what = damage(output.folder, hashed=hashed)
        return f"damaged: {what}" if what else WHOLE
    return HALFWAY if any(place.is_dir() for place in _unfinished(output)) else MISSING


def _unfinished(output: StepOutput) -> list[Path]:
    """Return where a stopped step leaves its work: in its folder, or next to it."""
    folder = output.folder
    return [] if folder is None else [folder, partial_of(folder), folder.with_name(folder.name + ".state")]


def _stale(step: Step, options: Mapping[str, object], record: Record, states: Mapping[str, Any]) -> str | None:
    made_of = record.entry(step.name).get("made_of") or {}
    for name in step.upstream(options):
        now = outputs.find(named(name), record.folder, record.entry(name)).content()
        if now and made_of.get(name, now) != now:
            return f"{STALE}: built from another {name}"
        if name in states and states[name]["state"].startswith(STALE):
            return f"{STALE}: built from {name}, which is stale"
    return None


def _amount(step: Step, output: StepOutput) -> str:
    """Return how many rows or steps are done."""
    content = output.manifest()
    if content is not None and content["kind"] == "reference":
        return f"{sum(content['rows'].values()):,} pairs"
    if content is not None and content["kind"] == "student":
        return f"{content['vocabulary']:,} tokens"
    dataset = manifest.as_dataset(content)
    if dataset is not None:
        train = step.splits[0]
        return f"{dataset['splits'][train]['rows']:,} rows" if train in dataset["splits"] else ""
    if step.kind != "model" or output.folder is None:
        return ""
    planned, done = json_file(output.folder / "plan.json").get("steps"), _last_step(output.folder / "metrics.jsonl")
    if not isinstance(planned, int):
        return ""
    return f"{planned:,} steps" if content else f"{done:,} of {planned:,} steps"


def _digest(step: Step, output: StepOutput) -> str:
    content = output.manifest()
    parts = outputs.content_parts(content)
    named_first = {name: digest for name, digest in parts.items() if name in step.splits[:1]} or outputs.weights(
        content
    )
    return next(iter((named_first or parts).values()), "")


def _last_step(metrics: Path) -> int:
    rows, _ = json_lines(metrics)
    return max((row["step"] for row in rows if isinstance(row.get("step"), int)), default=0)


def _table(result: Mapping[str, Any]) -> str:
    rows = [(name, step["state"], step["amount"], step["digest"][:SHOWN]) for name, step in result["steps"].items()]
    return "\n".join([result["run"], *table(rows, align="llrl"), f"report: {result['report'] or 'not there yet'}"])
