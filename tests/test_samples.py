"""The embedded samples say what is to happen to each of them; every defect and look-alike that the rules speak of."""

import json
from collections import Counter
from typing import Any

import polars as pl
import pytest

from tests.conftest import ROOT
from zephyr_core import recipe
from zephyr_core.keys import row_key

SAMPLES = ROOT / "recipes" / "samples" / "ultrachat"


def expectations() -> dict[str, dict[str, Any]]:
    found = {}
    for path in sorted(SAMPLES.glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").split("\n"):
            try:
                row = json.loads(line)
            except ValueError:
                continue
            if isinstance(row, dict) and "expect" in row:
                found[row["id"]] = row
    return found


EXPECTED = expectations()


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, pl.DataFrame]:
    from zephyr_data.cleaning.ultrachat import CLEANING
    from zephyr_data.make import DataRequest, run

    out = tmp_path_factory.mktemp("samples") / "out"
    run(CLEANING, DataRequest(recipe.load("tiny"), {"sources": ("samples:ultrachat",)}, out))
    found = {name: pl.read_parquet(out / "audit" / f"{name}.parquet") for name in ("dropped", "kept", "rewritten")}
    data = {name: pl.read_parquet(out / "data" / f"{name}_sft-*.parquet") for name in ("train", "test")}
    messages = [data[row["split"][:-4]]["messages"][row["row"]] for row in found["kept"].rows(named=True)]
    turns = [[message["content"] for message in row] for row in messages]
    return {**found, "turns": found["kept"].with_columns(turns=pl.Series(turns))}


def test_there_are_a_few_hundred_with_every_family() -> None:
    outcomes = Counter(row["expect"]["outcome"] for row in EXPECTED.values())
    assert sum(outcomes.values()) >= 300 and min(outcomes[name] for name in ("keep", "drop", "recase", "one-of")) >= 10
    families = {rule["why"] for row in EXPECTED.values() if (rule := row["expect"])["outcome"] == "drop"}
    assert families >= {
        "as-an-ai",
        "is-an-ai",
        "lacks-body",
        "lacks-feelings",
        "no-access",
        "training-cutoff",
        "read",
        "language",
    }


def test_what_is_to_be_dropped_is_dropped_at_its_stage(tables: dict[str, pl.DataFrame]) -> None:
    stage = dict(tables["dropped"].filter(pl.col("id").is_not_null()).select("id", "stage").rows())
    stages = {"read": "read", "language": "language"}
    wrong = {
        name: stage.get(name)
        for name, row in EXPECTED.items()
        if row["expect"]["outcome"] == "drop"
        and stage.get(name) != stages.get(row["expect"]["why"], "phrases")
        and not (row["expect"]["why"] == "read" and name not in stage)  # an unreadable line has no id
    }
    phrases = [
        row for row in EXPECTED.values() if row["expect"]["outcome"] == "drop" and row["expect"]["why"] not in stages
    ]
    missed = [name for name in wrong if EXPECTED[name] in phrases]
    assert set(wrong) == set(missed), "faults and languages are all found"
    assert len(missed) <= 0.1 * len(phrases), missed  # wordings that no rule knows


def test_look_alikes_and_plain_rows_are_kept_word_for_word(tables: dict[str, pl.DataFrame]) -> None:
    kept = dict(tables["turns"].select("id", "turns").rows())
    plain = {name: row["data"] for name, row in EXPECTED.items() if row["expect"]["outcome"] == "keep"}
    assert {name: kept.get(name) for name in plain} == plain


def test_recased_rows_are_restored_and_never_spoilt(tables: dict[str, pl.DataFrame]) -> None:
    kept = dict(tables["turns"].select("id", "turns").rows())
    damaged = right = wrong = 0
    for name, row in EXPECTED.items():
        for turn, whole in row["expect"].get("restored", {}).items():
            before, after = row["data"][int(turn)].split(), kept[name][int(turn)].split()
            for was, now, truth in zip(before, after, whole.split(), strict=True):
                damaged += was != truth
                right += was != truth == now
                wrong += now not in (was, truth)
    assert wrong == 0
    assert right >= 0.95 * damaged, f"{right} of {damaged} damaged words"


def test_one_of_each_group_of_duplicates_is_kept(tables: dict[str, pl.DataFrame]) -> None:
    groups: dict[str, list[str]] = {}
    for name, row in EXPECTED.items():
        if row["expect"]["outcome"] == "one-of":
            groups.setdefault(row["expect"]["why"], []).append(name)
    kept = set(tables["kept"]["id"])
    for members in groups.values():
        survivors = [name for name in members if name in kept]
        assert len(survivors) == 1
        keys = {name: row_key(EXPECTED[name]["data"]) for name in members}
        assert keys[survivors[0]] == min(keys.values())
