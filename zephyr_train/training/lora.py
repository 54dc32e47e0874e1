"""LoRA by peft, as recipe options; the trained adapter is merged, so the next step begins with whole weights."""

from pathlib import Path
from typing import Any

from zephyr_train.job import Job


def lora_config(job: Job) -> Any:
    """Return peft's configuration, or None when the whole model is trained."""
    options = job.options
    if not options.lora:
        return None
    from peft import LoraConfig

    return LoraConfig(
        r=options.lora_rank,
        lora_alpha=options.lora_alpha,
        lora_dropout=options.lora_dropout,
        target_modules=list(options.lora_targets),
        task_type="CAUSAL_LM",
    )


def merge(base: Path, adapter: Path, out: Path, dtype: str) -> None:
    """Write the base model with the adapter's weights added into `out`."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(base, dtype=getattr(torch, dtype))
    merged = PeftModel.from_pretrained(model, adapter).merge_and_unload()
    merged.save_pretrained(out)
