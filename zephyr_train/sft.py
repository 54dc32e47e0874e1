"""dSFT: the configuration of TRL's SFTTrainer. Rows come tokenized, labelled and packed; TRL does not prepare them."""

from pathlib import Path
from typing import Any

from datasets import Dataset
from torch import Tensor
from transformers import AutoTokenizer
from trl import SFTConfig, SFTTrainer

from zephyr_train.job import Job
from zephyr_train.models import LOAD
from zephyr_train.training import tolerance
from zephyr_train.training.arguments import add_up_gradients, lora_config, shared, starting_model
from zephyr_train.training.causal_check import require_causal
from zephyr_train.training.evaluating import evaluating
from zephyr_train.training.finite_gradients import FiniteGradients
from zephyr_train.training.packed_check import packed_row, require_alone


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


class DialogueTrainer(FiniteGradients, SFTTrainer):  # type: ignore[misc]
    """TRL's trainer, which first makes sure that no token, and no packed document, sees what it must not."""

    noise: float = 0.0  # of a token's log-prob, in nats
    is_checked = False

    def get_batch_samples(self, *arguments: Any, **keywords: Any) -> Any:
        """Return the micro-batches of an optimiser step; before the first step, check the model on a row."""
        if not self.is_checked:
            self.is_checked = True
            ids = self.train_dataset[0]["input_ids"]
            require_causal(ids, lambda tokens: self._logits({"input_ids": tokens}), self.noise)
            row = packed_row(self.train_dataset) if self.padding_free else None
            if row is not None:
                require_alone(row, self.data_collator, self._logits, self.noise)
        return super().get_batch_samples(*arguments, **keywords)

    def _logits(self, batch: dict[str, Any]) -> Tensor:
        with evaluating(self) as model:
            logits: Tensor = model(**self._prepare_inputs(batch), use_cache=False).logits
        return logits


def trainer(job: Job, callbacks: list[Any]) -> DialogueTrainer:
    """Return the trainer of a run."""
    tokenizer = AutoTokenizer.from_pretrained(job.tokens, **LOAD)
    arguments = config(job)  # before the model: it tells transformers about ZeRO-3
    add_up_gradients(arguments, job)
    dialogue_trainer = DialogueTrainer(
        model=starting_model(job),
        args=arguments,
        train_dataset=rows(job, "train"),
        eval_dataset=rows(job, "test"),
        processing_class=tokenizer,
        callbacks=callbacks,
        peft_config=lora_config(job),
    )
    dialogue_trainer.noise = tolerance.noise(job.numerics, dialogue_trainer.model.config)
    return dialogue_trainer
