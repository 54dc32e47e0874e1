"""The embedded rated rows say what is to happen to each; they hold every defect that the gates speak of."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.conftest import ROOT
from zephyr_core import recipe
from zephyr_data.make import DataRequest, run
from zephyr_data.pairing.binarize import BINARIZING

SAMPLES = ROOT / "recipes" / "samples" / "ultrafeedback" / "rated.jsonl"


def expectations() -> dict[str, dict[str, Any]]:
    found = {}
    for line in SAMPLES.read_text(encoding="utf-8").split("\n"):
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if "expect" in row:
            found[row["id"]] = row
    return found


OURS: dict[str, Any] = {"sources": ("samples:ultrafeedback",), "test_prompts": None}
EXPECTED = expectations()
PAIRED = {name: row for name, row in EXPECTED.items() if row["expect"]["outcome"] == "pair"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("samples") / "out"
    run(BINARIZING, DataRequest(recipe.load("tiny"), OURS, out))
    return out


def pairs(out: Path) -> dict[str, dict[str, Any]]:
    kept = pl.read_parquet(out / "audit" / "kept.parquet")
    splits = {name: pl.read_parquet(out / "data" / f"{name}-*.parquet") for name in ("train_prefs", "test_prefs")}
    return {row["id"]: splits[row["split"]].row(row["row"], named=True) for row in kept.rows(named=True)}


def test_every_defect_is_there() -> None:
    reasons = Counter(row["expect"].get("why", "pair") for row in EXPECTED.values())
    assert reasons["pair"] >= 60 and set(reasons) >= {
        "gates/too-few-completions",
        "gates/missing-score",
        "gates/empty-response",
        "gates/no-lower-score",
        "gates/identical-texts",
        "benchmark/benchmark-source",
        "benchmark/prompt-of-benchmark-source",
        "read/no-completions",
        "read/no-prompt",
        "read/wrong-type",
    }
    tens = [answer for row in EXPECTED.values() for answer in row["completions"] if answer.get("overall_score") == 10]
    assert len(tens) >= 5 and sum(len(row["expect"]["best"]) > 1 for row in PAIRED.values()) >= 8


def test_each_row_leaves_under_its_reason_and_no_other(made: Path) -> None:
    dropped = pl.read_parquet(made / "audit" / "dropped.parquet").filter(pl.col("id").is_not_null())
    reasons = {row["id"]: f"{row['stage']}/{row['rule']}" for row in dropped.rows(named=True)}
    assert reasons == {name: row["expect"]["why"] for name, row in EXPECTED.items() if name not in PAIRED}


def test_each_pair_is_a_best_answer_against_a_lower_one(made: Path) -> None:
    found = pairs(made)
    assert set(found) == set(PAIRED)
    for name, pair in found.items():
        row = PAIRED[name]
        texts = {
            side: [row["completions"][place]["response"] for place in row["expect"][side]] for side in ("best", "lower")
        }
        assert pair["chosen"][0]["content"] in texts["best"], name
        assert pair["rejected"][0]["content"] in texts["lower"], name


def test_length_does_not_give_the_choice_away(made: Path) -> None:
    rows = [row for row in PAIRED.values() if len(row["completions"]) == 4]
    shorter = 0
    for row in rows:
        lengths = [len(answer["response"] or "") for answer in row["completions"]]
        shorter += max(lengths) > max(lengths[place] for place in row["expect"]["best"])
    assert 0.3 < shorter / len(rows) < 0.7


def test_the_overall_score_and_its_tens(tmp_path: Path) -> None:
    content = run(BINARIZING, DataRequest(recipe.load("tiny"), {**OURS, "score": "overall"}, tmp_path / "out"))[0]
    assert content["counts"]["repaired_scores"] >= 2 and content["counts"]["dropped"]["score/suspicious-ten"] == 1
    assert 0.15 < content["counts"]["disagreeing_rows"] / content["counts"]["compared_rows"] < 0.6


def test_refusals_are_told_by_rules(tmp_path: Path) -> None:
    refusing = {name for name, row in PAIRED.items() if row["expect"].get("refusal")}
    assert len(refusing) >= 2
    run(BINARIZING, DataRequest(recipe.load("tiny"), {**OURS, "rules": ("ultrachat",)}, tmp_path / "out"))
    dropped = pl.read_parquet(tmp_path / "out" / "audit" / "dropped.parquet").filter(rule="refusal-in-chosen")
    assert refusing <= set(dropped["id"])
