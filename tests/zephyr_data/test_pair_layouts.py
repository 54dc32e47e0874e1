"""`zephyr data binarize`: the dataset that it writes, in both layouts, and its test side."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest

from tests.zephyr_data.rated import generic, many, pairs
from zephyr_core.keys import draws, text_key
from zephyr_data import schemas
from zephyr_data.stages.splits import assign_pair_sides

Make = Callable[..., dict[str, Any]]
Write = Callable[..., Path]


def test_trainer_layout(write: Write, binarize: Make, tmp_path: Path) -> None:
    turns = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello"},
        {"role": "user", "content": "A plum?"},
    ]
    content = binarize(write([generic(turns, [1, 3, 2], source="mine")]), rejected="all-lower")
    first, second = pairs(tmp_path / "pairs")
    assert list(first) == schemas.PAIRS.names
    assert first["prompt"] == [{"content": turn["content"], "role": turn["role"]} for turn in turns]
    assert first["chosen"] == [{"content": "b", "role": "assistant"}]
    assert [row["rejected"][0]["content"] for row in (first, second)] == ["c", "a"]
    assert (first["source"], first["chosen_model"], first["rejected_model"]) == ("mine", "m-b", "m-c")
    assert first["candidates"] == [
        {"response": text, "model": f"m-{text}", "score": score}
        for text, score in zip("abc", [1.0, 3.0, 2.0], strict=True)
    ]
    assert first["prompt_id"] == text_key("Hi") and first["messages"] == [*first["prompt"], *first["chosen"]]
    (sft,), (gen,) = pairs(tmp_path / "pairs", "train_sft"), pairs(tmp_path / "pairs", "train_gen")
    assert sft == first, "one row for each rated row"
    assert gen == {**first, "messages": first["prompt"]}
    assert content["splits"]["train_prefs"]["rows"] == 2
    for split in content["splits"]:
        (shard,) = (tmp_path / "pairs" / "data").glob(f"{split}-*.parquet")
        assert pq.read_schema(shard).remove_metadata() == schemas.PAIRS


def test_h4_layout(write: Write, binarize: Make, tmp_path: Path) -> None:
    binarize(write([generic("A plum?", [1, 3])]), layout="h4")
    (row,) = pairs(tmp_path / "pairs")
    user = {"content": "A plum?", "role": "user"}
    assert row == {
        "prompt": "A plum?",
        "prompt_id": text_key("A plum?"),
        "chosen": [user, {"content": "b", "role": "assistant"}],
        "rejected": [user, {"content": "a", "role": "assistant"}],
        "messages": [user, {"content": "b", "role": "assistant"}],
        "score_chosen": 3.0,
        "score_rejected": 1.0,
    }
    assert pairs(tmp_path / "pairs", "train_gen")[0]["messages"] == [user]


def test_both_layouts_open_with_datasets(
    write: Write, binarize: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    from datasets import List, Value, load_dataset

    text, number = Value("string"), Value("float64")
    messages = List({"content": text, "role": text})
    for layout, prompt, more in (
        ("h4", text, {}),
        ("trainer", messages, {"margin": number, "source": text, "chosen_model": text, "rejected_model": text,
                               "candidates": List({"response": text, "model": text, "score": number})}),
    ):  # fmt: skip
        content = binarize(write(many()), layout=layout, out=layout)
        loaded = load_dataset(str(tmp_path / layout), cache_dir=str(tmp_path / "cache"))
        assert list(loaded) == ["train_prefs", "test_prefs", "train_sft", "test_sft", "train_gen", "test_gen"]
        for name, split in loaded.items():
            assert len(split) == content["splits"][name]["rows"]
            assert dict(split.features) == {
                "prompt": prompt, "prompt_id": text, "chosen": messages, "rejected": messages, "messages": messages,
                "score_chosen": number, "score_rejected": number, **more,
            }  # fmt: skip
        dropped = load_dataset(
            str(tmp_path / layout), "audit-dropped", split="train", cache_dir=str(tmp_path / "cache")
        )
        assert len(dropped) == sum(content["counts"]["dropped"].values())
        rated = load_dataset(str(tmp_path / layout), "rated", split="train", cache_dir=str(tmp_path / "cache"))
        assert len(rated) == content["counts"]["rows_read"]


def test_the_test_side_holds_whole_prompts_and_half_of_it_is_for_sft(
    write: Write, binarize: Make, tmp_path: Path
) -> None:
    lines = [generic(f"p{number % 40}", [1, 2, 3], [f"{number}a", "b", "c"]) for number in range(120)]
    content = binarize(write(lines), test_prompts=8, rejected="all-lower")
    sides = {split: {row["prompt_id"] for row in pairs(tmp_path / "pairs", split)} for split in content["splits"]}
    assert len(sides["test_prefs"]) == 8 and not sides["test_prefs"] & sides["train_prefs"]
    order = sorted(sides["test_prefs"], key=lambda key: draws(42, "split", [key], 2**64)[0])
    assert sides["test_sft"] == sides["test_gen"] == set(order[:4])
    every = sides["test_prefs"] | sides["train_prefs"]
    assert set(order) == set(sorted(every, key=lambda key: draws(42, "split", [key], 2**64)[0])[:8])
    rows = {split: entry["rows"] for split, entry in content["splits"].items()}
    assert rows == {
        "train_prefs": 192,
        "test_prefs": 48,
        "train_sft": 96,
        "test_sft": 12,
        "train_gen": 96,
        "test_gen": 12,
    }


def test_how_many_test_prompts() -> None:
    for prompts, tests in ((100, 3), (19_999, 600), (20_000, 2_000)):
        sides = assign_pair_sides(pl.Series([text_key(str(number)) for number in range(prompts)]), None, 42)
        assert (sides != "train").sum() == tests and (sides == "test-sft").sum() == (tests + 1) // 2
