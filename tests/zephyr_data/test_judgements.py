"""What several rows or annotators say about the same answers, and which kept pairs are doubtful."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.zephyr_data.conftest import Command
from tests.zephyr_data.rated import generic, same, texts
from zephyr_data.pairing.doubts import RULES

Make = Callable[..., dict[str, Any]]
Write = Callable[..., Path]


def pair(prompt: str, chosen: str, rejected: str) -> str:
    return json.dumps({"prompt": prompt, "chosen": chosen, "rejected": rejected})


def rating(prompt: str, response: str, score: object, **more: object) -> str:
    return json.dumps({"prompt": prompt, "response": response, "score": score, **more})


VOTES = [
    *[pair("two to one", "a", "b"), pair("Two to one!", "b", "a"), pair("two to one", "A.", "b")],
    *[pair("one to one", "a", "b"), pair("one to one", "b", "a")],
    *[pair("all", "a", "b"), pair("all", "a", "b"), pair("all", "a", "b")],
    pair("once", "a", "b"),
]


@pytest.mark.parametrize(
    ("annotators", "kept", "dropped"),
    [
        (
            None,
            ["once", "all", "all", "all", "one to one", "one to one", "two to one", "two to one", "Two to one!"],
            {},
        ),
        ("mean", ["once", "all", "two to one"], {"outvoted": 1, "split-vote": 2, "same-pair": 3}),
        ("agree", ["once", "all"], {"contradicted": 3, "split-vote": 2, "same-pair": 2}),
    ],
)
def test_pairs_that_several_rows_judge(
    annotators: str | None, kept: list[str], dropped: dict[str, int], write: Write, binarize: Make, tmp_path: Path
) -> None:
    flags = {"annotators": annotators} if annotators else {}
    counts = binarize(write(VOTES), **flags)["counts"]
    prompts = [
        row[0]["content"]
        for row in pl.concat(map(pl.read_parquet, (tmp_path / "pairs/data").glob("*prefs*")))["prompt"]
    ]
    assert sorted(prompts) == sorted(kept)
    assert counts["dropped"] == {f"annotators/{rule}": rows for rule, rows in dropped.items()}
    assert counts["doubts"]["chosen-and-rejected"] == (0 if annotators else 5)
    again = binarize(write(VOTES[::-1], "reversed.jsonl"), out="reversed", workers=2, **flags)
    assert same(again, binarize(tmp_path / "pairs", out="again", **flags))


def test_votes_are_on_record(write: Write, binarize: Make, tmp_path: Path) -> None:
    binarize(write(VOTES), annotators="mean")
    dropped = pl.read_parquet(tmp_path / "pairs" / "audit" / "dropped.parquet")
    assert set(dropped.filter(rule="outvoted")["matched"]) == {"1 of 3 rows"}
    assert set(dropped.filter(rule="same-pair", line=8)["matched"]) == set(dropped.filter(line=7)["row_key"])


RATED = [
    *[rating("p", "a", 5, annotator="x"), rating("p", "b", 4, annotator="x"), rating("p", "c", 1, annotator="x")],
    *[rating("p", "a", 2, annotator="y"), rating("p", "b", 4, annotator="y"), rating("p", "c", 1, annotator="y")],
]


@pytest.mark.parametrize("annotators", [None, "mean", "agree"])
def test_answers_that_several_annotators_rate(
    annotators: str | None, write: Write, command: Command, tmp_path: Path
) -> None:
    flags = [f"--annotators={annotators}"] if annotators else []
    ended = command("data", "binarize", write(RATED), "--out=pairs", "--rejected=all-pairs", *flags)
    assert ended.code == 0 and re.search(r"answers rated more than once +3 +1 differ", ended.out)
    rows = pl.concat(map(pl.read_parquet, (tmp_path / "pairs" / "data").glob("*prefs*")))
    found = [(row["chosen"][0]["content"], row["rejected"][0]["content"], row["margin"]) for row in rows.to_dicts()]
    means = [("b", "c", 3.0), ("b", "a", 0.5), ("a", "c", 2.5)]
    assert sorted(found) == sorted(means[:1] if annotators == "agree" else means)
    hits = pl.read_parquet(tmp_path / "pairs" / "audit" / "rules.parquet").filter(rule="annotators-differ")
    assert hits["hit_rows"].to_list() == ([1] if annotators == "agree" else [])


def test_ratings_of_one_aspect_in_a_list_may_differ_too(write: Write, binarize: Make, tmp_path: Path) -> None:
    answers = [("a", [5, 2]), ("b", [3, 3]), ("c", [2, 2])]
    row = {"prompt": "p", "responses": [{"response": text, "ratings": {"good": list_}} for text, list_ in answers]}
    binarize(write([json.dumps(row)]), rejected="lowest")
    assert texts(tmp_path / "pairs") == {"p": ("a", "c")}
    binarize(tmp_path / "pairs", out="agreed", annotators="agree")
    assert texts(tmp_path / "agreed") == {"p": ("b", "c")}


LONG = "The train to the coast leaves at nine and stops at every village on the way, so take a book with you"
DOUBTFUL = {
    "refusal-chosen": [pair("p", "I'm sorry, but as an AI language model, I cannot read a book.", "It is on the shelf.")],
    "near-equal-sides": [pair("p", f"{LONG}.", f"{LONG}, please!"), pair("q", "One, two.", "two one")],
    "chosen-and-rejected": [pair("p", "a", "b"), pair("P", "c", "A!"), pair("other", "b", "a")],
}  # fmt: skip
SOUND = [
    pair("x", "Seven.", "Eight."),
    pair("y", "I like plums.", "As an AI language model, I cannot eat."),
    pair("z", LONG, LONG[:70]),
    pair("short", "no no no no no no", "no"),
    pair("riddle", "The answer to the riddle is five.", "The answer to the riddle is nine."),
]


@pytest.mark.parametrize("rule", RULES)
def test_doubtful_pairs_are_kept_and_named(rule: str, write: Write, command: Command, tmp_path: Path) -> None:
    ended = command("data", "binarize", write([*DOUBTFUL[rule], *SOUND]), "--out=pairs")
    assert ended.code == 0 and re.search(rf"rows kept +{len(DOUBTFUL[rule]) + len(SOUND)}\b", ended.out)
    assert "doubtful pairs, kept (audit/spared.parquet): " in ended.out
    spared = pl.read_parquet(tmp_path / "pairs" / "audit" / "spared.parquet").filter(unless="report-only")
    hit = 2 if rule == "chosen-and-rejected" else len(DOUBTFUL[rule])
    assert sorted(spared["line"]) == [*range(1, hit + 1)] and set(spared["rule"]) == {rule}
    assert f"doubts/{rule}" in command("data", "why", "pairs", "rows.jsonl:1").out


def test_a_contradiction_names_the_other_row(write: Write, command: Command, tmp_path: Path) -> None:
    write([pair("p", "a", "b")], "set/1.jsonl"), write([pair("x", "a", "b"), pair("p", "c", "a")], "set/2.jsonl")
    assert command("data", "binarize", "set", "--out=pairs").code == 0
    spared = pl.read_parquet(tmp_path / "pairs" / "audit" / "spared.parquet").sort("file")
    assert spared.select("file", "line", "turn", "matched").rows() == [
        ("1.jsonl", 1, 0, "2.jsonl:2"),
        ("2.jsonl", 2, 0, "1.jsonl:1"),
    ]


def test_sound_pairs_raise_no_doubts(write: Write, command: Command) -> None:
    assert "doubtful" not in command("data", "binarize", write(SOUND), "--out=pairs").out


def test_answers_of_one_row_do_not_contradict_it(write: Write, binarize: Make) -> None:
    content = binarize(write([generic("p", [3, 2, 1])]), rejected="all-pairs")
    assert content["counts"]["pairs"] == 3 and content["counts"]["doubts"]["chosen-and-rejected"] == 0
