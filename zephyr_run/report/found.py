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
    Counts,
    DatasetManifest,
    JobRecord,
    MetricsRow,
    ModelManifest,
    PlanRecord,
    SplitEntry,
    StepEntry,
    StudentManifest,
)
from zephyr_core.shape import fitting
from zephyr_run.outputs import STUDENT
from zephyr_run.record import entries
from zephyr_run.steps import CHAIN, DATA

TRAINING = tuple(step.name for step in CHAIN if step.kind == "model")
WHOLE, BEGUN, ABSENT, DAMAGED = "whole", "begun, not finished", "not run", "damaged"


@dataclass(frozen=True)
class Step:
    """One step's folder as it is; what is missing is empty."""

    name: str
    folder: Path
    state: str
    dataset: DatasetManifest | None = None  # of a finished data step
    model: ModelManifest | None = None  # of a finished training step
    plan: PlanRecord = field(default_factory=PlanRecord)
    job: JobRecord = field(default_factory=JobRecord)
    metrics: tuple[MetricsRow, ...] = ()
    unreadable_lines: int = 0  # of metrics.jsonl
    record: StepEntry = field(default_factory=StepEntry)  # what `zephyr run` noted: command, seconds

    @property
    def manifest(self) -> DatasetManifest | ModelManifest | None:
        """Return the manifest, which a finished step has."""
        return self.dataset or self.model

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

    def tests(self) -> list[MetricsRow]:
        """Return the rows of the evaluations, in the order of steps."""
        return [row for row in self.metrics if row["split"] == "test"]


@dataclass(frozen=True)
class Run:
    """A run directory."""

    folder: Path
    name: str
    recipe: recipe.Recipe | None
    steps: Mapping[str, Step]
    student: StudentManifest | None
    records: Mapping[str, StepEntry]  # what `zephyr run` noted for each step, in the order they ran

    def notes(self, kind: str) -> list[dict[str, Any]]:
        """Return the recipe's notes: "deviations" or "interpretations"."""
        return self.recipe.notes(kind) if self.recipe else []

    def about(self) -> str:
        """Return the recipe's one-line description, if it can be read."""
        return self.recipe.about() if self.recipe else ""

    def test_pairs(self) -> int:
        """Return how many pairs dDPO's accuracy was measured on; 0 if unknown."""
        model = self.steps["dpo"].model
        rows = model["inputs"].get("rows", "") if model else ""
        return self.steps["binarize"].rows_of("test_prefs") if Path(rows).name == "binarize" else 0


def read(folder: Path, recipe_name: str) -> Run:
    """Return what a run directory holds; a missing or damaged step says so in its state."""
    records = entries(folder)
    steps = {name: read_step(folder / name, records.get(name, {})) for name in (*DATA, *TRAINING)}
    return Run(folder, recipe_name, _recipe(folder, recipe_name), steps, _student(folder / STUDENT), records)


def read_step(folder: Path, record: StepEntry) -> Step:
    """Return what a step left in its folder."""
    content = manifest.find(folder)
    lines, unreadable = json_lines(folder / "metrics.jsonl")
    return Step(
        folder.name,
        folder,
        WHOLE if content else _state(folder),
        manifest.as_dataset(content),
        content if content and content["kind"] == "model" else None,
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


def _student(folder: Path) -> StudentManifest | None:
    content = manifest.find(folder)
    return content if content and content["kind"] == "student" else None


def _recipe(folder: Path, name: str) -> recipe.Recipe | None:
    """Return the recipe as the run kept it, else as it is shipped now; None when neither can be read."""
    for wanted in (str(folder / "recipe" / f"{name}.toml"), name):
        try:
            return recipe.load(wanted)
        except RecipeError:
            continue
    return None
