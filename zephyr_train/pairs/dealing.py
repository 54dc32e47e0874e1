"""Who reads which pairs of an optimiser step: the same pairs in each step whatever the dealing, hence one gradient."""

import heapq
import itertools
import math
from collections.abc import Callable, Iterator, Sequence

Hands = list[list[list[int]]]  # [rank][micro-batch] → places in the step's pairs


def deal(costs: Sequence[int], ranks: int, micro_batches: int) -> Hands:
    """Return the pairs dealt into ranks × micro_batches shares of like cost, so that nobody waits for the slowest.

    Each pair, longest first, goes to the share with least (LPT): the largest share is at most 4/3 of the best possible.
    Shares of like size are read at the same moment, as ZeRO-3 keeps all processes in step; of these the largest goes to
    the rank that has least so far. A share is empty only when there are fewer pairs than shares.

    Args:
        costs: tokens that a forward pass reads for each pair.
        ranks: processes.
        micro_batches: forward passes of each process.
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
    """Return the pairs dealt in their order, as evenly as their number allows."""
    shares = ranks * micro_batches
    cuts = [count * number // shares for number in range(shares + 1)]
    parts = [list(range(start, stop)) for start, stop in itertools.pairwise(cuts)]
    return [parts[rank::ranks] for rank in range(ranks)]


class Dealer:
    """The micro-batches of one rank, as row numbers; torch's DataLoader takes it as its batch sampler.

    An epoch's order is a permutation by seed and epoch, the one that accelerate's seedable sampler draws. Each
    optimiser step takes the next `step_pairs` rows of it; the last step of an epoch has the rest, in fewer
    micro-batches where those suffice. A rank that is left without a pair gets an empty micro-batch.

    Args:
        costs: tokens of each row.
        step_pairs: rows of an optimiser step, on all ranks.
        ranks: processes.
        rank: this one.
        micro_batches: of a whole step, for each rank.
        seed: of the order.
        steps_done: says how many optimiser steps are done, when an epoch begins.
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
        """Return this rank's micro-batches of an epoch."""
        whole, rest = divmod(len(self._costs), self._step_pairs)
        return whole * self._micro_batches + (self._micro_batches_of(rest) if rest else 0)

    def __iter__(self) -> Iterator[list[int]]:
        """Yield them, of the epoch that the steps done lead to."""
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
        """Return how many micro-batches a step of so many pairs needs: as many pairs in each as in a whole step."""
        return math.ceil(pairs * self._micro_batches / self._step_pairs)
