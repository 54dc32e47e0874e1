"""Policies, ties and margins: against hand-worked rows, and against the naive oracle on arbitrary ones."""

from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.zephyr_data.rated import H4_V1, pairs_by_hand, rated_table
from zephyr_core.keys import draw, text_key
from zephyr_data.options import POLICIES, BinarizeOptions
from zephyr_data.pairing.gates import mark_unpairable
from zephyr_data.pairing.policies import choose_pairs
from zephyr_data.stages import rules

Answers = list[tuple[str | None, str | None, float | None]]


def outcome(rows: Sequence[tuple[str, Answers]], **options: object) -> list[list[tuple[int, int]] | str]:
    """For each row its pairs as places, or the reason for having none."""
    binarize_options = BinarizeOptions(**options)  # type: ignore[arg-type]
    table = choose_pairs(binarize_options, rules.load(binarize_options.rules))(
        mark_unpairable(binarize_options)(rated_table(list(rows)))
    )
    return [
        reason or [(pair["chosen"], pair["rejected"]) for pair in pairs]
        for pairs, reason in table.select("pairs", "dropped_by").rows()
    ]


def one(
    scores: list[float | None], texts: str = "abcd", prompt: str = "p", **options: object
) -> list[tuple[int, int]] | str:
    answers: Answers = [
        (text, f"m{place}", score) for place, (text, score) in enumerate(zip(texts, scores, strict=False))
    ]
    return outcome([(prompt, answers)], **options)[0]


# ---- by hand --------------------------------------------------------------------------------------


def test_random_draws_a_strictly_lower_one_by_the_keyed_draw() -> None:
    # b is best; strictly lower are a, c, d in canonical order
    expected = [0, 2, 3][draw(42, "rejected", text_key("p"), 3)]
    assert one([1, 5, 2, 3]) == [(1, expected)]
    # a ties with b, so lower are c and d; the tie is drawn between a and b
    best = [0, 1][draw(42, "tie", text_key("p"), 2)]
    expected = [2, 3][draw(42, "rejected", text_key("p"), 2)]
    assert one([5, 5, 2, 3]) == [(best, expected)]


def test_random_any_draws_among_all_others_ties_too() -> None:
    best = [0, 1][draw(42, "tie", text_key("p"), 2)]
    others = [place for place in (0, 1, 2, 3) if place != best]
    assert one([5, 5, 2, 3], rejected="random-any") == [(best, others[draw(42, "rejected", text_key("p"), 3)])]
    assert one([4, 4], rejected="random-any") == [
        (draw(42, "tie", text_key("p"), 2), 1 - draw(42, "tie", text_key("p"), 2))
    ]


def test_lowest_and_a_drawn_one_of_two_equally_low() -> None:
    assert one([4, 5, 2, 3], rejected="lowest") == [(1, 2)]
    assert one([2, 5, 2, 3], rejected="lowest") == [(1, [0, 2][draw(42, "rejected", text_key("p"), 2)])]


def test_all_lower_gives_one_pair_each_the_highest_first() -> None:
    assert one([4, 5, 2, 3], rejected="all-lower") == [(1, 0), (1, 3), (1, 2)]
    assert one([5, 5, 2], rejected="all-lower", ties="first") == [(0, 2)]


def test_all_pairs_gives_every_strict_order_once() -> None:
    assert one([4, 5, 2, 3], rejected="all-pairs") == [(1, 0), (1, 3), (1, 2), (0, 3), (0, 2), (3, 2)]
    assert one([5, 5, 2], rejected="all-pairs", ties="first") == [(0, 2), (1, 2)]


@pytest.mark.parametrize("count", [2, 3, 4])
def test_h4_v1_against_its_documented_table(count: int) -> None:
    for chosen, rejected in H4_V1[count].items():
        scores: list[float | None] = [3.0] * count
        scores[chosen] = 9.0
        assert one(scores, rejected="h4-v1") == [(chosen, rejected)]
    for texts in ("abcd", "dcba"):
        assert one([7.0] * count, texts, rejected="h4-v1") == [(0, H4_V1[count][0])], "the file's first maximum"


def test_h4_v1_is_undefined_for_five_and_refuses_an_empty_side() -> None:
    assert one([1, 2, 3, 4, 5], "abcde", rejected="h4-v1") == "policy/undefined-for-so-many"
    answers: Answers = [("", "m", 3.0), ("b", "m", 9.0), ("c", "m", 2.0), ("d", "m", 1.0)]
    assert outcome([("p", answers)], rejected="h4-v1") == ["policy/unusable-side"]


def test_ties_first_takes_the_file_s_first_and_drop_drops() -> None:
    assert one([2, 5, 5, 5], ties="first", rejected="lowest") == [(1, 0)]
    assert one([2, 5, 5, 5], ties="drop") == "gates/tied-best"
    assert one([2, 4, 5, 3], ties="drop", rejected="lowest") == [(2, 0)]


def test_min_margin_limits_whom_the_draw_sees() -> None:
    assert one([5, 4.75, 4.5, 2], min_margin=1.0) == [(0, 3)]
    assert one([5, 4.75, 4.5, 4.25], min_margin=1.0) == "policy/margin-too-small"
    assert one([5, 4, 3, 2], min_margin=1.0, rejected="all-lower") == [(0, 1), (0, 2), (0, 3)], "exactly M is enough"
    third = 2 / 3
    assert one([8 + third, 7 + third], min_margin=1.0) == [(0, 1)], "though the floats differ by less than 1"
    assert 8 + third - (7 + third) < 1.0


def test_gates_name_the_fault() -> None:
    assert one([5]) == "gates/too-few-completions"
    assert one([5, None]) == "gates/missing-score"
    assert one([None, None, None, None]) == "gates/missing-score"
    assert one([4, 4, 4]) == "gates/no-lower-score"
    assert outcome([("p", [("x", "m", 4.0), (" x\n", "n", 2.0)])]) == ["gates/identical-texts"]
    assert outcome([("p", [("x", "m", 4.0), (" \n", "n", 2.0)])]) == ["gates/empty-response"]
    assert outcome([("p", [("x", "m", 4.0), (None, "n", 2.0)])]) == ["gates/empty-response"]
    for unseen in ("\u200b", "\ufeff", "\u2060\u00ad \u200e", "\u2800"):
        assert outcome([("p", [(unseen, "m", 4.0), ("x", "n", 2.0)])]) == ["gates/empty-response"]
    assert one([4, 4], rejected="random-any") != "gates/no-lower-score"
    assert outcome([("p", [("x", "m", 4.0), ("y", "m", 4.0), ("", "m", 5.0)])]) == ["gates/no-lower-score"]


def test_unusable_answers_are_passed_over_where_others_are_left() -> None:
    for empty in ("", "\u200b"):
        answers: Answers = [(empty, "m", 5.0), ("b", "m", None), ("c", "m", 4.0), ("d", "m", 1.0)]
        assert outcome([("p", answers)]) == [[(2, 3)]]


def test_identical_texts_are_never_paired() -> None:
    same: Answers = [("x", "m", 5.0), ("x ", "n", 1.0), ("y", "o", 3.0)]
    for policy in ("random", "random-any", "lowest", "all-lower"):
        assert outcome([("p", same)], rejected=policy) == [[(0, 2)]]
    assert outcome([("p", same)], rejected="all-pairs") == [[(0, 2), (2, 1)]]
    assert outcome([("p", [("x", "m", 5.0), ("x", "n", 1.0), ("y", "o", 5.0)])], ties="first") == [
        "policy/identical-texts"
    ]


def test_every_hit_is_counted_also_where_it_does_not_drop() -> None:
    rows = [("p", [("x", "m", 5.0), ("x", "m", 5.0), ("", "m", 3.0), ("y", "m", 1.0)])]
    table = mark_unpairable(BinarizeOptions())(rated_table(rows))
    assert table["dropped_by"].to_list() == [None]
    assert Counter(hit["rule"] for hit in table["hits"][0]) == {
        "empty-response": 1,
        "identical-texts": 1,
        "tied-best": 1,
    }


def test_a_refusal_is_not_chosen_when_rules_say_so() -> None:
    refusal = "As an AI language model, I cannot help with that."
    rows = [("p", [(refusal, "m", 5.0), ("b", "m", 3.0), ("c", "m", 1.0)])]
    assert outcome(rows, rejected="lowest") == [[(0, 2)]]
    assert outcome(rows, rejected="lowest", rules=("ultrachat",)) == ["policy/refusal-in-chosen"]
    assert outcome(rows, rejected="all-pairs", rules=("ultrachat",)) == [[(1, 2)]], "the others may be paired"


# ---- against the oracle ---------------------------------------------------------------------------

SCORE = st.one_of(st.none(), st.sampled_from([1.0, 2.0, 2.5, 3.0, 3.25, 5.0]))
ANSWER = st.tuples(
    st.sampled_from(["", " ", "\u200b", "x", "x ", "y", "é", "zz", None]), st.sampled_from(["m", "n", None]), SCORE
)
ROWS = st.lists(
    st.tuples(st.text(st.sampled_from("pqrs"), min_size=1, max_size=4), st.lists(ANSWER, min_size=1, max_size=5)),
    min_size=1,
    max_size=5,
)


@pytest.mark.parametrize("ties", ["draw", "first", "drop"])
@pytest.mark.parametrize("rejected", POLICIES)
@settings(max_examples=40, deadline=None)
@given(rows=ROWS, margin=st.sampled_from([0.0, 0.5, 2.0]), seed=st.integers(0, 3))
def test_pairs_are_those_of_the_oracle(
    rejected: str, ties: str, rows: list[tuple[str, Answers]], margin: float, seed: int
) -> None:
    if rejected == "h4-v1":
        ties = "first"
    results = outcome(rows, rejected=rejected, ties=ties, min_margin=margin, seed=seed)
    expected = [pairs_by_hand(prompt, answers, rejected, ties, margin, seed) for prompt, answers in rows]
    assert [[] if isinstance(pairs, str) else pairs for pairs in results] == expected


@settings(max_examples=40, deadline=None)
@given(rows=ROWS, order=st.permutations(range(5)))
def test_the_order_of_answers_in_a_row_does_not_matter(rows: list[tuple[str, Answers]], order: list[int]) -> None:
    def texts(rows: list[tuple[str, Answers]]) -> list[object]:
        return [
            pairs if isinstance(pairs, str) else [(answers[c], answers[r]) for c, r in pairs]
            for pairs, (_, answers) in zip(outcome(rows), rows, strict=True)
        ]

    moved = [(prompt, [answers[place] for place in order if place < len(answers)]) for prompt, answers in rows]
    assert texts(moved) == texts(rows)


def test_each_lower_answer_is_drawn_about_equally_often() -> None:
    rows: list[tuple[str, Answers]] = [
        (f"prompt {number}", [(text, "m", score) for text, score in zip("abcd", [5.0, 1, 2, 3], strict=True)])
        for number in range(3000)
    ]
    counts = Counter(pairs[0][1] for pairs in outcome(rows))
    chi_square = sum((count - 1000) ** 2 / 1000 for count in counts.values())
    assert set(counts) == {1, 2, 3} and chi_square < 13.8, counts  # p = 0.001 with two degrees of freedom
