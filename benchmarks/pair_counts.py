"""What a step of several processes costs, counted in tokens, not run: `python -m benchmarks.pair_counts`.

ZeRO-3 keeps processes in step, so a micro-batch lasts as long as the largest one read at that moment. The critical
path of a step is the sum of those largest over its micro-batches; it is given relative to the mean of real tokens per
rank (each prompt twice, both replies, no padding). Attention, the head, the optimiser and the network are left out.
"""

from benchmarks.pair_lengths import Pair, draw, read_tokens
from zephyr_train.pairs.dealing import deal, in_order
from zephyr_train.pairs.layout import PADDED, SEPARATE, SHARED

STEPS, STEP_PAIRS, MICRO_PAIRS = 200, 32, 2
RANKS = (2, 4, 8, 16)
WAYS = {  # layout, and whether pairs are dealt by length
    "padded, in order (TRL)": (PADDED, False),
    "no padding, in order": (SEPARATE, False),
    "no padding, dealt": (SEPARATE, True),
    "shared prompt, in order": (SHARED, False),
    "shared prompt, dealt (zephyr)": (SHARED, True),
}
TRL, *_, ZEPHYR = WAYS


def critical(name: str, ranks: int) -> dict[str, tuple[float, float]]:
    """Return of each way the critical path of a mean step: in tokens, and relative to mean real tokens per rank."""
    pairs = draw(name, STEPS * STEP_PAIRS, seed=1)
    steps = [pairs[start : start + STEP_PAIRS] for start in range(0, len(pairs), STEP_PAIRS)]
    real = sum(pair.real for pair in pairs) / STEPS / ranks
    tokens = {way: sum(_path(step, ranks, *how) for step in steps) / STEPS for way, how in WAYS.items()}
    return {way: (count, count / real) for way, count in tokens.items()}


def _path(step: list[Pair], ranks: int, layout: str, is_dealt: bool) -> int:
    micro_batches = len(step) // ranks // MICRO_PAIRS
    costs = [read_tokens([pair], layout) for pair in step]
    hands = deal(costs, ranks, micro_batches) if is_dealt else in_order(len(step), ranks, micro_batches)
    return sum(
        max(read_tokens([step[place] for place in hand[at]], layout) for hand in hands) for at in range(micro_batches)
    )


if __name__ == "__main__":
    for distribution in ("ultrafeedback", "long", "short"):
        for processes in RANKS:
            print(distribution, processes, critical(distribution, processes))
