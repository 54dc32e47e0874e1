"""Before the first step of dDPO: pairs score the same in the run's layout as in padded rows, on the real model."""

from typing import Any

import torch
from torch import Tensor

from zephyr_train.errors import InvariantBroken
from zephyr_train.pairs import scoring
from zephyr_train.pairs.layout import PADDED, SHARED
from zephyr_train.training import tolerance

PADDED_ROWS = "write `padding_free = false` under [dpo] of the recipe; please report it"


def require_equal_layouts(model: Any, batch: dict[str, Tensor], layout: str, noise: float) -> None:
    """Compare the log-probs of each reply of a padded batch in a layout with those in padded rows.

    Args:
        model: ready for `scoring.score`.
        batch: input_ids, attention_mask, completion_mask, (2 × pairs, length) each.
        layout: of the run.
        noise: of a token's log-prob, in nats (tolerance.py).

    Raises:
        InvariantBroken: they differ by more than rounding explains.
    """
    ours, padded = (scoring.score(model, batch, each) for each in (layout, PADDED))
    differences = torch.cat([ours.chosen - padded.chosen, ours.rejected - padded.rejected]).abs()
    allowed = tolerance.of_sum(noise, batch["completion_mask"].sum(dim=1))
    worst = (differences / allowed).argmax()  # a nan, if there is any
    if not differences[worst] <= allowed[worst]:
        raise InvariantBroken(
            f"log-probs of pairs laid out as {layout!r} differ from those of padded rows by {differences[worst]:.4f}"
            f" nats (allowed {allowed[worst]:.4f}) on {padded.chosen.device}",
            f"use --no-share-prompt, or {PADDED_ROWS}" if layout == SHARED else PADDED_ROWS,
        )
