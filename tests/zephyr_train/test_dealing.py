"""Each pair of a step is dealt once, to shares of like size; all ranks together read the epoch's order."""

import itertools
import math
import random
from collections.abc import Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from zephyr_train.pairs.dealing import Dealer, deal, in_order

COSTS = st.lists(st.integers(1, 2_048), max_size=70)
SOME = st.lists(st.integers(1, 2_048), min_size=1, max_size=70)
PLACES = {"ranks": st.integers(1, 16), "micro_batches": st.integers(1, 5)}


def loads(costs: Sequence[int], hands: list[list[list[int]]]) -> list[int]:
    return [sum(costs[place] for place in share) for hand in hands for share in hand]


def least_possible(costs: Sequence[int], shares: int) -> float:
    """Return a bound that no dealing can beat: the mean, the longest pair, and, of shares + 1 pairs, two in one."""
    ordered = sorted(costs, reverse=True)
    two = ordered[shares - 1] + ordered[shares] if len(ordered) > shares else 0
    return max(sum(costs) / shares, ordered[0], two)


def best(costs: Sequence[int], shares: int) -> int:
    """Return the smallest largest share of all dealings, by trying them all."""
    smallest = sum(costs)
    for places in itertools.product(range(shares), repeat=len(costs)):
        sums = [0] * shares
        for cost, place in zip(costs, places, strict=True):
            sums[place] += cost
        smallest = min(smallest, max(sums))
    return smallest


@given(costs=COSTS, **PLACES)
def test_each_pair_is_dealt_exactly_once(costs: list[int], ranks: int, micro_batches: int) -> None:
    for hands in (deal(costs, ranks, micro_batches), in_order(len(costs), ranks, micro_batches)):
        assert [len(hand) for hand in hands] == [micro_batches] * ranks
        assert sorted(place for hand in hands for share in hand for place in share) == list(range(len(costs)))
        empty = [share for hand in hands for share in hand if not share]
        assert len(empty) == max(ranks * micro_batches - len(costs), 0)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 60), min_size=1, max_size=7), st.integers(1, 4))
def test_the_longest_share_is_within_four_thirds_of_the_best(costs: list[int], shares: int) -> None:
    for ranks in {1, shares}:
        longest = max(loads(costs, deal(costs, ranks, shares // ranks)))
        assert longest <= 4 / 3 * best(costs, shares)


@given(costs=SOME, **PLACES)
def test_many_pairs_too(costs: list[int], ranks: int, micro_batches: int) -> None:
    """By a bound on the best, since all dealings are too many to try; Graham's theorem holds for it where it is tight."""
    shares = ranks * micro_batches
    longest = max(loads(costs, deal(costs, ranks, micro_batches)))
    assert longest <= least_possible(costs, shares) + max(costs) * (1 - 1 / shares)
    assert longest <= 2 * least_possible(costs, shares)


@given(costs=SOME, **PLACES)
def test_shares_read_at_one_moment_are_of_like_size(costs: list[int], ranks: int, micro_batches: int) -> None:
    """Sorted from the first micro-batch to the last: the largest of a moment is no larger than the smallest before it."""
    hands = deal(costs, ranks, micro_batches)
    moments = [[sum(costs[place] for place in hand[moment]) for hand in hands] for moment in range(micro_batches)]
    assert all(min(earlier) >= max(later) for earlier, later in itertools.pairwise(moments))


def test_unequal_counts_one_long_pair_against_three_short() -> None:
    assert deal([90, 30, 30, 30], 2, 1) == [[[0]], [[1, 2, 3]]]
    assert in_order(4, 2, 1) == [[[0, 1]], [[2, 3]]]


@pytest.mark.parametrize("ranks", [2, 4, 8, 16])
def test_thirty_two_pairs_of_ultrafeedbacks_spread_are_dealt_nearly_as_well_as_can_be(ranks: int) -> None:
    """At 16 ranks the longest pair alone is often more than a rank's mean: then nothing is left to gain."""
    draws = random.Random(1)
    by_length, by_order = [], []
    for _ in range(50):
        costs = [min(int(draws.lognormvariate(math.log(450), 0.7)), 2_048) for _ in range(32)]
        bound = least_possible(costs, 16)
        by_length.append(max(loads(costs, deal(costs, ranks, 16 // ranks))) / bound)
        by_order.append(max(loads(costs, in_order(32, ranks, 16 // ranks))) / bound)
    assert sum(by_length) / 50 < 1.01
    assert sum(by_order) / 50 > 1.2


def dealers(count: int, *, ranks: int, pairs: int = 8, micro: int = 2, done: int = 0, by_length: bool) -> list[Dealer]:
    costs = [10 + (row * 37) % 91 for row in range(count)]
    return [
        Dealer(
            costs, step_pairs=pairs, ranks=ranks, rank=rank, micro_batches=micro, seed=42, steps_done=lambda: done,
            by_length=by_length,
        )
        for rank in range(ranks)
    ]  # fmt: skip


def steps(count: int, *, ranks: int, micro: int = 2, done: int = 0, by_length: bool) -> list[set[int]]:
    """Return the rows of each optimiser step of 8 pairs, over all ranks; no row may come twice."""
    epochs = [list(dealer) for dealer in dealers(count, ranks=ranks, micro=micro, done=done, by_length=by_length)]
    assert len({len(epoch) for epoch in epochs}) == 1
    row_sets = []
    for start in range(0, len(epochs[0]), micro):
        rows = [row for epoch in epochs for share in epoch[start : start + micro] for row in share]
        assert len(set(rows)) == len(rows)
        row_sets.append(set(rows))
    return row_sets


@pytest.mark.parametrize("count", [8, 16, 19, 20, 24, 3, 1])
def test_a_step_has_the_same_rows_whatever_the_dealing(count: int) -> None:
    by_one = steps(count, ranks=1, by_length=False)
    assert set.union(*by_one) == set(range(count))
    assert [len(step) for step in by_one] == [8] * (count // 8) + ([count % 8] if count % 8 else [])
    for ranks in (1, 2, 4):
        for by_length in (False, True):
            assert steps(count, ranks=ranks, by_length=by_length) == by_one
            assert [len(dealer) for dealer in dealers(count, ranks=ranks, by_length=by_length)] == [
                len(list(dealer)) for dealer in dealers(count, ranks=ranks, by_length=by_length)
            ]


@pytest.mark.parametrize("count", [24, 19])
def test_an_epoch_has_its_own_order_which_a_resumed_run_finds_again(count: int) -> None:
    """Three steps an epoch, the last one whole or not."""
    first, second, third = (steps(count, ranks=2, done=done, by_length=True) for done in (0, 3, 6))
    assert first != second != third != first
    assert steps(count, ranks=2, done=2, by_length=True) == first
    assert steps(count, ranks=2, done=5, by_length=True) == second


@pytest.mark.parametrize(("rest", "micro_batches"), [(1, 1), (4, 1), (5, 2), (8, 2)])
def test_a_last_step_of_few_pairs_has_few_micro_batches(rest: int, micro_batches: int) -> None:
    """8 pairs a step are 2 ranks × 2 micro-batches of 2 pairs."""
    for by_length in (False, True):
        for dealer in dealers(8 + rest, ranks=2, by_length=by_length):
            assert len(list(dealer)) == len(dealer) == 2 + micro_batches


def test_the_larger_share_of_a_moment_goes_to_the_rank_that_has_less() -> None:
    """Shares 9, 5 | 4, 1: the rank with 9 gets the 1."""
    assert deal([9, 5, 4, 1], 2, 2) == [[[0], [3]], [[1], [2]]]


def test_padded_rows_are_dealt_in_order_as_trl_does() -> None:
    rows = [list(dealer) for dealer in dealers(16, ranks=2, by_length=False)]
    order = [row for moment in zip(*rows, strict=True) for share in moment for row in share]
    generator = torch.Generator().manual_seed(42)
    assert order == torch.randperm(16, generator=generator).tolist()
