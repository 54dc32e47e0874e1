"""Real rows, when they are at hand: sums meet, residue is repaired, look-alikes stay."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.conftest import dialogue, shared
from zephyr_data.engine.store import verify

Clean = Callable[..., dict[str, Any]]
Write = Callable[..., Path]
FILES = ["ultrachat_small_000-599", "moss_rawshape_every4th155", "chatbot_arena_autoj_rawshape_even480"]


def changes(out: Path) -> list[tuple[str, str]]:
    return pl.read_parquet(out / "audit" / "rewritten.parquet").select("before", "after").rows()


@pytest.mark.parametrize("name", FILES)
def test_sums_and_laws(clean: Clean, tmp_path: Path, name: str) -> None:
    path = shared(f"ultrachat/{name}.jsonl")
    content = clean(path)
    assert content["counts"]["rows_read"] == len(path.read_text().splitlines())
    assert all(before.casefold() == after.casefold() and before != after for before, after in changes(tmp_path / "out"))
    verify(tmp_path / "out")


def test_published_rows_residue_is_repaired_and_look_alikes_stay(clean: Clean, tmp_path: Path) -> None:
    path = shared("ultrachat/ultrachat_small_000-599.jsonl")
    clean(path, on_hit="off")
    after = [text for _, text in changes(tmp_path / "out")]
    for repaired in (
        "by the Indian government to control",
        "more! French fashion has",
        'medicine wheel." These stories',
        "feels comfortable and handles well.\n\nIf you",
    ):
        assert any(repaired in text for text in after), repaired
    assert not any("op! Figures" in text or "5! To" in text or "e.g. S" in text for text in after)


def test_charles_dickens(write: Write, clean: Clean, tmp_path: Path) -> None:
    clean(write([dialogue("Who was he?", "I am happy to share this with you! charles dickens was an English writer.")]))
    assert changes(tmp_path / "out")[0][1].startswith("I am happy to share this with you! Charles")


def tree_paths(node: dict[str, Any], said: list[str]) -> list[list[str]]:
    said = [*said, node["text"]]
    return [path for reply in node["replies"] for path in tree_paths(reply, said)] if node["replies"] else [said]


def test_conversation_trees(write: Write, clean: Clean, tmp_path: Path) -> None:
    trees = [json.loads(line) for line in shared("conv/oasst_en_100_tree.jsonl").read_text().splitlines()]
    rows = [path[: len(path) // 2 * 2] for tree in trees for path in tree_paths(tree["prompt"], [])]
    rows = [row for row in rows if row]
    lines = [dialogue(*row) for row in rows]
    content = clean(write(lines))
    counts = content["counts"]
    assert counts["rows_read"] == len(rows) == counts["kept_rows"] + sum(counts["dropped"].values())
    again = clean(write(random.Random(1).sample(lines, len(lines)), "again.jsonl"), out="again")
    assert again["splits"] == content["splits"] and again["dropped_digest"] == content["dropped_digest"]
    assert all(before.casefold() == after.casefold() for before, after in changes(tmp_path / "out"))


def test_published_prompt_ids(clean: Clean, tmp_path: Path) -> None:
    path = shared("ultrafeedback/h4_ultrafeedback_binarized_16.jsonl")
    from zephyr_core.keys import text_key

    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [text_key(row["prompt"]) for row in rows] == [row["prompt_id"] for row in rows]


def test_half_of_the_chinese_rows_leave_by_language(clean: Clean) -> None:
    dropped = clean(shared("ultrachat/moss_rawshape_every4th155.jsonl"))["counts"]["dropped"]
    assert 70 <= dropped["language/detected-zh"] <= 90
    assert sum(rows for reason, rows in dropped.items() if reason.startswith("language/")) <= 92
