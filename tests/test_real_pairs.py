"""Real rated rows and published pairs, when they are at hand."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.conftest import shared
from tests.zephyr_data.rated import completion, generic, raw
from zephyr_core.texts import is_empty
from zephyr_data.engine.store import verify
from zephyr_data.errors import SourceError
from zephyr_data.options import POLICIES

Make = Callable[..., dict[str, Any]]
Write = Callable[..., Path]
VICUNA = "ultrafeedback/rawshape_vicuna_80x4.jsonl"


def prefs(out: Path) -> pl.DataFrame:
    return pl.concat([pl.read_parquet(out / "data" / f"{side}_prefs-*.parquet") for side in ("train", "test")])


def published(write: Write) -> tuple[Path, list[tuple[str, str, str, float, float]]]:
    """The 716 published pairs as a generic table of two answers."""
    rows = []
    for line in shared("ultrafeedback/uf_binarized_trl_000-699.jsonl").read_text().splitlines():
        row = json.loads(line)
        rows.append((row["prompt"], row["chosen"], row["rejected"], *row["metadata"].values()))
    for line in shared("ultrafeedback/h4_ultrafeedback_binarized_16.jsonl").read_text().splitlines():
        row = json.loads(line)
        answers = [row[side][-1]["content"] for side in ("chosen", "rejected")]
        rows.append((row["prompt"], *answers, row["score_chosen"], row["score_rejected"]))
    return write([generic(prompt, [high, low], [good, bad]) for prompt, good, bad, high, low in rows]), rows


@pytest.mark.parametrize("policy", POLICIES)
def test_sums_and_order(write: Write, binarize: Make, tmp_path: Path, policy: str) -> None:
    lines = shared(VICUNA).read_text().splitlines()
    content = binarize(write(lines), rejected=policy)
    counts = content["counts"]
    assert counts["rows_read"] == 80 == counts["kept_rows"] + sum(counts["dropped"].values())
    assert counts["pairs"] == prefs(tmp_path / "pairs").height
    assert counts["tied_rows"] + counts["dropped"].get("gates/no-lower-score", 0) == 43
    verify(tmp_path / "pairs")
    for name, moved in (("reversed", lines[::-1]), ("shuffled", lines[1::2] + lines[::2])):
        again = binarize(write(moved, f"{name}.jsonl"), out=name, rejected=policy)
        assert all(again[key] == content[key] for key in ("splits", "dropped_digest", "counts"))


def test_each_lower_answer_is_drawn_about_equally_often(binarize: Make, tmp_path: Path) -> None:
    """Rows with three lower answers, ten seeds: a chi-square, which a constant index fails."""
    path, drawn, first = shared(VICUNA), Counter[int](), Counter[int]()
    for seed in range(10):
        binarize(path, seed=seed, overwrite=True)
        for row in prefs(tmp_path / "pairs").rows(named=True):
            answers = sorted(row["candidates"], key=lambda answer: (answer["response"], answer["model"]))
            lower = [answer["response"] for answer in answers if answer["score"] < row["score_chosen"]]
            if len(set(lower)) == 3:
                drawn[lower.index(row["rejected"][0]["content"])] += 1
                first[0] += 1

    def chi_square(counts: Counter[int]) -> float:
        each = counts.total() / 3
        return sum((counts[place] - each) ** 2 / each for place in range(3))

    assert drawn.total() >= 200
    assert chi_square(drawn) < 13.8 < chi_square(first), drawn  # p = 0.001 with two degrees of freedom


def test_unrated_rows_are_all_dropped_with_their_reason(write: Write, binarize: Make, tmp_path: Path) -> None:
    rows = json.loads(shared("ultrafeedback/rawschema_truthful_qa_10x4_unrated.json").read_text())
    lines = [json.dumps(row) for row in rows]
    with pytest.raises(SourceError, match="of 10 rows all were dropped, by gates/missing-score 10"):
        binarize(write(lines))
    good = raw("Name a plum.", [completion("Damson.", "5"), completion("Pear.", "1")])
    content = binarize(write([*lines, good]))
    dropped = pl.read_parquet(tmp_path / "pairs" / "audit" / "dropped.parquet")
    assert dropped.group_by("stage", "rule").len().rows() == [("gates", "missing-score", 10)]
    assert content["counts"]["kept_rows"] == 1


def test_published_pairs_hold_ties_equal_texts_and_empty_sides(write: Write, binarize: Make, tmp_path: Path) -> None:
    path, rows = published(write)
    ties = sum(high == low for *_, high, low in rows)
    equal = sum(good.strip() == bad.strip() != "" for _, good, bad, *_ in rows)
    empty = sum(is_empty(good) or is_empty(bad) for _, good, bad, *_ in rows)
    lower = sum(high < low for *_, high, low in rows)
    assert len(rows) == 716 and 0.10 < ties / 716 < 0.13 and equal and empty and not lower
    content = binarize(path)
    hits = dict(pl.read_parquet(tmp_path / "pairs" / "audit" / "rules.parquet").select("rule", "hit_rows").rows())
    assert hits["no-lower-score"] == ties
    assert hits["identical-texts"] == equal
    assert hits["empty-response"] == empty
    pairs = {
        (prompt, good, bad)
        for prompt, good, bad, high, low in rows
        if high > low and not is_empty(good) and not is_empty(bad) and good.strip() != bad.strip()
    }
    made = prefs(tmp_path / "pairs")
    assert content["counts"]["kept_rows"] == made.height
    assert {
        (r["prompt"][0]["content"], r["chosen"][0]["content"], r["rejected"][0]["content"])
        for r in made.rows(named=True)
    } == pairs


@pytest.mark.parametrize(("name", "rows", "drops"), [
    ("ultrafeedback/uf_binarized_trl_000-699.jsonl", 700, {"gates/empty-response": 2, "gates/identical-texts": 2}),
    ("ultrafeedback/h4_ultrafeedback_binarized_16.jsonl", 16, {}),
    ("prefs/llamafactory_dpo_en_demo.json", 300, {"read/system-turn": 80}),
])  # fmt: skip
def test_published_pairs_come_out(name: str, rows: int, drops: dict[str, int], binarize: Make, tmp_path: Path) -> None:
    def text(side: Any) -> str:
        return side if isinstance(side, str) else side["value"] if isinstance(side, dict) else side[-1]["content"]

    path = shared(name)
    given = (
        json.loads(path.read_text()) if path.suffix == ".json" else list(map(json.loads, path.read_text().splitlines()))
    )
    content = binarize(path)
    assert content["counts"]["rows_read"] == rows and content["counts"]["dropped"] == drops
    made = Counter(
        (row["chosen"][0]["content"], row["rejected"][0]["content"])
        for row in prefs(tmp_path / "pairs").rows(named=True)
    )
    theirs = Counter((text(row["chosen"]), text(row["rejected"])) for row in given)
    assert made <= theirs and (theirs - made).total() == sum(drops.values())


def test_published_layout(binarize: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    from datasets import load_dataset

    path = shared("ultrafeedback/h4_ultrafeedback_binarized_16.jsonl")
    cache = str(tmp_path / "cache")
    theirs = load_dataset("json", data_files=str(path), split="train", cache_dir=cache)
    content = binarize(path, layout="h4", test_prompts=4)
    ours = load_dataset(str(tmp_path / "pairs"), cache_dir=cache)
    assert content["counts"]["kept_rows"] == 16
    published = {row["prompt_id"]: row for row in theirs}
    for split in ("train_prefs", "test_prefs"):
        assert ours[split].features == theirs.features and list(ours[split].features) == list(theirs.features)
        for row in ours[split]:
            assert row == published[row["prompt_id"]]
