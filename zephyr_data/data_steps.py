"""The steps that can have made a dataset on disk, by their name in its manifest."""

from typing import Any

from zephyr_core.records import DatasetContent
from zephyr_data.cleaning.ultrachat import CLEANING
from zephyr_data.engine.step import DataStep, Reports
from zephyr_data.pairing.binarize import BINARIZING

STEPS: dict[str, DataStep[Any]] = {step.name: step for step in (CLEANING, BINARIZING)}


def reports_of(content: DatasetContent) -> Reports[Any]:
    """Return the reports of the dataset's step, or those that every dataset has if the step is unknown here."""
    step = STEPS.get(content["step"])
    return Reports() if step is None else step.reports
