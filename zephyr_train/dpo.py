"""dDPO: the configuration of TRL's DPOTrainer, and overrides that make it use our rows, reference, dealing and layout.

TRL's own preparation, reference pass and cache are not used: under ZeRO-3 its cache confuses one model's log-probs
with another's (docs/decisions/0027). Its loss is not used, since it assumes that all processes and micro-batches are
the same size (docs/decisions/0030).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from datasets import Dataset
from torch import Tensor
from torch.utils.data import DataLoader
from transformers import AutoConfig, AutoTokenizer
from trl import DPOConfig, DPOTrainer
from trl.trainer import dpo_trainer
from trl.trainer.dpo_trainer import DataCollatorForPreference

from zephyr_train.job import Job
from zephyr_train.loss import LogpPair, dpo_loss
from zephyr_train.models import LOAD
from zephyr_train.pairs import scoring
from zephyr_train.pairs.dealing import Dealer
from zephyr_train.pairs.layout import PADDED, SHARED
from zephyr_train.reference import read_reference
from zephyr_train.training import tolerance
from zephyr_train.training.arguments import add_up_gradients, lora_config, shared, starting_model
from zephyr_train.training.evaluating import evaluating
from zephyr_train.training.finite_gradients import FiniteGradients
from zephyr_train.training.layout_check import require_equal_layouts
from zephyr_train.training.margins import Margins

REFERENCE = ("ref_chosen_logps", "ref_rejected_logps")  # columns of log-probs in nats
READ = ("prompt_ids", "chosen_ids", "rejected_ids", *REFERENCE, "row")  # columns of a batch
CHECKED_PAIRS = 2  # per process, before the first step
# Dummy pair for a process that has none left, since the others wait for its forward pass; it has no weight.
NOBODY: dict[str, Any] = {
    "prompt_ids": [0], "chosen_ids": [0], "rejected_ids": [0], **dict.fromkeys(REFERENCE, 0.0), "row": -1
}  # fmt: skip


def config(job: Job) -> DPOConfig:
    """Return TRL's configuration of a dDPO run."""
    return DPOConfig(
        **{
            **shared(job),
            "beta": job.dpo_options.beta,  # §4.4
            "loss_type": ["sigmoid"],  # Eq. (1)
            "precompute_ref_log_probs": True,  # no reference model in memory; ours are in the rows
            "disable_dropout": True,
            "remove_unused_columns": False,  # a batch's columns are chosen here
            **job.settings,
        }
    )


def rows(job: Job, split: str) -> Dataset | None:
    """Return the token rows of a split with reference log-probs and row numbers; None if there is no such split."""
    file = Path(job.tokens) / f"{split}.arrow"
    if not file.is_file():
        return None
    assert job.reference is not None
    dataset = Dataset.from_file(str(file))
    logps = read_reference(Path(job.reference), job.reference_digest, split, dataset["key"][:])
    for name, values in zip(REFERENCE, logps, strict=True):
        dataset = dataset.add_column(name, values)
    return dataset.add_column("row", list(range(len(dataset)))).select_columns(READ)


def costs(job: Job) -> list[int]:
    """Return the number of tokens in each train row: the cost of reading it."""
    dataset = Dataset.from_file(str(Path(job.tokens) / "train.arrow"))
    prompts = 1 if job.layout == SHARED else 2
    lengths = (dataset[name][:] for name in ("prompt_tokens", "chosen_tokens", "rejected_tokens"))
    return [prompts * (prompt - 1) + chosen + rejected for prompt, chosen, rejected in zip(*lengths, strict=True)]


def margins_of(job: Job) -> Margins:
    """Return an empty record of the run's margins."""
    dataset = Dataset.from_file(str(Path(job.tokens) / "train.arrow"))
    first = min(job.options.global_batch_size, len(dataset))
    replies = (dataset["chosen_tokens"][:], dataset["rejected_tokens"][:])
    return Margins(
        job.dpo_options.beta,
        dataset["key"][:],
        dataset["prompt_id"][:],
        tokens=[chosen + rejected for chosen, rejected in zip(*replies, strict=True)],
        noise=tolerance.noise(job.numerics, AutoConfig.from_pretrained(job.model, **LOAD)),
        first_rows=first,
        reference=str(job.reference),
    )


class RowCollator(DataCollatorForPreference):  # type: ignore[misc]
    """TRL's collator, with the row number of each pair."""

    def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Tensor]:
        """Return `row`, shape (pairs,), and the padded batch."""
        examples = examples or [NOBODY]
        numbers = torch.tensor([example["row"] for example in examples])  # first: a batch's size is taken from it
        return {"row": numbers, **super().torch_call(examples)}


class Figures(NamedTuple):
    """The figures recorded for a pair; for several pairs, each is a column of shape (pairs,)."""

    row: Any
    chosen: Any  # log-probs of the replies in nats
    rejected: Any
    chosen_ratio: Any  # log-prob minus the reference's
    rejected_ratio: Any
    hits: Any  # chosen tokens that the model ranks first
    predicted: Any  # chosen tokens
    read: Any  # tokens of both rows, without padding


@contextmanager
def _no_model_hash() -> Iterator[None]:
    """Keep TRL from reading every weight on every rank, to name a cache that is not used."""
    original = dpo_trainer.hash_module
    dpo_trainer.hash_module = lambda _: ""
    try:
        yield
    finally:
        dpo_trainer.hash_module = original


class PairTrainer(FiniteGradients, DPOTrainer):  # type: ignore[misc]
    """TRL's trainer on ready-made token rows; all pairs of an optimiser step weigh the same, whichever rank reads them.

    Set after construction: margins, costs (tokens of each train row), layout, noise (of a token's log-prob, in nats).
    """

    margins: Margins
    costs: Sequence[int]
    layout: str = PADDED
    noise: float = 0.0
    is_checked = False

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        self._tokens = {"train": [0.0, 0.0], "eval": [0.0, 0.0]}  # chosen tokens since the last log: ranked first, all
        with _no_model_hash():
            super().__init__(*arguments, **keywords)

    def _prepare_dataset(self, dataset: Dataset, *_: object) -> Dataset:
        return dataset  # tokenized by us, once

    def _precompute_ref_logps(self, dataset: Dataset, *_: object) -> Dataset:
        return dataset  # computed by us, keyed by the weights' files

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Return this rank's micro-batches."""
        accumulation, ranks = self.args.gradient_accumulation_steps, self.accelerator.num_processes
        return DataLoader(
            self.train_dataset,
            batch_sampler=Dealer(
                self.costs,
                step_pairs=self.args.per_device_train_batch_size * ranks * accumulation,
                ranks=ranks,
                rank=self.accelerator.process_index,
                micro_batches=accumulation,
                seed=self.args.seed,
                steps_done=lambda: self.state.global_step,
                by_length=self.layout != PADDED,
            ),
            collate_fn=self.data_collator,
            num_workers=self.args.dataloader_num_workers,
            persistent_workers=self.args.dataloader_persistent_workers,
            prefetch_factor=self.args.dataloader_prefetch_factor,
            multiprocessing_context=self.args.dataloader_multiprocessing_context,
            pin_memory=self.args.dataloader_pin_memory,
        )

    def get_batch_samples(
        self, epoch_iterator: Iterator[dict[str, Tensor]], num_batches: int, device: torch.device
    ) -> tuple[list[dict[str, Tensor]], Tensor]:
        """Return the micro-batches of an optimiser step, and its number of pairs across all ranks."""
        batches, _ = super().get_batch_samples(epoch_iterator, num_batches, device)
        if not self.is_checked and self.layout != PADDED:
            few = scoring.first_pairs(self._prepare_inputs(batches[0]), CHECKED_PAIRS)
            with evaluating(self) as model:
                require_equal_layouts(model, few, self.layout, self.noise)
        self.is_checked = True
        pairs = torch.tensor(sum(int((batch["row"] >= 0).sum()) for batch in batches), device=device)
        return batches, self.accelerator.reduce(pairs, reduction="sum")

    def _prepare_inputs(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Move a batch to the device but keep the reference in fp32: in bf16, 303 nats would round to 304."""
        reference = {name: inputs[name] for name in REFERENCE}
        moved: dict[str, Any] = super()._prepare_inputs({k: v for k, v in inputs.items() if k not in reference})
        return moved | {name: value.to(self.args.device, torch.float32) for name, value in reference.items()}

    def compute_loss(
        self, model: Any, inputs: dict[str, Tensor], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Return this micro-batch's share of Eq. (1)'s mean over the pairs of the optimiser step, or its own mean.

        transformers divides it by the number of micro-batches in the step, and gradients are averaged over ranks; so
        a share is the sum over its pairs · ranks · micro-batches / pairs of the step.
        """
        scores = scoring.score(model, inputs, self.layout)
        policy = LogpPair(scores.chosen, scores.rejected)
        reference = LogpPair(*(inputs[name] for name in REFERENCE))
        counts = inputs["row"] >= 0
        losses = torch.where(counts, dpo_loss(policy, reference, beta=self.beta), 0.0)
        self._book(inputs, policy, reference, scores.hits)
        if num_items_in_batch is None:
            return losses.sum() / counts.sum()
        parts = self.accelerator.num_processes * self.current_gradient_accumulation_steps
        return losses.sum() * parts / num_items_in_batch

    def _book(self, inputs: dict[str, Tensor], policy: LogpPair, reference: LogpPair, hits: Tensor) -> None:
        """Record each pair's figures, gathered from all ranks, which may have different numbers of pairs."""
        figures = Figures(
            row=inputs["row"],
            chosen=policy.chosen,
            rejected=policy.rejected,
            chosen_ratio=policy.chosen - reference.chosen,
            rejected_ratio=policy.rejected - reference.rejected,
            hits=hits,
            predicted=inputs["completion_mask"][:, 1:].sum(dim=1).chunk(2)[0],
            read=torch.stack(inputs["attention_mask"].sum(dim=1).chunk(2)).sum(dim=0),
        )
        table = torch.stack([column.detach().double() for column in figures], dim=1)
        gathered = self.accelerator.gather(self.accelerator.pad_across_processes(table, dim=0, pad_index=-1))
        self._note([Figures(*row) for row in gathered.tolist() if row[0] >= 0])

    def _note(self, pairs: list[Figures]) -> None:
        """Collect what is logged, in lists under TRL's names (TRL logs their means); count each test row once."""
        training = self.model.training
        metrics = self._metrics["train" if training else "eval"]
        new = self.margins.add(
            "train" if training else "test",
            self.state.global_step,
            [int(pair.row) for pair in pairs],
            [pair.chosen_ratio for pair in pairs],
            [pair.rejected_ratio for pair in pairs],
        )
        if training:
            self._total_train_tokens += int(sum(pair.read for pair in pairs))
        else:
            pairs = [pair for pair in pairs if pair.row in new]
        metrics["num_tokens"] = [self._total_train_tokens]
        tokens = self._tokens["train" if training else "eval"]
        tokens[0] += sum(pair.hits for pair in pairs)
        tokens[1] += sum(pair.predicted for pair in pairs)
        metrics["mean_token_accuracy"] = [tokens[0] / max(tokens[1], 1)]
        for pair in pairs:
            metrics["logps/chosen"].append(pair.chosen)
            metrics["logps/rejected"].append(pair.rejected)
            metrics["rewards/chosen"].append(self.beta * pair.chosen_ratio)
            metrics["rewards/rejected"].append(self.beta * pair.rejected_ratio)
            metrics["rewards/margins"].append(self.beta * (pair.chosen_ratio - pair.rejected_ratio))
            metrics["rewards/accuracies"].append(float(pair.chosen_ratio > pair.rejected_ratio))

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log means over the pairs and tokens since the last log; each test row counts once."""
        mode = "train" if self.model.training else "eval"
        loss = None if self.model.training else self.margins.end_test()
        if loss is not None:
            logs["eval_loss"] = loss
        self._tokens[mode] = [0.0, 0.0]
        super().log(logs, start_time)


def trainer(job: Job, callbacks: list[Any], margins: Margins) -> PairTrainer:
    """Return the trainer of a run."""
    tokenizer = AutoTokenizer.from_pretrained(job.tokens, **LOAD)
    arguments = config(job)  # before the model: it tells transformers about ZeRO-3
    add_up_gradients(arguments, job)
    pair_trainer = PairTrainer(
        model=starting_model(job),
        args=arguments,
        data_collator=RowCollator(pad_token_id=tokenizer.pad_token_id, pad_to_multiple_of=arguments.pad_to_multiple_of),
        train_dataset=rows(job, "train"),
        eval_dataset=rows(job, "test"),
        processing_class=tokenizer,
        callbacks=callbacks,
        peft_config=lora_config(job),
    )
    pair_trainer.margins, pair_trainer.costs = margins, costs(job)
    pair_trainer.layout, pair_trainer.noise = job.layout, margins.noise
    scoring.prepare(pair_trainer.model)
    return pair_trainer
