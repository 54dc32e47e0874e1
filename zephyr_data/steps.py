"""The data steps of a recipe, in order."""

from zephyr_core.steps import Step
from zephyr_data.options import BinarizeOptions, CleanOptions

STEPS = (
    Step(
        "clean-ultrachat",
        ("data", "clean-ultrachat"),
        "dataset",
        "clean-ultrachat",
        "clean-ultrachat",
        CleanOptions,
        again="--overwrite",
        folder="clean-ultrachat",
        counted="train_sft",
        source_flag="--dialogues",
    ),
    Step(
        "binarize",
        ("data", "binarize"),
        "dataset",
        "binarize",
        "binarize",
        BinarizeOptions,
        again="--overwrite",
        folder="binarize",
        counted="train_prefs",
        source_flag="--ratings",
    ),
)
SECTIONS = {step.section: step.options for step in STEPS}
