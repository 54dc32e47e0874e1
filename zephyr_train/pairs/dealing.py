"""Which rank reads which pairs of an optimiser step; however dealt, a step has the same pairs, so the same gradient."""

import heapq
import itertools
import math
from collections.abc import Callable, Iterator, Sequence

Hands = list[list[list[int]]]  # [rank][micro-batch] → indices into the step's pairs


def deal(costs: Sequence[int], ranks: int, micro_batches: int) -> Hands:
    """Return the pairs dealt into ranks × micro_batches shares of similar cost, so that no rank waits for a slower one.

    Each pair, longest first, goes to the smallest share (LPT): the largest share is at most 4/3 of the best possible.
    Shares of similar size are read at the same time, as ZeRO-3 keeps all processes in step; of these the largest goes
    to the rank that has the least so far. A share is empty only when there are fewer pairs than shares.

    Args:
        costs: tokens that a forward pass reads for each pair.
        ranks: number of processes.
        micro_batches: forward passes per process.
    """
    heap: list[tuple[int, int, list[int]]] = [(0, number, []) for number in range(ranks * micro_batches)]
    for place in sorted(range(len(costs)), key=lambda place: (-costs[place], place)):
        load, number, share = heap[0]
        heapq.heapreplace(heap, (load + costs[place], number, [*share, place]))
    shares = sorted(heap, key=lambda entry: (-entry[0], entry[1]))
    totals = [0] * ranks
    hands: Hands = [[] for _ in range(ranks)]
    for start in range(0, len(shares), ranks):
        least_first = sorted(range(ranks), key=lambda rank: (totals[rank], rank))
        for rank, (load, _, share) in zip(least_first, shares[start : start + ranks], strict=True):
            hands[rank].append(share)
            totals[rank] += load
    return hands


def in_order(count: int, ranks: int, micro_batches: int) -> Hands:
    """Return the pairs dealt in order, as evenly as their number allows."""
    shares = ranks * micro_batches
    cuts = [count * number // shares for number in range(shares + 1)]
    parts = [list(range(start, stop)) for start, stop in itertools.pairwise(cuts)]
    return [parts[rank::ranks] for rank in range(ranks)]


class Dealer:
    """The micro-batches of one rank, as row numbers; a batch sampler for torch's DataLoader.

    An epoch's order is the permutation that accelerate's seedable sampler draws for that seed and epoch. Each
    optimiser step takes its next `step_pairs` rows; the last step of an epoch gets the rest, in fewer micro-batches
    if those are enough. A rank left without a pair gets an empty micro-batch.

    Args:
        costs: tokens of each row.
        step_pairs: rows of an optimiser step, over all ranks.
        ranks: number of processes.
        rank: number of this process.
        micro_batches: micro-batches per rank in a full step.
        seed: seed of the order.
        steps_done: returns how many optimiser steps are done when an epoch begins.
        by_length: whether the rows of a step are dealt by length, or in order.
    """

    def __init__(
        self,
        costs: Sequence[int],
        *,
        step_pairs: int,
        ranks: int,
        rank: int,
        micro_batches: int,
        seed: int,
        steps_done: Callable[[], int],
        by_length: bool,
    ) -> None:
        assert len(costs) > 0, "an epoch without rows has no order"
        self._costs = costs
        self._step_pairs = step_pairs
        self._ranks = ranks
        self._rank = rank
        self._micro_batches = micro_batches
        self._seed = seed
        self._steps_done = steps_done
        self._by_length = by_length

    def __len__(self) -> int:
        """Return the number of this rank's micro-batches in an epoch."""
        whole, rest = divmod(len(self._costs), self._step_pairs)
        return whole * self._micro_batches + (self._micro_batches_of(rest) if rest else 0)

    def __iter__(self) -> Iterator[list[int]]:
        """Yield this rank's micro-batches of the epoch that the steps done have reached."""
        import torch

        count = len(self._costs)
        epoch = self._steps_done() // math.ceil(count / self._step_pairs)
        order = torch.randperm(count, generator=torch.Generator().manual_seed(self._seed + epoch)).tolist()
        for start in range(0, count, self._step_pairs):
            rows = order[start : start + self._step_pairs]
            for share in self._hands(rows)[self._rank]:
                yield [rows[place] for place in share]

    def _hands(self, rows: Sequence[int]) -> Hands:
        micro_batches = self._micro_batches_of(len(rows))
        if self._by_length:
            return deal([self._costs[row] for row in rows], self._ranks, micro_batches)
        return in_order(len(rows), self._ranks, micro_batches)

    def _micro_batches_of(self, pairs: int) -> int:
        """Return how many micro-batches a step of `pairs` pairs needs at the pairs per micro-batch of a full step."""
        return math.ceil(pairs * self._micro_batches / self._step_pairs)
