"""The frozen test of truecasing on held text (`benchmarks/casing.py`), on a part of it where that is slow."""

import pytest

from benchmarks.casing import harmed_words, ours, restored_words, verdicts, words
from benchmarks.casing_texts import Row, rows, sentence_starts, whole_turns
from tests.conftest import shared

PROSE = "text/wiki_demo.txt"


@pytest.fixture(scope="module")
def held() -> list[Row]:
    shared("ultrachat/ultrachat_small_000-599.jsonl")
    return [row for row in rows() if row.is_held]


@pytest.mark.parametrize(("role", "least"), [("assistant", 0.89), ("user", 0.93)])
def test_sentence_starts_come_back(held: list[Row], role: str, least: float) -> None:
    part = held if role == "user" else held[::2]
    back, lost = restored_words(part, sentence_starts, role, ours)
    assert lost > 1_000 and back / lost >= least


@pytest.mark.parametrize("role", ["assistant", "user"])
def test_words_of_turns_all_in_lower_case_come_back(held: list[Row], role: str) -> None:
    dialogues = [row for row in held if row.file != PROSE]
    back, lost = restored_words(dialogues[::2], whole_turns, role, ours)
    assert lost > 10_000 and back / lost >= 0.61


def test_less_comes_back_of_an_encyclopaedia_which_is_full_of_names(held: list[Row]) -> None:
    prose = [row for row in held if row.file == PROSE]
    back, lost = restored_words(prose[::2], whole_turns, "assistant", ours)
    assert lost > 7_000 and 0.40 <= back / lost < 0.61


def test_undamaged_turns_are_left_alone(held: list[Row]) -> None:
    judged = verdicts(held, ours)
    for role, most in (("assistant", 0.00006), ("user", 0.0010)):
        assert harmed_words(judged, role) / words(held, role) <= most, judged
