"""Attention over pieces, registered with transformers in place of its own; without pieces it calls the original.

Each piece attends causally to the places that its layout lists, aligned at their end. FlashAttention handles all pieces
in one call that accepts fewer queries than keys; sdpa handles them one by one. Heavy: imports torch and transformers.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from transformers.integrations.flash_attention import flash_attention_forward
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.modeling_utils import AttentionInterface

from zephyr_train.pairs.pieces import Pieces

Attention = Callable[..., tuple[Tensor, Any]]


def register() -> None:
    """Let this process's models read pieces when their forward pass is given `pieces`."""
    AttentionInterface.register("sdpa", _sdpa)
    for name in ("flash_attention_2", "flash_attention_3"):
        AttentionInterface.register(name, partial(_flash, flash_attention_forward))


def _sdpa(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    pieces: Pieces | None = None,
    sliding_window: int | None = None,
    **rest: Any,
) -> tuple[Tensor, Any]:
    """Shape: (1, heads, tokens, head_size) → (1, tokens, heads, head_size)."""
    if pieces is None:
        rest["sliding_window"] = sliding_window
        output: tuple[Tensor, Any] = sdpa_attention_forward(module, query, key, value, attention_mask, **rest)
        return output
    parts = zip(
        torch.split(query, pieces.query_lengths, dim=2),
        torch.split(_key_places(key, pieces), pieces.key_lengths, dim=2),
        torch.split(_key_places(value, pieces), pieces.key_lengths, dim=2),
        strict=True,
    )
    attended = [
        sdpa_attention_forward(module, part, keys, values, _mask(pieces, part, keys, sliding_window), **rest)[0]
        for part, keys, values in parts
    ]
    return torch.cat(attended, dim=1), None


def _key_places(side: Tensor, pieces: Pieces) -> Tensor:
    """Return keys or values in the order in which pieces attend to them. Shape: (1, heads, keys, head_size)."""
    return side if pieces.keys is None else side.index_select(2, pieces.keys)


def _mask(pieces: Pieces, query: Tensor, key: Tensor, window: int | None) -> Tensor | None:
    """Return a piece's mask of queries over keys, 0 or −inf; None for the plain triangle, for which sdpa is fast.

    Shape: (1, 1, queries, keys).
    """
    queries, keys = query.shape[2], key.shape[2]
    kind = (queries, keys, window if window is not None and window < keys else None)
    if kind not in pieces.masks:
        mask = None
        if queries != keys or kind[2] is not None:
            visible = torch.ones(queries, keys, dtype=torch.bool, device=query.device).tril(keys - queries)
            if kind[2] is not None:
                visible = visible.triu(keys - queries - kind[2] + 1)
            mask = torch.zeros(1, 1, queries, keys, dtype=query.dtype, device=query.device)
            mask.masked_fill_(~visible, -torch.inf)
        pieces.masks[kind] = mask
    return pieces.masks[kind]


def _flash(
    flash: Attention,
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    pieces: Pieces | None = None,
    **rest: Any,
) -> tuple[Tensor, Any]:
    """Shape: (1, heads, tokens, head_size) → (1, tokens, heads, head_size)."""
    if pieces is None:
        return flash(module, query, key, value, attention_mask, **rest)
    return flash(
        module,
        query,
        _key_places(key, pieces),
        _key_places(value, pieces),
        None,
        cu_seq_lens_q=pieces.query_ends,
        cu_seq_lens_k=pieces.key_ends,
        max_length_q=max(pieces.query_lengths),
        max_length_k=max(pieces.key_lengths),
        **rest,
    )
