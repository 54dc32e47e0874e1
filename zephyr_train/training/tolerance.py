"""How far apart two forward passes may be that give the same tokens log-probs: as far as rounding takes them.

Layouts and batches add up in different orders, so each layer rounds a little differently, at random. The log-prob of
a token moves by about rounding · √layers · the spread of the logits, a sum over tokens by √tokens times that.
In a mixture of experts it also moves when rounding sends the token to another expert. Measured in docs/decisions/0060.
"""

import math
from typing import Any

# Relative error of a layer: bf16 rounds what it writes; fp32 adds up thousands of products.
ROUNDING = {"fp32": 2**-18, **dict.fromkeys(("bf16", "bf16-autocast", "bf16-frozen"), 2**-8)}
SPREAD = 3.0  # standard deviation of a model's logits, where it is not measured
TIMES = 5.0  # standard deviations: of thousands of sums none is farther off
TIMES_OF_MEAN = 2.0  # for a mean over many tokens, where chance evens out
# What a router reads is off by rounding · √layer. In all, rounding · √layers³ routes of a token change, up to a factor,
# and each replaces one of its experts: 1 / √layers / experts of the last state. The factor is measured, for the square.
ROUTES = 4.0
USUAL_LAYERS = 32  # of a model whose config does not say


def noise(numerics: str, config: Any) -> float:
    """Return the standard deviation of one token's log-prob in nats, for a transformers config."""
    text = config.get_text_config()
    layers = getattr(text, "num_hidden_layers", None) or USUAL_LAYERS
    experts = getattr(text, "num_experts_per_tok", None)  # that a token is sent to
    routes = ROUTES * ROUNDING[numerics] * math.sqrt(layers) / experts**2 if experts else 0.0
    return SPREAD * math.sqrt(ROUNDING[numerics] ** 2 * layers + routes)


def of_sum(noise: float, tokens: Any) -> Any:
    """Return the allowed difference, in nats, of a log-prob summed over so many tokens; of a tensor of counts, each."""
    return TIMES * noise * tokens**0.5


def of_mean(noise: float, spread: float) -> float:
    """Return the allowed mean of |difference| over many tokens, in nats a token; `spread`: of their logits."""
    return TIMES_OF_MEAN * noise * spread / SPREAD
