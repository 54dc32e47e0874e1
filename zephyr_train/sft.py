"""dSFT: the configuration of TRL's SFTTrainer. Rows come tokenized, labelled and packed; TRL does not prepare them."""

from pathlib import Path
from typing import Any

from datasets import Dataset
from transformers import AutoTokenizer
from trl import SFTConfig, SFTTrainer

from zephyr_train.job import Job
from zephyr_train.models import LOAD
from zephyr_train.training.arguments import lora_config, shared, starting_model


def config(job: Job) -> SFTConfig:
    """Return TRL's configuration of a dSFT run."""
    packed = job.sft_options.packs
    return SFTConfig(
        **{
            **shared(job),
            "dataset_kwargs": {"skip_prepare_dataset": True},  # tokenized, labelled and packed by us, once
            "packing": packed,  # TRL then feeds flat rows with positions, so attention stays within documents
            "packing_strategy": "bfd_split",
            "eval_packing": packed,
            "completion_only_loss": False,  # the labels are in the rows
            "loss_type": "nll",
            **job.settings,
        }
    )


def rows(job: Job, split: str) -> Dataset | None:
    """Return the rows of a split: packed ones if packing is on; None if there is no such split."""
    packed = job.sft_options.packs
    file = Path(job.tokens) / (f"{split}-packed.arrow" if packed else f"{split}.arrow")
    return Dataset.from_file(str(file)) if file.is_file() else None


def trainer(job: Job, callbacks: list[Any]) -> SFTTrainer:
    """Return the trainer of a run."""
    tokenizer = AutoTokenizer.from_pretrained(job.tokens, **LOAD)
    arguments = config(job)  # before the model: it tells transformers about ZeRO-3
    return SFTTrainer(
        model=starting_model(job),
        args=arguments,
        train_dataset=rows(job, "train"),
        eval_dataset=rows(job, "test"),
        processing_class=tokenizer,
        callbacks=callbacks,
        peft_config=lora_config(job),
    )
