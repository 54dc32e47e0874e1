"""The training steps of a recipe, in order."""

from zephyr_core.steps import Step
from zephyr_train.options import DPOOptions, SFTOptions, StudentOptions

_PAIRS_AND_MODEL = {"binarize": "data", "sft": "model"}
STEPS = (
    Step("sft", ("train", "sft"), "model", "dSFT", "sft", SFTOptions, "--fresh", {"clean-ultrachat": "data"}, "sft"),
    Step("reference", ("train", "reference"), "artefact", "reference", "dpo", DPOOptions, None, _PAIRS_AND_MODEL),
    Step("dpo", ("train", "dpo"), "model", "dDPO", "dpo", DPOOptions, "--fresh", _PAIRS_AND_MODEL, "dpo"),
)
SECTIONS = {"student": StudentOptions, **{step.section: step.options for step in STEPS}}
