"""`zephyr data binarize`: rows of benchmarks, and prompts that a benchmark has."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.conftest import dialogue
from tests.zephyr_data.rated import completion, generic, raw, texts
from zephyr_core.errors import UsageError
from zephyr_data.errors import SourceError
from zephyr_data.options import BinarizeOptions
from zephyr_data.pairing.binarize import BINARIZING
from zephyr_data.stages.leakage import read_prompts

Make = Callable[..., dict[str, Any]]
Write = Callable[..., Path]


def test_a_benchmark_s_row_goes_as_such_whatever_else_is_wrong_with_its_pairs(write: Write, binarize: Make) -> None:
    answers = [completion("a", "5"), completion("b", "5"), completion("a ", "4")]
    lines = [raw("p", answers, source="truthful_qa"), raw("q", [completion("a", "5"), completion("b", "1")])]
    assert binarize(write(lines), ties="first")["counts"]["dropped"] == {"benchmark/benchmark-source": 1}


def test_truthful_qa_goes_and_its_prompts_elsewhere_go_with_it(write: Write, binarize: Make, tmp_path: Path) -> None:
    answers = [completion("a", "5"), completion("b", "1")]
    unrated = [{"response": "a"}, {"response": "b"}]
    lines = [
        raw("Do pigs fly?", answers, source="truthful_qa"),
        raw("do pigs  fly", answers, source="flan"),
        raw("Do cows fly?", unrated, source="truthful_qa"),  # dropped before, and still a benchmark's prompt
        raw("Do cows fly?", answers, source="flan"),
        raw("Do birds fly?", answers, source="flan"),
    ]
    path = write(lines)
    counts = binarize(path)["counts"]
    assert counts["dropped"] == {
        "benchmark/benchmark-source": 1,
        "benchmark/prompt-of-benchmark-source": 2,
        "gates/missing-score": 1,
    }
    assert list(texts(tmp_path / "pairs")) == ["Do birds fly?"]
    assert binarize(path, keep_benchmarks=True, overwrite=True)["counts"]["kept_rows"] == 4
    assert binarize(path, benchmark_sources=("other",), overwrite=True)["counts"]["kept_rows"] == 4
    with pytest.raises(SourceError, match=r"of 5 rows all were dropped, by benchmark/.*gates/missing-score 1"):
        binarize(path, benchmark_sources=("flan",), overwrite=True)


def test_a_copy_is_told_by_its_last_turn(write: Write, binarize: Make) -> None:
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    dialogue = [*turns, {"role": "user", "content": "do PIGS fly"}]
    lines = [
        generic("Do pigs fly?", [2, 1], source="truthful_qa"),
        generic(dialogue, [2, 1]),
        generic([{"role": "user", "content": "Do pigs fly?"}, turns[1], {"role": "user", "content": "Bye"}], [2, 1]),
    ]
    dropped = binarize(write(lines))["counts"]["dropped"]
    assert dropped == {"benchmark/benchmark-source": 1, "benchmark/prompt-of-benchmark-source": 1}


def test_a_benchmark_file_exact_and_normalised(write: Write, binarize: Make, tmp_path: Path) -> None:
    answers = [completion("a", "5"), completion("b", "1")]
    lines = [raw(text, answers) for text in ("Compose a blog post.", "compose a BLOG post", "Compose a log post.")]
    bench = tmp_path / "mt.jsonl"
    bench.write_text(json.dumps({"question_id": 81, "turns": ["Compose a blog post.", "Rewrite it."]}) + "\n")
    content = binarize(write(lines), benchmark=(str(bench),))
    assert content["counts"]["dropped"] == {"benchmark/same-prompt": 1, "benchmark/same-words": 1}
    assert list(content["rules"]) == ["ultrachat", str(bench)], "the file's digest is on record"
    matched = pl.read_parquet(tmp_path / "pairs" / "audit" / "dropped.parquet")["matched"]
    assert matched.to_list() == ["mt.jsonl: Compose a blog post."] * 2
    bench.write_text(json.dumps({"turns": ["Compose a log post."]}))
    with pytest.raises(UsageError, match="the rule files"):
        binarize(write(lines), benchmark=(str(bench),))


def test_a_benchmark_s_prompt_is_found_in_any_normal_form(write: Write, binarize: Make, tmp_path: Path) -> None:
    bench = tmp_path / "b.txt"
    bench.write_text("Where is the old cafe\u0301?\n\u200b\nWelche Straße ist lang?\n", encoding="utf-8")
    prompts = (
        "Where is the old café?",
        "WELCHE STRASSE IST LANG",
        "Ｗｈｅｒｅ is the old café",
        "Where is the old cafe?",
    )
    lines = [raw(text, [completion("a", "5"), completion("b", "1")]) for text in prompts]
    assert binarize(write(lines), benchmark=(str(bench),))["counts"]["dropped"] == {"benchmark/same-words": 3}


def test_later_user_turns_are_looked_at_too(write: Write, binarize: Make, tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_text("Rewrite it.\r\n\n")
    turns = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Rewrite it."},
        {"role": "user", "content": "rewrite it"},
    ]
    dropped = binarize(
        write([generic(turns, [1, 2]), generic(turns[:1], [1, 2])]), benchmark=(str(tmp_path / "b.txt"),)
    )
    assert dropped["counts"]["dropped"] == {"benchmark/same-words": 1}
    table = pl.read_parquet(tmp_path / "pairs" / "audit" / "dropped.parquet")
    assert table["turn"].to_list() == [2]


def test_kinds_of_benchmark_files(tmp_path: Path) -> None:
    frame = pl.DataFrame({"Type": ["x", "x"], "Question": ["One?", "Two, really?"]})
    frame.write_csv(tmp_path / "b.csv")
    frame.write_parquet(tmp_path / "b.parquet")
    (tmp_path / "b.json").write_text(frame.write_json())
    (tmp_path / "b.jsonl").write_text(frame.write_ndjson())
    (tmp_path / "b.txt").write_text("One?\nTwo, really?\n")
    for suffix in ("csv", "parquet", "json", "jsonl", "txt"):
        assert read_prompts(tmp_path / f"b.{suffix}") == ["One?", "Two, really?"], suffix
    (tmp_path / "odd.jsonl").write_text('{"answer": "x"}\n')
    with pytest.raises(SourceError, match="row 1, has no prompt; found 'answer'"):
        read_prompts(tmp_path / "odd.jsonl")
    (tmp_path / "half.jsonl").write_text('{"prompt": "x"}\n{"messages": [{"role": "system", "content": "y"}]}\n')
    with pytest.raises(SourceError, match="row 2, has no prompt; found 'messages'"):
        read_prompts(tmp_path / "half.jsonl")
    (tmp_path / "M.JSONL").write_text('{"messages": [{"role": "Human", "content": "y"}]}\n')
    assert read_prompts(tmp_path / "M.JSONL") == ["y"]
    (tmp_path / "empty.txt").write_text("\n")
    with pytest.raises(SourceError, match="is empty"):
        read_prompts(tmp_path / "empty.txt")
    (tmp_path / "b.tsv").write_text("x")
    with pytest.raises(UsageError, match="has an unsupported suffix"):
        BINARIZING.reading.digests(BinarizeOptions(benchmark=(str(tmp_path / "b.tsv"),)))
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(SourceError, match="cannot be read"):
        read_prompts(tmp_path / "bad.json")
    with pytest.raises(UsageError, match="does not exist"):
        BINARIZING.reading.digests(BinarizeOptions(benchmark=(str(tmp_path / "gone.txt"),)))


QUESTION = "Which of the two harbours on the northern coast was built first, and who paid for its stone pier?"
HELD = {
    "same-prompt": QUESTION,
    "same-words": QUESTION.lower(),
    "contains-prompt": f"For school: {QUESTION} One line, please.",
    "shares-words": f"{QUESTION.removesuffix('for its stone pier?')} for the castle and its garden?",
    "near-prompt": QUESTION.replace("northern", "southern"),
}


@pytest.mark.parametrize("rule", HELD)
def test_both_steps_drop_what_holds_a_prompt(
    rule: str, write: Write, clean: Make, binarize: Make, tmp_path: Path
) -> None:
    bench = tmp_path / "questions.txt"
    bench.write_text(f"What is a pear?\n{QUESTION}\n")
    other = "Which of the two rivers is longer, and who built the first bridge over it?"
    talks = [dialogue(other, "The Elbe.", HELD[rule], "The old one."), dialogue(other, "It is the Elbe.")]
    answers = [completion("a", "5"), completion("b", "1")]
    for make, path in (
        (clean, write(talks)),
        (binarize, write([raw(HELD[rule], answers), raw(other, answers)], "rated.jsonl")),
    ):
        content = make(path, benchmark=(str(bench),))
        assert content["counts"]["dropped"] == {f"benchmark/{rule}": 1}
    dropped = pl.read_parquet(tmp_path / "out" / "audit" / "dropped.parquet")
    assert dropped.select("turn", "matched").rows() == [(2, f"questions.txt: {QUESTION}")]
