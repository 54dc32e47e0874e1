"""The data steps of a recipe, in order."""

from zephyr_core.steps import OVERWRITE, Step
from zephyr_data.options import BinarizeOptions, CleanOptions

STEPS = (
    Step(
        "clean-ultrachat",
        ("data", "clean-ultrachat"),
        "dataset",
        "clean-ultrachat",
        "clean-ultrachat",
        CleanOptions,
        replaces=OVERWRITE,
        folder="clean-ultrachat",
        splits=("train_sft", "test_sft"),
        rows=("raw dialogues", "cleaned"),
        source_flag="--dialogues",
    ),
    Step(
        "binarize",
        ("data", "binarize"),
        "dataset",
        "binarize",
        "binarize",
        BinarizeOptions,
        replaces=OVERWRITE,
        folder="binarize",
        splits=("train_prefs", "test_prefs"),
        rows=("rated rows", "with a pair"),
        source_flag="--ratings",
    ),
)
SECTIONS = {step.section: step.options for step in STEPS}
