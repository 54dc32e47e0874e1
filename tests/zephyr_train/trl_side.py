"""What the tests hold against ours: TRL's own trainer on a tiny random Mistral model and rows written here."""

import random
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import MistralConfig, MistralForCausalLM, PreTrainedTokenizerFast
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DPOTrainer

from tests.zephyr_train.jobs import job
from zephyr_train.dpo import PairTrainer, RowCollator
from zephyr_train.loss import LogpPair
from zephyr_train.pairs import scoring
from zephyr_train.training import tolerance
from zephyr_train.training.arguments import add_up_gradients
from zephyr_train.training.margins import Margins

torch.set_num_threads(1)
PAD, VOCABULARY = 0, 61
Rows = list[dict[str, Any]]
COLUMNS = ("prompt_ids", "chosen_ids", "rejected_ids")


def tiny_model(seed: int = 0, spread: float = 0.3, **changes: Any) -> MistralForCausalLM:
    """Return a model whose random weights are wide enough that its log-probs and gradients differ between rows."""
    torch.manual_seed(seed)
    config = MistralConfig(
        **{
            "vocab_size": VOCABULARY, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2,
            "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64, "sliding_window": None,
            "initializer_range": spread, "pad_token_id": PAD, "bos_token_id": 1, "eos_token_id": 2,
            "attn_implementation": "sdpa", **changes,
        }
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
        output_dir=str(folder), use_cpu=True, report_to="none",
        precompute_ref_log_probs=True, save_strategy="no", disable_tqdm=True, dataloader_pin_memory=False,
        **{"activation_checkpointing": False, "bf16": False, **options},
    )  # fmt: skip


def trainer(model: Any, rows: Rows, folder: Path, peft: Any = None, **options: Any) -> ReadyTrainer:
    """Return TRL's trainer on the rows, fp32 on the CPU; rows without reference log-probs get 0."""
    pairs = [{"ref_chosen_logps": 0.0, "ref_rejected_logps": 0.0, **row} for row in rows]
    arguments = config(folder, **options)
    return ReadyTrainer(
        model=model,
        args=arguments,
        train_dataset=Dataset.from_list(pairs),
        processing_class=tokenizer(),
        peft_config=peft,
    )


def project_trainer(
    model: Any,
    rows: Rows,
    folder: Path,
    layout: str = "shared",
    peft: Any = None,
    kind: Any = None,
    **options: Any,
) -> Any:
    """Return the project's trainer on rows with reference log-probs on the CPU, in fp32 unless under ZeRO in bf16."""
    arguments = config(folder, **options)
    numerics = "bf16" if arguments.bf16 else "fp32"
    add_up_gradients(arguments, job(folder, numerics=numerics, accumulation=arguments.gradient_accumulation_steps))
    pair_trainer = (kind or WatchedTrainer)(
        model=model,
        args=arguments,
        data_collator=RowCollator(pad_token_id=PAD),
        train_dataset=Dataset.from_list([{**row, "row": number} for number, row in enumerate(rows)]),
        processing_class=tokenizer(),
        peft_config=peft,
    )
    names = [str(number) for number in range(len(rows))]
    never = 10**9  # so the first step is not checked
    pair_trainer.noise = tolerance.noise("fp32", model.config)
    pair_trainer.margins = Margins(
        pair_trainer.beta, names, names, tokens=[], noise=pair_trainer.noise, first_rows=never
    )
    pair_trainer.costs, pair_trainer.layout = [sum(map(len, map(row.get, COLUMNS))) for row in rows], layout
    scoring.prepare(pair_trainer.model)
    return pair_trainer


def plain_logps(model: Any, prompt_ids: list[int], completion_ids: list[int]) -> torch.Tensor:
    """Return the log-prob of a completion behind a prompt by the whole logits of that row alone, in nats."""
    ids = torch.tensor([prompt_ids + completion_ids])
    logps = torch.log_softmax(model(input_ids=ids, use_cache=False).logits[0, :-1].float(), dim=-1)
    return logps.gather(1, ids[0, 1:, None])[len(prompt_ids) - 1 :].sum()


def plain_pairs(model: Any, rows: Rows) -> LogpPair:
    """Return the log-probs of both completions of each row, row by row."""
    sides = ([plain_logps(model, row["prompt_ids"], row[side]) for row in rows] for side in COLUMNS[1:])
    return LogpPair(*map(torch.stack, sides))


def with_reference(rows: Rows, model: Any) -> Rows:
    """Return the rows with the log-probs that a model gives them."""
    with torch.no_grad():
        logps = plain_pairs(model, rows)
    return [
        {**row, "ref_chosen_logps": chosen, "ref_rejected_logps": rejected}
        for row, chosen, rejected in zip(rows, logps.chosen.tolist(), logps.rejected.tolist(), strict=True)
    ]
