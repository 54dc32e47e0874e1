"""Where everything comes from: inputs, files and weights by digest, commands, and how to check them."""

import shlex
from collections.abc import Iterator
from typing import Any

from zephyr_core.manifest import NAME, file_digest
from zephyr_page.markup import Html, count, digest, element, facts, folded, join, note, table
from zephyr_run.report.found import WHOLE, Run, Step
from zephyr_run.report.head import NAMES
from zephyr_run.steps import DATA

WEIGHTS = (".safetensors", ".bin")


def about(run: Run) -> Html:
    """Return how to check the run, then each step's provenance."""
    checks = [element("h3", "How to check"), element("pre", _checks(run))]
    return join([*_commands(run), *checks, *_student(run), *_steps(run)])


def _commands(run: Run) -> Iterator[Html]:
    commands = [record["command"] for record in run.records.values() if record.get("command")]
    if commands:
        lines = [shlex.join(command) if isinstance(command, list) else str(command) for command in commands]
        yield element("h3", "What was run")
        yield element("pre", "\n".join(lines))


def _checks(run: Run) -> str:
    place = shlex.quote(str(run.folder))
    lines = [f"zephyr data verify {place}/{name}" for name in DATA if run.steps[name].state == WHOLE]
    return "\n".join([*lines, f"zephyr reproduce {place}"])


def _student(run: Run) -> Iterator[Html]:
    if not run.student:
        return
    yield element("h3", "Student")
    texts = run.student.get("texts", {})
    values = run.student.get("options", {}).get("values", {})
    yield facts(
        [
            ("Built from seed", values.get("seed")),
            ("Tokenizer learned from", f"{count(texts.get('rows'))} texts"),
            ("Texts", digest(texts.get("digest"))),
        ]
    )
    yield _files(run.student.get("files", {}))


def _steps(run: Run) -> Iterator[Html]:
    for step in run.steps.values():
        yield element("h3", NAMES[step.name])
        if step.manifest:
            yield from _data(step) if step.name in DATA else _training(step)
            yield _files(step.manifest.get("files", {}))
        else:
            yield note(f"{step.state.capitalize()}.")


def _data(step: Step) -> Iterator[Html]:
    rows = [
        (f"{entry['source']}, {entry['file']}", count(entry["bytes"]), count(entry["lines"]), digest(entry["sha256"]))
        for entry in step.manifest["inputs"]
    ]
    yield table("Inputs", ("file", "bytes", "lines", "sha256"), rows, "lrrl")
    rules = step.manifest.get("rules", {})
    yield facts(
        [
            *((f"Rules {name}", digest(value)) for name, value in rules.items()),
            ("Dropped rows", digest(step.manifest.get("dropped_digest"))),
            ("Manifest", digest(file_digest(step.folder / NAME))),
        ]
    )


def _training(step: Step) -> Iterator[Html]:
    job, inputs = step.job, step.manifest.get("inputs", {})
    verified = step.manifest.get("verified", {})
    weights = [
        (name.removeprefix("model/"), digest(entry["sha256"]))
        for name, entry in step.manifest.get("files", {}).items()
        if name.startswith("model/") and name.endswith(WEIGHTS)
    ]
    yield facts(
        [
            *((f"Weights, {name}", value) for name, value in weights),
            *((f"Input: {name}", value) for name, value in inputs.items()),
            ("Model it began with", digest(job.get("model_digest"))),
            ("Token rows", digest(job.get("tokens_digest"))),
            ("Chat template", digest(job.get("template_digest"))),
            ("Reference log-probs", digest(job.get("reference_digest")) if job.get("reference_digest") else None),
            ("Manifest", digest(file_digest(step.folder / NAME))),
            ("Loaded again in a fresh process", _verified(verified)),
        ]
    )


def _verified(verified: dict[str, Any]) -> str | None:
    if "logps_difference" not in verified:
        return None
    return f"log-probs of {verified.get('rows')} rows differ by at most {verified['logps_difference']:.2g} nats"


def _files(files: dict[str, Any]) -> Html:
    rows = [(name, count(entry["bytes"]), digest(entry["sha256"])) for name, entry in files.items()]
    return folded(f"{len(rows)} files", table("Files", ("file", "bytes", "sha256"), rows, "lrl"))
