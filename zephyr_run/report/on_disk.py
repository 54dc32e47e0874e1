"""What a run left on disk: manifests, plans, jobs, metrics. Nothing here knows about HTML."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zephyr_core import manifest, metrics, recipe
from zephyr_core.errors import RecipeError
from zephyr_core.kinds import JOB
from zephyr_core.reading import json_file, json_lines
from zephyr_core.records import (
    AnyManifest,
    Counts,
    DatasetManifest,
    JobRecord,
    MetricsRow,
    ModelManifest,
    PlanRecord,
    SplitEntry,
    StepEntry,
)
from zephyr_core.shape import fitting
from zephyr_core.steps import Kind, Step
from zephyr_run import outputs
from zephyr_run.record import entries
from zephyr_run.steps import CHAIN

WHOLE, BEGUN, ABSENT, DAMAGED = "whole", "begun, not finished", "not run", "damaged"


@dataclass(frozen=True)
class StepFiles:
    """What a step has in its folder; what is missing is empty."""

    step: Step
    folder: Path
    state: str
    manifest: AnyManifest | None = None  # of a finished step
    plan: PlanRecord = field(default_factory=PlanRecord)
    job: JobRecord = field(default_factory=JobRecord)
    metrics: tuple[MetricsRow, ...] = ()
    unreadable_lines: int = 0  # of metrics.jsonl
    record: StepEntry = field(default_factory=StepEntry)  # what `zephyr run` noted: command, seconds

    @property
    def name(self) -> str:
        """Return the name of the step."""
        return self.step.name

    @property
    def dataset(self) -> DatasetManifest | None:
        """Return the manifest of a finished data step."""
        return manifest.as_dataset(self.manifest)

    @property
    def model(self) -> ModelManifest | None:
        """Return the manifest of a finished training step."""
        return self.manifest if self.manifest and self.manifest["kind"] == "model" else None

    @property
    def counts(self) -> Counts | None:
        """Return the counts of a finished data step."""
        return self.dataset["counts"] if self.dataset else None

    @property
    def stages(self) -> list[str]:
        """Return the stages of a data step in the order that rows pass through them."""
        return self.dataset.get("stages", []) if self.dataset else []

    @property
    def splits(self) -> dict[str, SplitEntry]:
        """Return rows and rows_digest of each split of a data step."""
        return self.dataset["splits"] if self.dataset else {}

    def rows_of(self, split: str) -> int:
        """Return the number of rows in a split, 0 if there is none."""
        return self.splits[split]["rows"] if split in self.splits else 0

    @property
    def is_of_pairs(self) -> bool:
        """Return whether a training step's metrics are those of pairs."""
        return any("margin" in row for row in self.metrics)

    def tests(self) -> list[MetricsRow]:
        """Return the rows of the evaluations, in the order of steps."""
        return [row for row in self.metrics if row["split"] == "test"]


@dataclass(frozen=True)
class Run:
    """A run directory."""

    folder: Path
    name: str
    recipe: recipe.Recipe | None
    steps: Mapping[str, StepFiles]  # in order; artefacts only if they are there
    records: Mapping[str, StepEntry]  # what `zephyr run` noted for each step, in the order they ran

    def notes(self, kind: str) -> list[dict[str, Any]]:
        """Return the recipe's notes: "deviations" or "interpretations"."""
        return self.recipe.notes(kind) if self.recipe else []

    def about(self) -> str:
        """Return the recipe's one-line description, if it can be read."""
        return self.recipe.about() if self.recipe else ""

    def of_kind(self, kind: Kind) -> list[StepFiles]:
        """Return the steps of a kind, in order."""
        return [files for files in self.steps.values() if files.step.kind == kind]

    def source(self, files: StepFiles) -> StepFiles | None:
        """Return the data step that a training step reads."""
        return next((source for source in self.of_kind("dataset") if source.name in files.step.reads), None)

    def test_rows(self, files: StepFiles) -> int:
        """Return how many rows a training step was evaluated on; 0 if unknown."""
        planned = files.model["plan"].get("rows") if files.model else None
        if planned and planned.get("mixture"):
            return sum(part["test_rows"] for part in planned["mixture"])
        rows, source = files.model["inputs"].get("rows", "") if files.model else "", self.source(files)
        is_it = source is not None and Path(rows).name == source.name
        return source.rows_of(source.step.splits[1]) if source and is_it else 0


def read(folder: Path, recipe_name: str) -> Run:
    """Return what a run directory holds; a missing or damaged step says so in its state."""
    records = entries(folder)
    places = {step: outputs.find(step, folder, records.get(step.name, {})).folder for step in CHAIN}
    steps = {
        step.name: files_of(step, place, records.get(step.name, {}))
        for step, place in places.items()
        if place is not None and (step.kind != "artefact" or place.is_dir())
    }
    return Run(folder, recipe_name, _recipe(folder, recipe_name), steps, records)


def files_of(step: Step, folder: Path, record: StepEntry) -> StepFiles:
    """Return what a step left in its folder."""
    content = manifest.find(folder)
    lines, unreadable = json_lines(folder / "metrics.jsonl")
    return StepFiles(
        step,
        folder,
        WHOLE if content else _state(folder),
        content,
        fitting(json_file(folder / "plan.json"), PlanRecord),
        fitting(json_file(folder / JOB), JobRecord),
        tuple(metrics.ordered(lines)),
        unreadable + sum(not metrics.is_row(line) for line in lines),
        record,
    )


def _state(folder: Path) -> str:
    """Return the state of a folder without a readable manifest."""
    if manifest.is_whole(folder):
        return DAMAGED
    return BEGUN if folder.is_dir() else ABSENT


def _recipe(folder: Path, name: str) -> recipe.Recipe | None:
    """Return the recipe as the run kept it, else as it is shipped now; None when neither can be read."""
    for name_or_file in (str(folder / "recipe" / f"{name}.toml"), name):
        try:
            return recipe.load(name_or_file)
        except RecipeError:
            continue
    return None
