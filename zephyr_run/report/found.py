"""What a run left on disk: manifests, plans, jobs, metrics. Nothing here knows of HTML."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zephyr_core import manifest, metrics, recipe
from zephyr_core.errors import DataError, RecipeError
from zephyr_core.reading import json_file, json_lines
from zephyr_run.steps import DATA

TRAINING = ("sft", "dpo")
WHOLE, BEGUN, ABSENT, DAMAGED = "whole", "begun, not finished", "not run", "damaged"


@dataclass(frozen=True)
class Step:
    """One step's folder as it stands; what is not there is empty."""

    name: str
    folder: Path
    state: str
    manifest: Mapping[str, Any] = field(default_factory=dict)
    plan: Mapping[str, Any] = field(default_factory=dict)
    job: Mapping[str, Any] = field(default_factory=dict)  # run.json of the step
    metrics: tuple[Mapping[str, Any], ...] = ()
    unreadable_lines: int = 0  # of metrics.jsonl
    record: Mapping[str, Any] = field(default_factory=dict)  # what `zephyr run` noted: command, seconds

    @property
    def counts(self) -> Mapping[str, Any]:
        """Return the counts of a data step."""
        return dict(self.manifest.get("counts", {}))

    @property
    def splits(self) -> Mapping[str, Any]:
        """Return rows and rows_digest of each split of a data step."""
        return dict(self.manifest.get("splits", {}))

    def rows_of(self, split: str) -> int:
        """Return the rows of a split, 0 when there is none."""
        return int(self.splits.get(split, {}).get("rows", 0))

    def tests(self) -> list[Mapping[str, Any]]:
        """Return the rows of the evaluations, in the order of steps."""
        return [row for row in self.metrics if row["split"] == "test"]


@dataclass(frozen=True)
class Run:
    """A run directory."""

    folder: Path
    name: str
    recipe: recipe.Recipe | None
    steps: Mapping[str, Step]
    student: Mapping[str, Any]
    records: Mapping[str, Any]  # what `zephyr run` noted of each step, in the order in which they ran

    def notes(self, kind: str) -> list[dict[str, Any]]:
        """Return the recipe's notes: "deviations" or "interpretations"."""
        return self.recipe.notes(kind) if self.recipe else []

    def about(self) -> str:
        """Return the recipe's own line, if it can be read."""
        return self.recipe.about() if self.recipe else ""

    def test_pairs(self) -> int:
        """Return how many pairs the accuracy of dDPO was measured on; 0 when it is not known."""
        rows = str(self.steps["dpo"].manifest.get("inputs", {}).get("rows", ""))
        return self.steps["binarize"].rows_of("test_prefs") if Path(rows).name == "binarize" else 0


def read(folder: Path, recipe_name: str) -> Run:
    """Return what a run directory holds; a step that is missing or damaged is told by its state."""
    noted = json_file(folder / "run.json").get("steps")
    records = noted if isinstance(noted, dict) else {}
    steps = {name: _step(folder / name, records.get(name) or {}) for name in (*DATA, *TRAINING)}
    state, student = _manifest(folder / "student")
    return Run(folder, recipe_name, _recipe(folder, recipe_name), steps, student if state == WHOLE else {}, records)


def _step(folder: Path, record: Mapping[str, Any]) -> Step:
    state, content = _manifest(folder)
    lines, unreadable = json_lines(folder / "metrics.jsonl")
    rows = tuple(metrics.ordered(lines))
    plan, job = json_file(folder / "plan.json"), json_file(folder / "run.json")
    unreadable += sum(not metrics.is_row(line) for line in lines)
    return Step(folder.name, folder, state, content, plan, job, rows, unreadable, record)


def _manifest(folder: Path) -> tuple[str, dict[str, Any]]:
    if not folder.is_dir():
        return ABSENT, {}
    if not manifest.is_whole(folder):
        return BEGUN, {}
    try:
        return WHOLE, manifest.read(folder)
    except DataError:
        return DAMAGED, {}


def _recipe(folder: Path, name: str) -> recipe.Recipe | None:
    """Return the recipe as the run kept it, else as it is shipped now; None when neither can be read."""
    for wanted in (str(folder / "recipe" / f"{name}.toml"), name):
        try:
            return recipe.load(wanted)
        except RecipeError:
            continue
    return None
