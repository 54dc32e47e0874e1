"""`zephyr data leakage`: planted questions are found, rows that hold none are not, and each hit says where and how."""

import json
import random
import re
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import shared, zephyr
from tests.zephyr_train.row_shapes import turn, write_lines
from zephyr_core.errors import DIFFERENT, UsageError
from zephyr_core.paths import shipped
from zephyr_data.stages.leakage import read_prompts
from zephyr_data.stages.overlap import Questions
from zephyr_look.leaks import search
from zephyr_look.opening import open_dataset
from zephyr_look.questions import sought

DRAW = random.Random(5)
QUESTION = "Which of the two harbours on the northern coast was built first, and who paid for its long stone pier?"
PLANTED: dict[str, Callable[[str], str]] = {
    "exact": lambda text: text,
    "same-words": lambda text: re.sub(r"[.,?!']", " – ", text.upper()),
    "contained": lambda text: f"I have a test tomorrow. {text} Please answer in one line.",
    "near": lambda text: text.replace("northern", "southern"),
    "13-words": lambda text: f"{' '.join(text.split()[:16])} has a lighthouse?",
}


def kinds(texts: list[str], questions: list[str]) -> dict[tuple[int, int], str]:
    rows = Questions(pl.Series(questions, dtype=pl.String)).overlaps(pl.Series(texts, dtype=pl.String))
    return {(text, question): kind for text, question, kind, _ in rows.rows()}


def real_questions() -> list[str]:
    names = ("mt_bench/question.jsonl", "alpaca_eval/reference_text_davinci_003_805.jsonl")
    return list(dict.fromkeys(text for name in names for text in read_prompts(shared(name))))


@pytest.mark.parametrize("kind", ["exact", "same-words", "contained", "near", "13-words"])
def test_a_planted_question_has_its_kind(kind: str) -> None:
    other = "What is the name of the longest river that flows through the old town of Prague?"
    assert kinds(["A plum.", PLANTED[kind](QUESTION)], [other, QUESTION]) == {(1, 1): kind}


def test_most_runs_of_eight_words_are_enough() -> None:
    question = "Who built the old stone pier of the harbour on the northern coast?"
    assert kinds([question.replace("coast", "shore")], [question]) == {(0, 0): "8-words"}
    assert kinds([question.replace("of the harbour on", "by a river in")], [question]) == {}


def test_a_template_is_no_hit() -> None:
    template = "Here is a piece of text that I would like you to read with care before you answer:"
    texts = [f"{template} {' '.join(f'{letter}{number}' for number in range(60))}" for letter in "ab"]
    assert kinds(texts[:1], texts[1:]) == {}


def test_planted_real_questions_are_found() -> None:
    questions = real_questions()
    long = [number for number, text in enumerate(questions) if len(text.split()) >= 12]
    for kind in ("exact", "same-words", "contained"):
        planted = [PLANTED[kind](text) for text in questions]
        hits = kinds(planted, questions)
        assert all((number, number) in hits for number in long), kind
    planted = []
    for text in questions:
        words = text.split()
        words[DRAW.randrange(len(words))] = "zebra"
        planted.append(" ".join(words))
    hits = kinds(planted, questions)
    assert sum((number, number) in hits for number in long) >= 0.99 * len(long)


def test_unrelated_real_rows_are_no_hits() -> None:
    lines = shared("ultrachat/ultrachat_small_000-599.jsonl").read_text().splitlines()
    texts = [said["content"] for line in lines for said in json.loads(line)["messages"] if said["role"] == "user"]
    lines = shared("ultrafeedback/uf_binarized_trl_000-699.jsonl").read_text().splitlines()
    texts += [json.loads(line)["prompt"] for line in lines]
    assert len(texts) > 2_000
    assert not kinds(texts, real_questions())


@settings(deadline=None, max_examples=60)
@given(st.lists(st.text("ab .é“", max_size=30), max_size=4), st.lists(st.text("ab .é“", max_size=30), max_size=4))
def test_any_texts_are_compared(texts: list[str], questions: list[str]) -> None:
    hits = kinds(texts, questions)
    for number, text in enumerate(texts):
        for other, question in enumerate(questions):
            assert (hits.get((number, other)) == "exact") == (text == question)


def test_hits_name_the_row(tmp_path: Path) -> None:
    rows = [{"messages": [turn("user", text), turn("assistant", QUESTION)]} for text in ("A plum?", QUESTION.lower())]
    file = write_lines(tmp_path / "talks.jsonl", rows)
    questions = tmp_path / "questions.txt"
    questions.write_text(f"{QUESTION}\nWhat is a pear?\n{QUESTION}\n")
    record = search(open_dataset(str(file)), [sought(str(questions))])
    (hit,) = record["hits"]
    assert (hit["split"], hit["file"], hit["row"], hit["kind"]) == ("train", "talks.jsonl", 2, "same-words")
    assert (hit["question"], hit["text"]) == (QUESTION, QUESTION.lower())
    assert record["against"] == [
        {"name": str(questions), "questions": 2, "held": 1, "rows": 1, "kinds": {"same-words": 1}}
    ]


def test_the_command(tmp_path: Path) -> None:
    samples = shipped("recipes") / "samples"
    ours = tmp_path / "ours"
    zephyr("data", "clean-ultrachat", samples / "ultrachat", "--out", ours).check_returncode()
    own = zephyr("data", "leakage", ours, "--json")
    assert own.returncode == 0, own.stderr
    record = json.loads(own.stdout)
    assert record["against"][0]["name"] == "its own test rows"
    assert all(hit["split"].startswith("train") for hit in record["hits"])
    against = zephyr("data", "leakage", ours, "--against", ours, "--fail-on-hit", "--examples", "1")
    assert against.returncode == DIFFERENT
    assert "exact (1.00)" in against.stdout and "more hits" in against.stdout
    wrong = zephyr("data", "leakage", ours, "--against", tmp_path / "none.jsonl")
    assert wrong.returncode == UsageError.exit_code and "none.jsonl" in wrong.stderr


def test_a_dataset_without_test_rows_needs_questions(tmp_path: Path) -> None:
    file = write_lines(tmp_path / "talks.jsonl", [{"messages": [turn("user", "a"), turn("assistant", "b")]}])
    result = zephyr("data", "leakage", file)
    assert result.returncode == UsageError.exit_code and "--against" in result.stderr
