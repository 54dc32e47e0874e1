"""Jobs for tests that need no dataset."""

import dataclasses
from pathlib import Path
from typing import Any

from zephyr_train.job import NOT_KEPT, Job
from zephyr_train.options import OF_STEP


def job(out: Path, step: str = "dpo", **changes: Any) -> Job:
    """Return a job with the paper's options, on one CPU process; `options` overrides some of them."""
    options = OF_STEP["sft" if step == "sft" else "dpo"](**changes.pop("options", {}))
    values: dict[str, Any] = {
        "step": step,
        "recipe": "test",
        "options": options,
        "origins": {field.name: "default" for field in dataclasses.fields(options) if field.name not in NOT_KEPT},
        "settings": {},
        "out": str(out),
        "model": str(out / "start"),
        "model_digest": "m",
        "tokens": str(out / "tokens"),
        "tokens_digest": "t",
        "template_digest": "c",
        "reference": None,
        "reference_digest": None,
        "backend": "single",
        "world": 1,
        "cpu": True,
        "numerics": "fp32",
        "layout": "shared",
        "micro_batch_size": 2,
        "accumulation": 1,
        "steps": 10,
        "warmup_steps": 1,
        "versions": {},
    }
    return Job(**{**values, **changes})
