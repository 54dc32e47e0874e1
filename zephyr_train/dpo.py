"""dDPO: what TRL's DPOTrainer is told, and the few places where it is held to our token rows and reference.

TRL's own preparation, reference pass and cache are not used: under ZeRO-3 its cache takes one model's log-probs for
another's (docs/decisions/0027).
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import AutoTokenizer
from trl import DPOConfig, DPOTrainer
from trl.trainer.dpo_trainer import DataCollatorForPreference

from zephyr_train.job import Job
from zephyr_train.reference import read_reference
from zephyr_train.training.arguments import shared
from zephyr_train.training.lora import lora_config
from zephyr_train.training.margins import Margins


def config(job: Job) -> DPOConfig:
    """Return TRL's configuration of a dDPO run."""
    return DPOConfig(
        **{
            **shared(job),
            "beta": job.options["beta"],  # §4.4
            "loss_type": ["sigmoid"],  # Eq. (1)
            "precompute_ref_log_probs": True,  # no reference model in memory; ours are in the rows
            "disable_dropout": True,
            **job.settings,
        }
    )


def rows(job: Job, split: str) -> Dataset | None:
    """Return the token rows of a split with their reference log-probs and row numbers; None without such a split."""
    file = Path(job.tokens) / f"{split}.arrow"
    if not file.is_file():
        return None
    assert job.reference is not None
    dataset = Dataset.from_file(str(file))
    chosen, rejected = read_reference(Path(job.reference), job.reference_digest, split, dataset["key"])
    dataset = dataset.add_column("ref_chosen_logps", chosen)
    dataset = dataset.add_column("ref_rejected_logps", rejected)
    return dataset.add_column("row", list(range(len(dataset))))


def margins_of(job: Job) -> Margins:
    """Return the empty book of the run's margins."""
    dataset = Dataset.from_file(str(Path(job.tokens) / "train.arrow"))
    first = min(job.options["global_batch_size"], len(dataset))
    return Margins(job.options["beta"], job.numerics, dataset["key"], dataset["prompt_id"], first)


REFERENCE = ("ref_chosen_logps", "ref_rejected_logps")  # columns of log-probs in nats


class RowCollator(DataCollatorForPreference):  # type: ignore[misc]
    """TRL's collator, with the row number of each pair."""

    def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        """Return the padded batch and `row`, shape (pairs,)."""
        batch: dict[str, Any] = super().torch_call(examples)
        batch["row"] = torch.tensor([example["row"] for example in examples])
        return batch


class PairTrainer(DPOTrainer):  # type: ignore[misc]
    """TRL's trainer on ready token rows; keeps each pair's margin, and checks the first step."""

    margins: Margins

    def _prepare_dataset(self, dataset: Dataset, *_: object) -> Dataset:
        return dataset  # tokenized by us, once

    def _precompute_ref_logps(self, dataset: Dataset, *_: object) -> Dataset:
        return dataset  # computed by us, keyed by the weights' files

    def _set_signature_columns_if_needed(self) -> None:
        super()._set_signature_columns_if_needed()
        columns: list[str] = self._signature_columns  # type: ignore[has-type]
        self._signature_columns = columns if "row" in columns else [*columns, "row"]

    def _prepare_inputs(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Move a batch to the device; the reference stays fp32: rounded to bf16 with it, 300 nats become 302."""
        known = {name: inputs[name] for name in REFERENCE}
        moved: dict[str, Any] = super()._prepare_inputs({k: v for k, v in inputs.items() if k not in known})
        return moved | {name: value.to(self.args.device, torch.float32) for name, value in known.items()}

    def _compute_loss(self, model: Callable[..., Any], inputs: dict[str, Any], return_outputs: bool) -> Any:
        """Return TRL's loss; on the way the pairs' log-probs are read off the model's output."""
        numbers = inputs.pop("row")
        seen: list[torch.Tensor] = []

        def watched(**arguments: Any) -> Any:
            outputs = model(**arguments)
            seen.append(outputs.log_probs.detach().sum(dim=1))
            return outputs

        loss = super()._compute_loss(watched, inputs, return_outputs)
        chosen, rejected = seen[0].chunk(2)
        rewards = torch.stack([chosen - inputs["ref_chosen_logps"], rejected - inputs["ref_rejected_logps"]])
        gathered = self.accelerator.gather((numbers, rewards[0].float(), rewards[1].float()))
        split = "train" if self.model.training else "test"
        self.margins.add(split, self.state.global_step, *(part.tolist() for part in gathered))
        return loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log; the test figures are means over rows, each counted once, whatever the batches were."""
        if not self.model.training:
            for name, value in self.margins.test_means().items():
                self._metrics["eval"][name] = [value]
        super().log(logs, start_time)


def trainer(job: Job, callbacks: list[Any], margins: Margins) -> PairTrainer:
    """Return the trainer of a run."""
    tokenizer = AutoTokenizer.from_pretrained(job.tokens)
    pad = tokenizer.pad_token_id
    arguments = config(job)
    made = PairTrainer(
        model=job.model,
        args=arguments,
        data_collator=RowCollator(pad_token_id=pad, pad_to_multiple_of=arguments.pad_to_multiple_of),
        train_dataset=rows(job, "train"),
        eval_dataset=rows(job, "test"),
        processing_class=tokenizer,
        callbacks=callbacks,
        peft_config=lora_config(job),
    )
    made.margins = margins
    return made
