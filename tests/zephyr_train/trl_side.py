"""What the tests hold against ours: TRL's own trainer on a tiny random Mistral model and rows written here."""

import random
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import MistralConfig, MistralForCausalLM, PreTrainedTokenizerFast
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DPOTrainer

from zephyr_train.dpo import PairTrainer, RowCollator
from zephyr_train.training.margins import Margins

torch.set_num_threads(1)
PAD, VOCABULARY = 0, 61
Rows = list[dict[str, Any]]


def tiny_model(seed: int = 0, spread: float = 0.3) -> MistralForCausalLM:
    """Return a model whose random weights are wide enough that its log-probs and gradients differ between rows."""
    torch.manual_seed(seed)
    config = MistralConfig(
        vocab_size=VOCABULARY, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=64, sliding_window=None, initializer_range=spread,
        pad_token_id=PAD, bos_token_id=1, eos_token_id=2, attn_implementation="sdpa",
    )  # fmt: skip
    return MistralForCausalLM(config)


def pair_rows(pairs: int, seed: int = 0) -> Rows:
    """Return pairs of token rows of 2..9 prompt and 1..9 completion tokens."""
    draws = random.Random(seed)

    def tokens(least: int) -> list[int]:
        return [draws.randrange(3, VOCABULARY) for _ in range(draws.randint(least, 9))]

    return [{"prompt_ids": tokens(2), "chosen_ids": tokens(1), "rejected_ids": tokens(1)} for _ in range(pairs)]


class ReadyTrainer(DPOTrainer):
    """TRL's trainer on rows that are tokens already and carry the reference's log-probs."""

    def _prepare_dataset(self, dataset: Dataset, *_: Any) -> Dataset:
        return dataset

    def _precompute_ref_logps(self, dataset: Dataset, *_: Any) -> Dataset:
        return dataset


class WatchedTrainer(PairTrainer):
    """The project's own trainer; keeps what it saw."""

    def __init__(self, *arguments: Any, **further: Any) -> None:
        self.batches: list[dict[str, Any]] = []
        self.losses: list[float] = []
        super().__init__(*arguments, **further)

    def compute_loss(self, model: Any, inputs: dict[str, Any], *arguments: Any, **further: Any) -> Any:
        loss = super().compute_loss(model, inputs, *arguments, **further)
        self.batches.append(inputs)
        self.losses.append(loss.item())
        return loss


def tokenizer() -> PreTrainedTokenizerFast:
    from tokenizers import Tokenizer, models

    words = {"<pad>": PAD, "<s>": 1, "</s>": 2, **{f"w{at}": at for at in range(3, VOCABULARY)}}
    whole = Tokenizer(models.WordLevel(words, unk_token="<pad>"))
    return PreTrainedTokenizerFast(tokenizer_object=whole, pad_token="<pad>", bos_token="<s>", eos_token="</s>")


def config(folder: Path, **options: Any) -> DPOConfig:
    return DPOConfig(
        output_dir=str(folder), use_cpu=True, bf16=False, activation_checkpointing=False, report_to="none",
        precompute_ref_log_probs=True, save_strategy="no", disable_tqdm=True, dataloader_pin_memory=False, **options,
    )  # fmt: skip


def trainer(model: Any, rows: Rows, folder: Path, **options: Any) -> ReadyTrainer:
    """Return TRL's trainer on the rows, fp32 on the CPU; rows without reference log-probs get 0."""
    known = [{"ref_chosen_logps": 0.0, "ref_rejected_logps": 0.0, **row} for row in rows]
    arguments = config(folder, **options)
    return ReadyTrainer(
        model=model, args=arguments, train_dataset=Dataset.from_list(known), processing_class=tokenizer()
    )


def project_trainer(model: Any, rows: Rows, folder: Path, **options: Any) -> WatchedTrainer:
    """Return the project's trainer on rows with reference log-probs, fp32 on the CPU."""
    made = WatchedTrainer(
        model=model,
        args=config(folder, **options),
        data_collator=RowCollator(pad_token_id=PAD),
        train_dataset=Dataset.from_list([{**row, "row": number} for number, row in enumerate(rows)]),
        processing_class=tokenizer(),
    )
    names = [str(number) for number in range(len(rows))]
    made.margins = Margins(made.beta, "fp32", names, names)
    return made
