"""The trainers that are compared, on random weights and ready token rows: TRL's own, and the project's by layout."""

import copy
from pathlib import Path
from typing import Any

import torch
import trl.trainer.utils
from datasets import Dataset
from tokenizers import Tokenizer, models
from transformers import MistralConfig, MistralForCausalLM, PreTrainedTokenizerFast
from trl import DPOConfig, DPOTrainer

from benchmarks.pair_lengths import pair_of, read_tokens
from zephyr_train.dpo import PairTrainer, RowCollator
from zephyr_train.pairs import scoring
from zephyr_train.pairs.layout import SEPARATE, SHARED
from zephyr_train.training import tolerance
from zephyr_train.training.margins import Margins

PAD = 0
TRL, CACHED, COMPACT = "trl", "trl-cached", "trl-compact"
VARIANTS = {
    TRL: "TRL, reference model in the loop",
    CACHED: "TRL, reference in the rows",
    COMPACT: "… and its head as on a GPU",
    SEPARATE: "zephyr, separate: no padding",
    SHARED: "zephyr, shared: and each prompt once",
}
Rows = list[dict[str, Any]]


class ReadyTrainer(DPOTrainer):
    """TRL's trainer on rows that are tokens already; where the reference is cached, they carry its log-probs."""

    def _prepare_dataset(self, dataset: Dataset, *_: Any) -> Dataset:
        return dataset

    def _precompute_ref_logps(self, dataset: Dataset, *_: Any) -> Dataset:
        return dataset


def random_model(seed: int = 0, **changes: Any) -> MistralForCausalLM:
    """Return a Mistral of random weights: 4 layers of 256, vocabulary 4,096, unless told otherwise."""
    torch.manual_seed(seed)
    config = MistralConfig(
        **{
            "vocab_size": 4096, "hidden_size": 256, "intermediate_size": 768, "num_hidden_layers": 4,
            "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 2048,
            "sliding_window": None, "pad_token_id": PAD, "bos_token_id": 1, "eos_token_id": 2,
            "attn_implementation": "sdpa", **changes,
        }
    )  # fmt: skip
    return MistralForCausalLM(config)


def with_reference(rows: Rows, model: Any, layout: str = SHARED) -> Rows:
    """Return the rows with the log-probs that a copy of the model gives them; pair by pair, so it takes no memory."""
    scorer = scoring.frozen_scorer(copy.deepcopy(model))
    known = [scoring.pair_logps(scorer, [row], PAD, layout) for row in rows]
    return [
        {**row, "ref_chosen_logps": chosen[0], "ref_rejected_logps": rejected[0]}
        for row, (chosen, rejected) in zip(rows, known, strict=True)
    ]


def trainer(variant: str, model: Any, rows: Rows, folder: Path, **options: Any) -> Any:
    """Return the trainer of a variant; all but `trl` need rows with the reference's log-probs."""
    arguments = DPOConfig(
        **{
            "output_dir": str(folder), "report_to": "none", "save_strategy": "no", "disable_tqdm": True,
            "num_train_epochs": 1, "logging_steps": 1, "seed": 42, "data_seed": 42,
            "precompute_ref_log_probs": variant != TRL, **options,
        }
    )  # fmt: skip
    if variant in (SEPARATE, SHARED):
        return _ours(variant, model, rows, arguments)
    if variant == COMPACT:  # TRL's head takes scored positions alone where Triton is, and all positions elsewhere
        trl.trainer.utils._use_triton = lambda _: True  # asked there for this choice and nothing else
    return ReadyTrainer(
        model=model,
        ref_model=copy.deepcopy(model) if variant == TRL else None,
        args=arguments,
        train_dataset=Dataset.from_list(rows),
        processing_class=_tokenizer(),
    )


def _ours(layout: str, model: Any, rows: Rows, arguments: DPOConfig) -> PairTrainer:
    made = PairTrainer(
        model=model,
        args=arguments,
        data_collator=RowCollator(pad_token_id=PAD),
        train_dataset=Dataset.from_list([{**row, "row": number} for number, row in enumerate(rows)]),
        processing_class=_tokenizer(),
    )
    names = [str(number) for number in range(len(rows))]
    made.noise = tolerance.noise("bf16" if arguments.bf16 else "fp32", model.config)
    never = 10**9  # losses are compared instead
    made.margins = Margins(made.beta, names, names, tokens=[], noise=made.noise, first_rows=never)
    made.costs, made.layout = [read_tokens([pair_of(row)], layout) for row in rows], layout
    scoring.prepare(made.model)
    return made


def _tokenizer() -> PreTrainedTokenizerFast:
    words = Tokenizer(models.WordLevel({"<pad>": PAD, "<s>": 1, "</s>": 2}, unk_token="<pad>"))
    return PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", bos_token="<s>", eos_token="</s>")
