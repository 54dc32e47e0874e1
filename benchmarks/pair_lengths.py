"""Made lengths of preference pairs, and token rows of those lengths; the same on every machine.

A length is two half-lognormals that meet at the median, since answers spread wider below it than above.
"""

import math
import random
from dataclasses import dataclass
from typing import Any, NamedTuple

from zephyr_train.pairs.layout import PADDED, SHARED


class Spread(NamedTuple):
    """A median in tokens, and how far the logarithms lie from its own, on average of squares, below and above."""

    median: float
    below: float
    above: float


class Pair(NamedTuple):
    """Tokens of a pair's prompt and of its two replies."""

    prompt: int
    chosen: int
    rejected: int

    @property
    def real(self) -> int:
        """Return its tokens as two rows, without padding."""
        return 2 * self.prompt + self.chosen + self.rejected


@dataclass(frozen=True)
class Lengths:
    """What pairs look like. The limits are tokens: of a prompt, and of a prompt with a reply."""

    told: str
    prompt: Spread
    chosen: Spread
    rejected: Spread
    max_prompt: int
    max_length: int


# Of the 700 published UltraFeedback pairs at hand, read once, characters / 4.3 as tokens: medians 86, 203, 185; 5th,
# 25th, 75th and 95th of a hundred 9, 26, 179, 551 (prompt), 5, 48, 480, 802 (chosen), 8, 56, 398, 685 (rejected).
LENGTHS = {
    "ultrafeedback": Lengths(
        "like UltraFeedback", Spread(86, 1.5, 1.1), Spread(203, 2.1, 0.95), Spread(185, 1.8, 0.95), 512, 1024
    ),
    "long": Lengths("long prompts", Spread(600, 0.5, 0.5), Spread(200, 0.7, 0.7), Spread(200, 0.7, 0.7), 1536, 2048),
    "short": Lengths("short", Spread(40, 0.6, 0.6), Spread(60, 0.6, 0.6), Spread(60, 0.6, 0.6), 512, 1024),
}
# Correlations of the logarithms in those 700 pairs, used for all: chosen with rejected, prompt with chosen.
REPLIES, PROMPT = 0.5, -0.25
# What `pair_counts.py` gives for those 700 pairs themselves: shared and dealt, relative to padded, by ranks.
PUBLISHED = {2: 0.437, 4: 0.391, 16: 0.416}


def draw(name: str, count: int, seed: int = 0) -> list[Pair]:
    """Return so many pairs of a distribution."""
    lengths, draws = LENGTHS[name], random.Random(f"{name} {seed}")

    def tokens(spread: Spread, place: float, most: int, least: int = 1) -> int:
        length = spread.median * math.exp(place * (spread.below if place < 0 else spread.above))
        return max(least, min(most, round(length)))

    pairs = []
    for _ in range(count):
        first, second, third = (draws.gauss(0, 1) for _ in range(3))
        prompt = tokens(lengths.prompt, _with(PROMPT, first, third), lengths.max_prompt, least=2)
        room = lengths.max_length - prompt
        chosen = tokens(lengths.chosen, first, room)
        pairs.append(Pair(prompt, chosen, tokens(lengths.rejected, _with(REPLIES, first, second), room)))
    return pairs


def _with(correlation: float, known: float, own: float) -> float:
    """Return a draw that has this correlation with a known one."""
    return correlation * known + math.sqrt(1 - correlation**2) * own


def token_rows(name: str, count: int, vocabulary: int, seed: int = 0) -> list[dict[str, Any]]:
    """Return rows of random tokens of drawn lengths.

    Columns out: prompt_ids, chosen_ids, rejected_ids
    """
    draws = random.Random(f"tokens {name} {seed}")
    return [
        {
            f"{part}_ids": [draws.randrange(3, vocabulary) for _ in range(length)]
            for part, length in pair._asdict().items()
        }
        for pair in draw(name, count, seed)
    ]


def pair_of(row: dict[str, Any]) -> Pair:
    """Return the lengths of a token row."""
    return Pair(*(len(row[f"{part}_ids"]) for part in Pair._fields))


def read_tokens(pairs: list[Pair], layout: str) -> int:
    """Return the tokens that the backbone reads of a micro-batch, padding included."""
    if layout == PADDED:
        return 2 * len(pairs) * max(pair.prompt + max(pair.chosen, pair.rejected) for pair in pairs)
    prompts = 1 if layout == SHARED else 2
    return sum(prompts * (pair.prompt - 1) + pair.chosen + pair.rejected for pair in pairs)
