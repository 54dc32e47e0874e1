"""Whether the project's layouts give log-probs and gradients of padded rows on a device: part of `train_gpu.py`.

In fp32 they must agree. In bf16 nothing agrees to the last digit, so each is held against padded rows in fp32 by sdpa:
a layout may lie from those twice as far as padded rows of the same dtype and attention do.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers.utils import is_flash_attn_2_available
from trl.trainer.dpo_trainer import DataCollatorForPreference
from trl.trainer.utils import add_fused_lm_head

from benchmarks.pair_lengths import token_rows
from benchmarks.pair_trainers import PAD, random_model
from zephyr_train.loss import LogpPair, dpo_loss
from zephyr_train.pairs import scoring
from zephyr_train.pairs.layout import PADDED, SEPARATE, SHARED

VOCABULARY, BETA = 1024, 0.01  # a small β, so that no pair's gradient dies in the sigmoid's tail
NATS, GRADIENTS = 1e-2, 1e-3  # allowed in fp32: of a reply's log-prob; of a parameter's largest gradient
TIMES = 2  # allowed in bf16: of what padded rows of the same kind lie off
HEAD = ["attention", "dtype", "layout", "log-probs, nats", "gradients", "padded off, nats", "padded off, gradients", ""]


class Result(NamedTuple):
    """Log-probs of all replies, and the gradient of each parameter; fp32, on the CPU."""

    logps: Tensor
    gradients: dict[str, Tensor]


def equality(device: str) -> Iterator[list[str]]:
    """Yield a table row for each attention, dtype and layout; the last cell says whether it passes."""
    truth = _result(device, "sdpa", torch.float32, PADDED)
    for attention, dtype in _kinds():
        padded = _result(device, attention, dtype, PADDED)
        off = _apart(padded, truth)
        for layout in (SEPARATE, SHARED):
            got = _result(device, attention, dtype, layout)
            if dtype == torch.float32:
                found, allowed = _apart(got, padded), (NATS, GRADIENTS)
            else:
                found, allowed = _apart(got, truth), (TIMES * off[0], TIMES * off[1])
            is_good = all(figure <= most for figure, most in zip(found, allowed, strict=True))
            figures = [f"{figure:.2e}" for figure in (*found, *off)]
            yield [attention, str(dtype).removeprefix("torch."), layout, *figures, "pass" if is_good else "FAIL"]


def cast(model: Any, dtype: torch.dtype) -> Any:
    """Return the model with its weights in a dtype; `.to(dtype)` would round the positions' frequencies with them."""
    for parameter in model.parameters():
        parameter.data = parameter.data.to(dtype)
    return model


def attentions() -> list[str]:
    """Return the attention that this machine's packages offer, the best one first."""
    return ["flash_attention_2", "sdpa"] if is_flash_attn_2_available() else ["sdpa"]


def _kinds() -> Iterator[tuple[str, torch.dtype]]:
    yield "sdpa", torch.float32
    for attention in attentions():
        yield attention, torch.bfloat16


def _rows() -> list[dict[str, Any]]:
    """Return pairs of drawn lengths, and odd ones: a reply that begins the other, replies of one token."""
    drawn = token_rows("short", 6, VOCABULARY)
    return [
        *drawn,
        {**drawn[0], "chosen_ids": drawn[0]["rejected_ids"][:5]},
        {"prompt_ids": [5, 6], "chosen_ids": [7], "rejected_ids": [8, 9]},
        {"prompt_ids": drawn[1]["prompt_ids"], "chosen_ids": [7], "rejected_ids": [8]},
    ]


def _result(device: str, attention: str, dtype: torch.dtype, layout: str) -> Result:
    """Return what a model of two layers gives; heads of 64, two queries to a key, weights wide enough to attend."""
    model = random_model(
        seed=1, vocab_size=VOCABULARY, num_hidden_layers=2, initializer_range=0.08, attn_implementation=attention
    )
    model = cast(model.to(device), dtype)
    add_fused_lm_head(model, outputs=("log_probs", "is_top1"))
    scoring.prepare(model)
    batch = DataCollatorForPreference(pad_token_id=PAD)(_rows())
    scores = scoring.score(model, {name: tensor.to(device) for name, tensor in batch.items()}, layout)
    nothing = torch.zeros_like(scores.chosen)
    dpo_loss(LogpPair(scores.chosen, scores.rejected), LogpPair(nothing, nothing), beta=BETA).mean().backward()
    gradients = {name: parameter.grad.float().cpu() for name, parameter in model.named_parameters()}
    return Result(torch.cat([scores.chosen, scores.rejected]).detach().float().cpu(), gradients)


def _apart(one: Result, other: Result) -> tuple[float, float]:
    """Return the largest difference of log-probs, and of gradients relative to their parameter's largest."""
    gradients = [
        ((one.gradients[name] - gradient).abs().max() / gradient.abs().max()).item()
        for name, gradient in other.gradients.items()
    ]
    return (one.logps - other.logps).abs().max().item(), max(gradients)
