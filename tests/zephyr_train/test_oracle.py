"""Eight optimiser steps of the project's trainer, TRL's under it, are eight of a plain torch loop over Eq. (1)."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.zephyr_train import trl_side
from zephyr_train.logps import completion_logps, pair_logps
from zephyr_train.loss import LogpPair, dpo_loss

STEPS, WARMUP, MICRO, ACCUMULATION, PEAK, BETA = 8, 2, 4, 2, 1e-2, 0.1


def linear(step: int) -> float:
    """Return the share of the peak at which the step before `step` + 1 is taken: up over the warm-up, then down to 0."""
    return step / WARMUP if step < WARMUP else (STEPS - step) / (STEPS - WARMUP)


def plain_loop(model: Any, batches: list[dict[str, Tensor]]) -> tuple[list[float], list[float]]:
    """Train in place; return the loss of each micro-batch and the gradient's norm at each step."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=PEAK, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0)
    losses, norms = [], []
    for step in range(STEPS):
        for batch in batches[step * ACCUMULATION : (step + 1) * ACCUMULATION]:
            logps = completion_logps(
                model, batch["input_ids"], batch["completion_mask"], attention_mask=batch["attention_mask"]
            )
            reference = LogpPair(batch["ref_chosen_logps"], batch["ref_rejected_logps"])
            loss = dpo_loss(LogpPair(*logps.chunk(2)), reference, beta=BETA).mean()
            (loss / ACCUMULATION).backward()
            losses.append(loss.item())
        norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0).item())
        for group in optimizer.param_groups:
            group["lr"] = PEAK * linear(step)
        optimizer.step()
        optimizer.zero_grad()
    return losses, norms


def test_eight_steps_agree(tmp_path: Path) -> None:
    rows = trl_side.pair_rows(STEPS * MICRO * ACCUMULATION)
    reference = pair_logps(trl_side.tiny_model(), rows, trl_side.PAD, "cpu")
    ready = [
        {**row, "ref_chosen_logps": chosen, "ref_rejected_logps": rejected}
        for row, chosen, rejected in zip(rows, *reference, strict=True)
    ]
    theirs = trl_side.project_trainer(
        trl_side.tiny_model(), ready, tmp_path, beta=BETA, learning_rate=PEAK, lr_scheduler_type="linear",
        warmup_steps=WARMUP / STEPS, optim="adamw_torch", weight_decay=0.0, max_grad_norm=1.0, num_train_epochs=1,
        per_device_train_batch_size=MICRO, gradient_accumulation_steps=ACCUMULATION, logging_steps=1,
    )  # fmt: skip
    theirs.train()
    ours = trl_side.tiny_model()
    losses, norms = plain_loop(ours, theirs.batches)

    assert theirs.state.global_step == STEPS
    assert losses[0] == pytest.approx(0.6931472, abs=1e-5)
    assert losses == pytest.approx(theirs.losses, abs=1e-5)
    logged = [entry for entry in theirs.state.log_history if "loss" in entry]
    pairs = zip(losses[::2], losses[1::2], strict=True)
    assert [entry["loss"] for entry in logged] == pytest.approx([sum(two) / 2 for two in pairs], abs=1e-5)
    assert [entry["grad_norm"] for entry in logged] == pytest.approx(norms, rel=1e-4)
    assert [entry["learning_rate"] for entry in logged] == pytest.approx([PEAK * linear(step) for step in range(STEPS)])
    for (name, mine), other in zip(ours.named_parameters(), theirs.model.parameters(), strict=True):
        torch.testing.assert_close(mine, other, atol=1e-5, rtol=0, msg=lambda text, name=name: f"{name}: {text}")

    start = trl_side.tiny_model().parameters()  # the steps did something, and clipping was at work
    assert max((mine - first).abs().max().item() for mine, first in zip(ours.parameters(), start, strict=True)) > 1e-3
    assert max(norms) > 1.0
