"""The steps that a dataset on disk can be of, by the names in its manifest."""

from typing import Any

from zephyr_core.records import DatasetContent
from zephyr_data.cleaning.ultrachat import CLEANING
from zephyr_data.engine.step import Reports, Step
from zephyr_data.pairing.binarize import BINARIZING

STEPS: dict[str, Step[Any]] = {step.name: step for step in (CLEANING, BINARIZING)}


def reports_of(content: DatasetContent) -> Reports[Any]:
    """Return what the dataset's step shows of it; of a step that is not known here, what every dataset has."""
    step = STEPS.get(content["step"])
    return Reports() if step is None else step.reports
