"""What each process of `benchmarks/train.py` measures of itself; each prints one JSON line with CPU-seconds."""

import json
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import trl.trainer.utils
from torch import Tensor
from torch.nn.functional import cross_entropy
from trl.kernels import ChunkedLogProbFunction
from trl.trainer.dpo_trainer import DataCollatorForPreference

from benchmarks.pair_lengths import LENGTHS, token_rows
from benchmarks.pair_trainers import PAD, TRL, random_model, trainer, with_reference
from zephyr_train.pairs.scoring import frozen_scorer, pair_logps

STEP_PAIRS, STEPS = 8, {"ultrafeedback": 4, "long": 2, "short": 4}
VOCABULARY, HEAD_VOCABULARY, HIDDEN = 4096, 32_000, 256
OUTPUTS = ("log_probs", "entropy", "mean_logits", "is_top1")  # what TRL's trainer, and so ours, has the head compute
NOT_SCORED = -100


def train(variant: str, name: str) -> None:
    """Train and print: seconds of `train()` alone, tokens that policy, reference and our check read, losses."""
    torch.set_num_threads(1)
    rows, model = token_rows(name, STEP_PAIRS * STEPS[name], VOCABULARY), random_model()
    rows = rows if variant == TRL else with_reference(rows, model)
    read = Counter[str]()
    with tempfile.TemporaryDirectory() as folder:
        made = trainer(
            variant, model, rows, Path(folder), use_cpu=True, bf16=False, activation_checkpointing=False,
            per_device_train_batch_size=STEP_PAIRS, max_length=LENGTHS[name].max_length, learning_rate=3e-4,
        )  # fmt: skip
        _count(made.model, "policy", read)
        if made.ref_model is not None:
            _count(made.ref_model, "reference", read)
        seconds = _seconds(made.train)
    losses = [entry["loss"] for entry in made.state.log_history if "loss" in entry]
    print(json.dumps({"seconds": seconds, "read": read, "losses": losses}))


def reference(layout: str) -> None:
    """Score 32 pairs, eight at a time, with a frozen model."""
    torch.set_num_threads(1)
    rows, scorer = token_rows("ultrafeedback", 4 * STEP_PAIRS, VOCABULARY), frozen_scorer(random_model())
    batches = [rows[start : start + STEP_PAIRS] for start in range(0, len(rows), STEP_PAIRS)]
    logps: list[float] = []

    def run() -> None:
        for batch in batches:
            logps.extend(map(sum, pair_logps(scorer, batch, PAD, layout)))

    print(json.dumps({"seconds": _seconds(run), "logps": sum(logps)}))


def head(kind: str, positions: str) -> None:
    """Take eight pairs' hidden states, drawn, through a head alone, forward and backward."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    batch = DataCollatorForPreference(pad_token_id=PAD)(token_rows("ultrafeedback", STEP_PAIRS, HEAD_VOCABULARY))
    labels = batch["input_ids"].masked_fill(batch["completion_mask"] == 0, NOT_SCORED)[:, 1:].flatten()
    hidden = torch.randn(len(labels), HIDDEN)
    if positions == "replies":
        hidden, labels = hidden[labels != NOT_SCORED], labels[labels != NOT_SCORED]
    hidden.requires_grad_()
    weight = (0.02 * torch.randn(HEAD_VOCABULARY, HIDDEN)).requires_grad_()
    logps: list[float] = []

    def run() -> None:
        total = _fused(hidden, weight, labels) if kind == "fused" else _plain(hidden, weight, labels)
        total.backward()
        logps.append(total.item())

    print(json.dumps({"seconds": _seconds(run), "positions": len(labels), "logps": logps[0]}))


def _fused(hidden: Tensor, weight: Tensor, labels: Tensor) -> Tensor:
    chunk = trl.trainer.utils._CHUNKED_LOGPROB_CHUNK_SIZE
    logps, *_ = ChunkedLogProbFunction.apply(hidden, weight, None, labels.clamp(min=0), 1.0, chunk, None, 1.0, OUTPUTS)
    return logps.masked_fill(labels == NOT_SCORED, 0).sum()


def _plain(hidden: Tensor, weight: Tensor, labels: Tensor) -> Tensor:
    return -cross_entropy(hidden @ weight.T, labels, ignore_index=NOT_SCORED, reduction="sum")


def _count(model: Any, who: str, read: Counter[str]) -> None:
    """Add up the tokens that a model's backbone is given; those of our check before the first step apart."""

    def add(backbone: Any, _: Any, named: dict[str, Any]) -> None:
        read["check" if who == "policy" and not backbone.training else who] += named["input_ids"].numel()

    model.base_model.register_forward_pre_hook(add, with_kwargs=True)


def _seconds(run: Callable[[], object]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start
