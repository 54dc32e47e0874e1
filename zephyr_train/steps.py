"""The training steps of a recipe, in order."""

from zephyr_core.steps import FRESH, Options, Step
from zephyr_train.options import NEW, DPOOptions, SFTOptions, StudentOptions


def _is_new(options: Options) -> bool:
    return bool(options["student"].source == NEW)


STEPS = (
    Step(
        "student",
        ("train", "student"),
        "artefact",
        "student",
        "student",
        StudentOptions,
        replaces=FRESH,
        reads={"clean-ultrachat": None},
        folder="student",
        is_needed=_is_new,
    ),
    Step(
        "sft",
        ("train", "sft"),
        "model",
        "dSFT",
        "sft",
        SFTOptions,
        replaces=FRESH,
        reads={"clean-ultrachat": "data", "student": "model"},
        also=("student",),
        folder="sft",
    ),
    Step(
        "reference",
        ("train", "reference"),
        "artefact",
        "reference",
        "dpo",
        DPOOptions,
        reads={"binarize": "data", "sft": "model"},
        named_by=("dpo", "reference"),
        shared=("reference-*",),
        plan=(
            "log-probs of the chosen and the rejected answer of each pair of dpo, below, under the frozen dSFT model",
            "forward passes, no gradients: {micro_batch_size} pairs per GPU × {gpus} GPUs,"
            " {max_length:,} tokens a row at most",
            "kept under the digests of weights and token rows: any run that needs the same ones finds them",
        ),
    ),
    Step(
        "dpo",
        ("train", "dpo"),
        "model",
        "dDPO",
        "dpo",
        DPOOptions,
        replaces=FRESH,
        reads={"binarize": "data", "sft": "model"},
        folder="dpo",
        shared=("reference-*",),
    ),
)
SECTIONS = {step.section: step.options for step in STEPS}
