"""The model card: what was trained, on what and how, each figure with its source, each deviation from the paper."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

import yaml

from zephyr_core import typed
from zephyr_core.console import listed
from zephyr_core.metrics import measured
from zephyr_core.records import MetricsRow, PlanRecord
from zephyr_train.job import Job
from zephyr_train.pairs.layout import WORDS

INPUTS = ("model", "data", "revision", "set")  # options that a job does not keep on disk
TITLES = {"sft": "dSFT model", "dpo": "dDPO model"}
RESULTS = {  # of the last evaluation
    "loss": "test loss",
    "accuracy": "test accuracy of the implicit reward",
    "margin": "mean test margin (β × difference of log ratios)",
    "token_accuracy": "test token accuracy",
}


def text(job: Job, inputs: Mapping[str, str], plan: PlanRecord, results: MetricsRow, notes: Sequence[str]) -> str:
    """Return README.md of a trained model; `results` is a metrics row, quoted only if it is from an evaluation."""
    options = "\n".join(
        f"| {name} | {listed(value)} | {_cell(job.origins[name])} |" for name, value in job.values().items()
    )
    tested = dict(measured(results)) if results.get("split") == "test" else {}
    figures = "\n".join(f"| {label} | {tested[key]:.4f} |" for key, label in RESULTS.items() if key in tested)
    remarks = "\n".join(f"- {note}" for note in notes) or "- none"
    places = "\n".join(f"- {name}: {what}" for name, what in inputs.items())
    versions = ", ".join(f"{name} {version}" for name, version in job.versions.items())
    layout = f" · {WORDS[job.layout]}" if job.layout else ""
    metadata = {"library_name": "transformers", "pipeline_tag": "text-generation", "tags": ["zephyr", job.step]}
    return f"""---
{yaml.safe_dump(metadata, sort_keys=False).strip()}
---

# {TITLES[job.step]}

Made with

```
{command(job)}
```

The chat template is in `chat_template.jinja`, and training saw the same bytes that it renders.

## Inputs

{places}

## Plan, held to

{plan["batch"]} · {job.steps:,} steps, {job.warmup_steps:,} of them warm-up · {job.backend}, {job.world} process(es) ·
{job.numerics}{layout}

## Results

| figure | value |
|---|---|
{figures or "| no test split | |"}

Every logged step is in `metrics.jsonl` of the run, the curves are next to it.

## Deviations from the paper, and interpretations of it

{remarks}

## Every option and where its value comes from

| option | value | from |
|---|---|---|
{options}

Versions: {versions}.
"""


def command(job: Job) -> str:
    """Return the command that trained the model; the job must be the one that ran, since its inputs are not on disk."""
    values = asdict(job.options)
    inputs = {name: "flag" for name in INPUTS if values[name] != getattr(type(job.options)(), name)}
    origins = job.origins | {name: f"{origin} --{name}" for name, origin in inputs.items()}
    return typed.command(f"zephyr train {job.step}", type(job.options), job.recipe, values, origins)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
