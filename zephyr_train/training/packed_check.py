"""Before the first step of dSFT: a document of a packed row scores the same there as alone, on the real model."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from zephyr_train.errors import InvariantBroken
from zephyr_train.training import tolerance

Collate = Callable[[list[dict[str, Any]]], dict[str, Any]]
TIMES = 5  # what another batch makes of the same document, where that is more than rounding explains
HINT = 'write `packing = "off"` under [sft] of the recipe'


def packed_row(rows: Any) -> Mapping[str, Any] | None:
    """Return the first of some packed rows that holds a document of two tokens or more behind another one."""
    lengths = (row["seq_lengths"] for row in rows.select_columns(["seq_lengths"]))
    place = next((place for place, (_, *later) in enumerate(lengths) if later and later[0] > 1), None)
    row: Mapping[str, Any] | None = None if place is None else rows[place]
    return row


def require_alone(
    row: Mapping[str, Any], collate: Collate, call: Callable[[dict[str, Any]], Tensor], noise: float
) -> None:
    """Compare a packed row's second document with the same one alone.

    Args:
        row: input_ids, labels, seq_lengths.
        collate: makes the batch of some rows, as training does.
        call: returns the logits of a batch, (1, tokens, vocabulary).
        noise: of a token's log-prob, in nats (tolerance.py).

    Raises:
        InvariantBroken: they differ: the model reads across documents, or it cannot read packed rows at all.
    """
    first, second = row["seq_lengths"][:2]
    both = {name: row[name][: first + second] for name in ("input_ids", "labels")} | {"seq_lengths": [first, second]}
    alone = {name: both[name][first:] for name in ("input_ids", "labels")} | {"seq_lengths": [second]}
    try:
        packed, _ = _log_probs(call, collate([both]), first, second)
    except Exception as fault:
        raise InvariantBroken(f"the model cannot read packed rows: {type(fault).__name__}: {fault}", HINT) from None
    (by_itself, spread), (followed, _) = (
        _log_probs(call, collate(rows), 0, second) for rows in ([alone], [alone, alone])
    )
    difference = (packed - by_itself).abs().mean().item()
    allowed = max(tolerance.of_mean(noise, spread), TIMES * (followed - by_itself).abs().mean().item())
    if not difference <= allowed:
        raise InvariantBroken(
            f"a document scores {difference:.2g} nats a token differently in a packed row than alone (allowed"
            f" {allowed:.2g}): the model reads across documents",
            HINT,
        )


def _log_probs(
    call: Callable[[dict[str, Any]], Tensor], batch: dict[str, Any], start: int, tokens: int
) -> tuple[Tensor, float]:
    """Return the log-prob of each token of a document but its first, (tokens - 1,), and the spread of the logits."""
    ids = batch["input_ids"][0, start : start + tokens]
    logits = call({name: value for name, value in batch.items() if name != "labels"})
    logits = logits[0, start : start + tokens - 1].float()
    scores = torch.log_softmax(logits, dim=-1).gather(1, ids[1:, None].to(logits.device)).squeeze(1)
    return scores, logits.std(dim=-1).mean().item()
