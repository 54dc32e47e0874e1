"""Log-probs of completions under a causal language model, without the full logits. Heavy: imports torch."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from zephyr_train.errors import OptionError

_NEUTRAL = {  # what a model may do to its logits behind the head: absent or neutral, or we would score something else
    "final_logit_softcapping": (None,),
    "logit_scale": (None, 1.0),
    "logits_scaling": (None, 1.0),
    "lm_head_multiplier": (None, 1.0),
    "output_multiplier": (None, 1.0),
}
Row = Mapping[str, Any]


def completion_logps(
    model: Any,
    input_ids: Tensor,
    completion_mask: Tensor,
    *,
    attention_mask: Tensor | None = None,
    chunk_tokens: int = 4_096,
) -> Tensor:
    """Return the log-prob of each row's completion, given what stands before it.

    The backbone runs over all positions, the head only over those that predict a completion token, `chunk_tokens` at
    a time. Without an attention mask rows must be padded on the right. A completion token in the first column has
    nothing before it and counts 0, as in TRL. Under ZeRO-3 each chunk gathers the head, so every rank must have the
    same number of chunks: give `chunk_tokens` of at least batch × length there.

    Shape: (batch, length) → (batch,). In nats, summed over completion tokens; the softmax is in float32.

    Raises:
        OptionError: the model changes its logits behind the head, which this does not follow.
    """
    causal = _causal_model(model)
    hidden = causal.base_model(input_ids=input_ids, attention_mask=attention_mask, use_cache=False).last_hidden_state
    predicts = completion_mask[:, 1:].bool()
    wanted, targets = hidden[:, :-1][predicts], input_ids[:, 1:][predicts]
    head = causal.get_output_embeddings()
    starts = range(0, max(len(targets), 1), chunk_tokens)
    chunks = [_token_logps(head, wanted[at : at + chunk_tokens], targets[at : at + chunk_tokens]) for at in starts]
    by_position = torch.zeros(predicts.shape, dtype=torch.float32, device=hidden.device).masked_scatter(
        predicts, torch.cat(chunks)
    )
    return by_position.sum(dim=1)


def _token_logps(head: Any, hidden: Tensor, targets: Tensor) -> Tensor:
    """Return the log-prob of each target. Shape: (tokens, hidden_size), (tokens,) → (tokens,)."""
    return -cross_entropy(head(hidden).float(), targets, reduction="none")


def _causal_model(model: Any) -> Any:
    """Return the model with a head that peft wraps, or the model itself."""
    causal = model.get_base_model() if hasattr(model, "get_base_model") else model
    config = causal.config.get_text_config()
    for name, neutral in _NEUTRAL.items():
        if getattr(config, name, None) not in neutral:
            raise OptionError(
                f"the model's config has {name} = {getattr(config, name)}: zephyr scores plain logits only",
                "use a model without it, such as one of the Mistral architecture",
            )
    return causal


def pair_batch(rows: Sequence[Row], pad_id: int) -> dict[str, Tensor]:
    """Return pairs as one padded batch: every prompt + chosen, then every prompt + rejected, padded on the right.

    Columns in:  prompt_ids, chosen_ids, rejected_ids; ref_chosen_logps and ref_rejected_logps where there are any
    Columns out: input_ids, attention_mask, completion_mask; the reference's log-probs as given
    Shape: (2 × pairs, longest row), masks of 0 and 1; log-probs (pairs,).
    """
    texts = [(list(row["prompt_ids"]), list(row[side])) for side in ("chosen_ids", "rejected_ids") for row in rows]
    length = max(len(prompt) + len(completion) for prompt, completion in texts)
    batch = {
        "input_ids": [_padded(prompt + completion, length, pad_id) for prompt, completion in texts],
        "attention_mask": [_padded([1] * (len(prompt) + len(completion)), length, 0) for prompt, completion in texts],
        "completion_mask": [
            _padded([0] * len(prompt) + [1] * len(completion), length, 0) for prompt, completion in texts
        ],
    }
    for name in ("ref_chosen_logps", "ref_rejected_logps"):
        if name in rows[0]:
            batch[name] = [row[name] for row in rows]
    return {name: torch.tensor(values) for name, values in batch.items()}


def _padded(tokens: list[int], length: int, fill: int) -> list[int]:
    return tokens + [fill] * (length - len(tokens))


@torch.no_grad()
def pair_logps(
    model: Any, rows: Sequence[Row], pad_id: int, device: torch.device | str
) -> tuple[list[float], list[float]]:
    """Return the log-probs of the rows' chosen and of their rejected completions, in the rows' order.

    Columns in: prompt_ids, chosen_ids, rejected_ids
    Units: nats, summed over completion tokens. Dropout is off meanwhile.
    """
    batch = {name: tensor.to(device) for name, tensor in pair_batch(rows, pad_id).items()}
    was_training = model.training
    model.eval()
    try:
        logps = completion_logps(
            model, batch["input_ids"], batch["completion_mask"], attention_mask=batch["attention_mask"]
        )
    finally:
        model.train(was_training)
    chosen, rejected = logps.chunk(2)
    return chosen.tolist(), rejected.tolist()
