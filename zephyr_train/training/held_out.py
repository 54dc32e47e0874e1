"""What a model does with held-out pairs: which answer it finds likelier, and whether it ends its turn. Heavy: torch."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

# Role markers of the Zephyr template; an answer that contains one plays both sides.
ROLES = ("<|user|>", "<|system|>", "<|assistant|>")
BATCH = 16  # pairs scored at once


@dataclass(frozen=True)
class HeldOut:
    """A model's figures, in row order; those about answers are in the order of the answered prompts."""

    chosen: list[float]  # log-prob of the chosen answer, in nats
    rejected: list[float]
    chosen_tokens: list[int]
    rejected_tokens: list[int]
    eos: list[float]  # probability of EOS after the whole chosen answer
    stopped: list[bool]  # the answer ended with EOS within the limit
    played_on: list[bool]  # the answer began another turn
    prompts: list[str] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)


def look_at(model_folder: Path, tokens: Path, *, answers: int, new_tokens: int) -> HeldOut:
    """Return the figures of a model on the test rows of a token artefact.

    Args:
        model_folder: weights and config.
        tokens: the artefact; its tokenizer is the model's.
        answers: how many prompts to answer, greedily, starting with the first.
        new_tokens: maximum number of tokens in an answer.
    """
    from datasets import Dataset
    from transformers import AutoTokenizer
    from transformers.utils import logging

    from zephyr_train.models import LOAD
    from zephyr_train.pairs.layout import PADDED
    from zephyr_train.pairs.scoring import frozen_scorer, pair_logps
    from zephyr_train.training.loading import load
    from zephyr_train.training.weights import require_loadable

    logging.disable_progress_bar()
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(1)  # small models on shared cores: threads only wait for each other
    require_loadable(model_folder)
    tokenizer = AutoTokenizer.from_pretrained(tokens, **LOAD)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    loaded = load(model_folder, dtype=torch.float32)
    model = frozen_scorer(loaded.to(device))
    rows = Dataset.from_file(str(tokens / "test.arrow")).to_list()
    scored = [
        pair_logps(model, rows[start : start + BATCH], tokenizer.pad_token_id, PADDED)
        for start in range(0, len(rows), BATCH)
    ]
    prompts = [row["prompt_ids"] for row in rows[:answers]]
    outputs = [_answer(model, tokenizer, ids, new_tokens) for ids in prompts]
    return HeldOut(
        chosen=[value for chosen, _ in scored for value in chosen],
        rejected=[value for _, rejected in scored for value in rejected],
        chosen_tokens=[len(row["chosen_ids"]) for row in rows],
        rejected_tokens=[len(row["rejected_ids"]) for row in rows],
        eos=[_eos_probability(model, row["prompt_ids"] + row["chosen_ids"]) for row in rows],
        stopped=[stopped for _, stopped in outputs],
        played_on=[any(role in text for role in ROLES) for text, _ in outputs],
        prompts=[tokenizer.decode(ids, skip_special_tokens=True) for ids in prompts],
        answers=[text for text, _ in outputs],
    )


def _eos_probability(model: Any, ids: Sequence[int]) -> float:
    """Return the probability of a row's last token, EOS, given all before it."""
    with torch.no_grad():
        logits = model(
            input_ids=torch.tensor([ids[:-1]], device=next(model.parameters()).device), use_cache=False
        ).logits
    return float(torch.softmax(logits[0, -1].float(), dim=-1)[ids[-1]])


def _answer(model: Any, tokenizer: Any, prompt_ids: Sequence[int], new_tokens: int) -> tuple[str, bool]:
    """Return the greedy answer to a prompt, and whether it ended with EOS."""
    ids = torch.tensor([prompt_ids], device=next(model.parameters()).device)
    new_ids = model.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=new_tokens,
        do_sample=False,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )[0, len(prompt_ids) :].tolist()
    stopped = bool(new_ids) and new_ids[-1] == tokenizer.eos_token_id
    return tokenizer.decode(new_ids[:-1] if stopped else new_ids), stopped
