"""Eq. (1) of the paper: the oracle that TRL's loss is tested against. Heavy: imports torch."""

from typing import NamedTuple

from torch import Tensor
from torch.nn.functional import logsigmoid


class LogpPair(NamedTuple):
    """Log-probs that one model gives to the two completions of each pair.

    Shape: (batch,) each. In nats, summed over completion tokens.
    """

    chosen: Tensor
    rejected: Tensor


def margins(policy: LogpPair, reference: LogpPair, *, beta: float) -> Tensor:
    """Return how much more the policy moved towards chosen than towards rejected: the reward margin, in nats × beta.

    Shape: (batch,) → (batch,). A pair counts as right when its margin is above 0.
    """
    chosen_rewards = beta * (policy.chosen - reference.chosen)
    rejected_rewards = beta * (policy.rejected - reference.rejected)
    return chosen_rewards - rejected_rewards


def dpo_loss(policy: LogpPair, reference: LogpPair, *, beta: float) -> Tensor:
    """Return the dDPO loss of each pair, Eq. (1): −log σ of its margin; ln 2 where policy and reference agree.

    Shape: (batch,) → (batch,). Log-probs in nats, summed over completion tokens.
    """
    return -logsigmoid(margins(policy, reference, beta=beta))
