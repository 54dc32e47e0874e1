"""Where everything comes from: inputs, files and weights by digest, commands, and how to check them."""

import shlex
from collections.abc import Iterator
from pathlib import Path

from zephyr_core.manifest import NAME, file_digest
from zephyr_core.records import AnyManifest, DatasetManifest, FileEntry, ModelManifest, Verified
from zephyr_page.markup import Html, count, digest, element, facts, folded, join, note, table
from zephyr_run.report.on_disk import WHOLE, Run, StepFiles

WEIGHTS = (".safetensors", ".bin")


def about(run: Run) -> Html:
    """Return how to check the run, then each step's provenance."""
    checks = [element("h3", "How to check"), element("pre", _checks(run))]
    return join([*_commands(run), *checks, *_steps(run)])


def _commands(run: Run) -> Iterator[Html]:
    commands = [command for record in run.records.values() if (command := record.get("command"))]
    if commands:
        lines = [shlex.join(command) if isinstance(command, list) else str(command) for command in commands]
        yield element("h3", "What was run")
        yield element("pre", "\n".join(lines))


def _checks(run: Run) -> str:
    place = shlex.quote(str(run.folder))
    lines = [f"zephyr data verify {place}/{step.name}" for step in run.of_kind("dataset") if step.state == WHOLE]
    return "\n".join([*lines, f"zephyr reproduce {place}"])


def _steps(run: Run) -> Iterator[Html]:
    for step in run.steps.values():
        yield element("h3", step.step.title)
        if step.manifest is None:
            yield note(f"{step.state.capitalize()}.")
            continue
        if step.dataset:
            yield from _data(step.folder, step.dataset)
        elif step.model:
            yield from _training(step, step.model)
        else:
            yield from _artefact(step.folder, step.manifest)
        yield _files(step.manifest["files"])


def _artefact(folder: Path, content: AnyManifest) -> Iterator[Html]:
    if content["kind"] == "student":
        texts, values = content["texts"], content["options"]["values"]
        yield facts(
            [
                ("Built from seed", values.get("seed")),
                ("Tokenizer learned from", f"{count(texts['rows'])} texts"),
                ("Texts", digest(texts["digest"])),
                ("Manifest", digest(file_digest(folder / NAME))),
            ]
        )
    if content["kind"] == "reference":
        yield facts(
            [
                ("Pairs", count(sum(content["rows"].values()))),
                ("Weights", digest(content["model"])),
                ("Token rows", digest(content["tokens"])),
                ("Numerics", content["numerics"]),
            ]
        )


def _data(folder: Path, content: DatasetManifest) -> Iterator[Html]:
    rows = [
        (f"{entry['source']}, {entry['file']}", count(entry["bytes"]), count(entry["lines"]), digest(entry["sha256"]))
        for entry in content["inputs"]
    ]
    yield table("Inputs", ("file", "bytes", "lines", "sha256"), rows, "lrrl")
    yield facts(
        [
            *((f"Rules {name}", digest(value)) for name, value in content["rules"].items()),
            ("Dropped rows", digest(content["dropped_digest"])),
            ("Manifest", digest(file_digest(folder / NAME))),
        ]
    )


def _training(step: StepFiles, content: ModelManifest) -> Iterator[Html]:
    job = step.job
    weights = [
        (name.removeprefix("model/"), digest(entry["sha256"]))
        for name, entry in content["files"].items()
        if name.startswith("model/") and name.endswith(WEIGHTS)
    ]
    yield facts(
        [
            *((f"Weights, {name}", value) for name, value in weights),
            *((f"Input: {name}", value) for name, value in content["inputs"].items()),
            ("Model it began with", digest(job.get("model_digest"))),
            ("Token rows", digest(job.get("tokens_digest"))),
            ("Chat template", digest(job.get("template_digest"))),
            ("Reference log-probs", digest(job.get("reference_digest")) if job.get("reference_digest") else None),
            ("Manifest", digest(file_digest(step.folder / NAME))),
            ("Loaded again in a fresh process", _verified(content["verified"])),
        ]
    )


def _verified(verified: Verified) -> str:
    return f"log-probs of {verified['rows']} rows differ by at most {verified['logps_difference']:.2g} nats"


def _files(files: dict[str, FileEntry]) -> Html:
    rows = [(name, count(entry["bytes"]), digest(entry["sha256"])) for name, entry in files.items()]
    return folded(f"{len(rows)} files", table("Files", ("file", "bytes", "sha256"), rows, "lrl"))
