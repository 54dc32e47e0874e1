"""The loss is Eq. (1): by hand, by its laws, and as TRL computes it."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.zephyr_train import trl_side
from zephyr_train.loss import LogpPair, dpo_loss, margins


def pair(*numbers: tuple[float, float]) -> LogpPair:
    chosen, rejected = zip(*numbers, strict=True)
    return LogpPair(torch.tensor(chosen, dtype=torch.float64), torch.tensor(rejected, dtype=torch.float64))


POLICY = pair((-10.0, -12.0), (-30.0, -20.0), (-5.0, -5.0))
REFERENCE = pair((-11.0, -11.0), (-25.0, -21.0), (-6.0, -4.0))
MARGINS = [0.2, -0.6, 0.2]  # at β 0.1: 0.1·((−10+11)−(−12+11)), 0.1·((−30+25)−(−20+21)), 0.1·((−5+6)−(−5+4))


def test_values_by_hand() -> None:
    by_hand = [math.log(1 + math.exp(-margin)) for margin in MARGINS]
    assert margins(POLICY, REFERENCE, beta=0.1).tolist() == pytest.approx(MARGINS, abs=1e-14)
    assert dpo_loss(POLICY, REFERENCE, beta=0.1).tolist() == pytest.approx(by_hand, abs=1e-14)


def test_equal_models_lose_ln_2_whatever_beta() -> None:
    for beta in (0.01, 0.1, 5.0):
        assert dpo_loss(REFERENCE, REFERENCE, beta=beta).tolist() == [math.log(2)] * 3


def test_a_likelier_chosen_lowers_the_loss_and_a_likelier_rejected_raises_it() -> None:
    policy = LogpPair(*(logps.clone().requires_grad_() for logps in POLICY))
    dpo_loss(policy, REFERENCE, beta=0.1).sum().backward()
    share_wrong = [1 / (1 + math.exp(margin)) for margin in MARGINS]  # the gradient's weight, σ(−margin)
    assert gradient(policy.chosen) == pytest.approx([-0.1 * share for share in share_wrong], abs=1e-14)
    assert gradient(policy.rejected) == pytest.approx([0.1 * share for share in share_wrong], abs=1e-14)


def gradient(logps: Tensor) -> list[float]:
    assert logps.grad is not None
    return list(logps.grad.tolist())


def test_swapped_pairs_have_the_opposite_margin() -> None:
    policy, reference = LogpPair(*reversed(POLICY)), LogpPair(*reversed(REFERENCE))
    assert margins(policy, reference, beta=0.1).tolist() == pytest.approx([-margin for margin in MARGINS], abs=1e-14)
    both = dpo_loss(POLICY, REFERENCE, beta=0.1) - dpo_loss(policy, reference, beta=0.1)
    assert both.tolist() == pytest.approx([-margin for margin in MARGINS], abs=1e-14)  # −ln σ(m) + ln σ(−m) = −m


def test_beta_scales_the_margin() -> None:
    assert margins(POLICY, REFERENCE, beta=0.3).tolist() == pytest.approx([3 * margin for margin in MARGINS], abs=1e-14)


def test_a_hopeless_pair_neither_overflows_nor_loses_its_gradient() -> None:
    policy = LogpPair(torch.tensor([-90_000.0], requires_grad=True), torch.tensor([0.0]))
    loss = dpo_loss(policy, LogpPair(torch.zeros(1), torch.zeros(1)), beta=0.1)
    loss.backward()
    assert loss.item() == pytest.approx(9_000.0)
    assert gradient(policy.chosen) == pytest.approx([-0.1])


@pytest.mark.parametrize("beta", [0.1, 0.01])
def test_trl_computes_the_same_loss(tmp_path: Path, beta: float) -> None:
    rows = [
        {**row, "ref_chosen_logps": -3.0 * at, "ref_rejected_logps": -20.0 + 2 * at}
        for at, row in enumerate(trl_side.pair_rows(6))
    ]
    model = trl_side.tiny_model()
    theirs = trl_side.trainer(model, rows, tmp_path, beta=beta)
    batch = theirs.data_collator(rows)
    policy = trl_side.plain_pairs(model, rows)
    reference = LogpPair(batch["ref_chosen_logps"], batch["ref_rejected_logps"])
    ours = dpo_loss(policy, reference, beta=beta).mean()
    assert abs(ours.item() - math.log(2)) > 0.01
    assert theirs._compute_loss(theirs.model, batch, False).item() == pytest.approx(ours.item(), abs=1e-5)
    assert theirs._metrics["train"]["rewards/margins"][0] == pytest.approx(
        margins(policy, reference, beta=beta).mean().item(), abs=1e-5
    )
