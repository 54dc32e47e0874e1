"""Log-probs of the two replies of each pair, in any layout, for both policy and reference. Heavy: imports torch.

The head is TRL's fused one: it scores hidden states in tiles and never holds the logits of the whole batch.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from trl.trainer.dpo_trainer import DataCollatorForPreference
from trl.trainer.utils import add_fused_lm_head

from zephyr_train.pairs import attention
from zephyr_train.pairs.layout import PADDED, SHARED
from zephyr_train.pairs.pieces import pieces_of


class Scores(NamedTuple):
    """A model's scores of pairs. Shape: (pairs,) each."""

    chosen: Tensor  # log-prob in nats, summed over completion tokens
    rejected: Tensor
    hits: Tensor  # number of chosen tokens that are the top-1 prediction


def prepare(model: Any) -> None:
    """Let a causal model with TRL's fused head be scored in any layout; call once per model."""
    attention.register()
    causal = model.get_base_model() if hasattr(model, "get_base_model") else model
    causal.base_model.register_forward_hook(_keep_predicting, with_kwargs=True)


def _keep_predicting(module: Any, arguments: Any, keywords: dict[str, Any], output: Any) -> Any:
    """Pass the head only the states that predict a scored token."""
    if keywords.get("pieces") is not None:
        output.last_hidden_state = output.last_hidden_state.index_select(1, keywords["pieces"].predicting)
    return output


def score(model: Any, batch: dict[str, Tensor], layout: str) -> Scores:
    """Return the scores of a padded batch as TRL's collator makes it.

    Columns: input_ids, attention_mask, completion_mask; prompt + chosen of all pairs, then prompt + rejected.
    Shape: (2 × pairs, length) → (pairs,).
    """
    input_ids, masks = batch["input_ids"], (batch["attention_mask"], batch["completion_mask"])
    if layout == PADDED:
        labels = input_ids.masked_fill(masks[1] == 0, -100)
        output = model(input_ids=input_ids, attention_mask=masks[0], labels=labels, use_cache=False, fused_lm_head=True)
        logps, hits = output.log_probs.sum(dim=1), output.is_top1.sum(dim=1)
    else:
        pieces = pieces_of(*masks, share_prompt=layout == SHARED)
        output = model(
            input_ids=input_ids.flatten()[pieces.tokens][None],
            position_ids=pieces.positions[None],
            attention_mask=input_ids.new_ones(1, 1, 1, 1),  # 4-D, so transformers makes none; the pieces do the masking
            shift_labels=input_ids.flatten()[pieces.targets][None],
            pieces=pieces,
            use_cache=False,
            fused_lm_head=True,
        )
        logps, hits = (
            torch.stack([part.sum() for part in values[0].split(pieces.scored)])
            for values in (output.log_probs, output.is_top1)
        )
    chosen, rejected = logps.chunk(2)
    return Scores(chosen, rejected, hits.chunk(2)[0])


def first_pairs(batch: dict[str, Tensor], count: int) -> dict[str, Tensor]:
    """Return a padded batch of the first `count` pairs of another. Shape: (2 × pairs, length) → (2 × count, length)."""
    halves = {name: batch[name].chunk(2) for name in ("input_ids", "attention_mask", "completion_mask")}
    return {name: torch.cat([half[:count] for half in both]) for name, both in halves.items()}


def frozen_scorer(model: Any) -> Any:
    """Return the model with TRL's fused head, ready for `pair_logps`."""
    add_fused_lm_head(model, outputs=("log_probs", "is_top1"))
    prepare(model)
    return model.eval().requires_grad_(False)


@torch.no_grad()
def pair_logps(model: Any, rows: Sequence[dict[str, Any]], pad_id: int, layout: str) -> tuple[list[float], list[float]]:
    """Return the log-probs that a frozen scorer gives the rows' chosen and rejected completions, in row order.

    Columns in: prompt_ids, chosen_ids, rejected_ids
    Units: nats, summed over completion tokens.
    """
    batch = DataCollatorForPreference(pad_token_id=pad_id)(list(rows))
    device = next(model.parameters()).device
    scores = score(model, {name: tensor.to(device) for name, tensor in batch.items()}, layout)
    return scores.chosen.tolist(), scores.rejected.tolist()
