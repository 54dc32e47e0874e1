"""`zephyr data binarize`: which score of an answer counts."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.zephyr_data.rated import completion, generic, pairs, raw, texts
from zephyr_core.errors import OptionError
from zephyr_data.options import BinarizeOptions

Make = Callable[..., dict[str, Any]]
Write = Callable[..., Path]


def test_mean_overall_and_aspect_are_kept_apart(write: Write, binarize: Make, tmp_path: Path) -> None:
    # means 3.5, 3.0, 2.0; overall 4, 9, 2; helpfulness (the last) 1, 2, 5
    answers = [
        completion("a", "5", "5", "3", "1", overall=4.0),
        completion("b", "4", "3", "3", "2", overall=9.0),
        completion("c", "1", "1", "1", "5", overall=2.0),
    ]
    path = write([raw("p", answers)])
    for score, chosen, high, low in (
        ("mean", "a", 3.5, 2.0),
        ("overall", "b", 9.0, 2.0),
        ("aspect:helpfulness", "c", 5.0, 1.0),
    ):
        content = binarize(path, score=score, rejected="lowest", overwrite=True)
        (row,) = pairs(tmp_path / "pairs")
        assert (row["chosen"][0]["content"], row["score_chosen"], row["score_rejected"]) == (chosen, high, low)
        assert row["margin"] == high - low
        assert (content["counts"]["compared_rows"], content["counts"]["disagreeing_rows"]) == (1, 1)


def test_the_mean_leaves_out_what_is_not_rated(write: Write, binarize: Make, tmp_path: Path) -> None:
    answers = [completion("a", "5", "N/A", "2"), completion("b", "4", "4", "4", "3"), completion("c", "N/A")]
    content = binarize(write([raw("p", answers)]))
    (row,) = pairs(tmp_path / "pairs")
    assert [row["score_chosen"], row["score_rejected"]] == [3.75, 3.5]
    assert [answer["score"] for answer in row["candidates"]] == [3.5, 3.75, None]
    rules = pl.read_parquet(tmp_path / "pairs" / "audit" / "rules.parquet").filter(rule="missing-score")
    assert rules.select("hit_rows", "dropped_rows", "hit_turns").rows() == [(1, 0, 1)]
    assert content["counts"]["kept_rows"] == 1


TENS = {
    "wrong": [completion("x", "2", "2", overall=10.0), completion("y", "4", "4", overall=7.0)],  # mean 2: a 1
    "right": [completion("x", "5", "4", overall=10.0), completion("y", "3", "3", overall=7.0)],  # mean 4.5: stays
    "open": [completion("x", "4", "4", overall=10.0), completion("y", "3", "3", overall=7.0)],  # mean 4: nobody knows
}


@pytest.mark.parametrize(
    ("suspicious", "chosen", "dropped"),
    [
        ("drop", {"wrong": "y", "right": "x"}, {"score/suspicious-ten": 1}),
        ("keep", {"wrong": "y", "right": "x", "open": "x"}, {}),
        ("as-read", {"wrong": "x", "right": "x", "open": "x"}, {}),
    ],
)
def test_tens_that_were_ones(
    write: Write, binarize: Make, tmp_path: Path, suspicious: str, chosen: dict[str, str], dropped: dict[str, int]
) -> None:
    path = write([raw(name, answers) for name, answers in TENS.items()])
    content = binarize(path, score="overall", suspicious_tens=suspicious)
    assert {prompt: pair[0] for prompt, pair in texts(tmp_path / "pairs").items()} == chosen
    assert content["counts"]["dropped"] == dropped
    repaired = int(suspicious != "as-read")
    assert content["counts"]["repaired_scores"] == repaired
    changes = pl.read_parquet(tmp_path / "pairs" / "audit" / "rewritten.parquet")
    edits = [("score", "ten-for-one", 0, "10.0 (mean rating 2.0)", "1.0")] * repaired
    assert changes.select("stage", "rule", "turn", "before", "after").rows() == edits
    rules = pl.read_parquet(tmp_path / "pairs" / "audit" / "rules.parquet").filter(rule="suspicious-ten")
    assert rules.height == repaired and rules["hit_rows"].sum() == repaired


def test_h4_v1_implies_its_score_and_refuses_another(write: Write, binarize: Make, tmp_path: Path) -> None:
    answers = [
        completion("x", "5", overall=3.0),
        completion("y", "1", overall=10.0),
        completion("z", "3", overall=10.0),
    ]
    content = binarize(write([raw("p", answers)]), rejected="h4-v1")
    assert texts(tmp_path / "pairs") == {"p": ("y", "z")}, (
        "the first maximum of the overall score as read, against place 2"
    )
    assert content["options"]["values"]["score"] == "overall"
    assert content["options"]["origins"]["score"] == "policy h4-v1"
    with pytest.raises(OptionError, match="h4-v1 means score 'overall', but flag --score asks for 'mean'"):
        binarize(write([raw("p", answers)]), rejected="h4-v1", score="mean", overwrite=True)


@pytest.mark.parametrize(
    "wrong",
    [{"rejected": "worst"}, {"score": "sum"}, {"score": "aspect:"}, {"ties": "both"}, {"layout": "h5"},
     {"min_margin": -1.0}, {"min_margin": float("nan")}, {"min_margin": float("inf")},
     {"keep_benchmarks": True, "benchmark": ("x.txt",)}, {"test_prompts": -1}, {"suspicious_tens": "maybe"}, {"limit": 0}],
)  # fmt: skip
def test_impossible_options(wrong: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match=next(iter(wrong))):
        BinarizeOptions(**wrong)


def test_a_refusal_in_the_prompt_is_no_refusal_of_the_answer(write: Write, binarize: Make, tmp_path: Path) -> None:
    refusal = "As an AI language model, I cannot help with that."
    turns = [("user", "Hi"), ("assistant", refusal), ("user", "A plum?")]
    prompt = [{"role": role, "content": text} for role, text in turns]
    lines = [
        generic(prompt, [3, 1], ["Yes.", "No."], id="fine"),
        generic(prompt, [3, 1], [refusal, "No."], id="refused"),
    ]
    binarize(write(lines), rules=("ultrachat",))
    dropped = pl.read_parquet(tmp_path / "pairs" / "audit" / "dropped.parquet")
    assert dropped.select("id", "rule").rows() == [("refused", "refusal-in-chosen")]
    assert dropped["matched"][0].startswith("as-an-ai: ")
