"""Given pairs with a published split keep it; a prompt is never on both sides; everything else is drawn."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.zephyr_data.conftest import Command
from tests.zephyr_data.rated import generic, same
from zephyr_data.sources.published import side_of, side_of_file

Make = Callable[..., dict[str, Any]]
Write = Callable[..., Path]
TRAIN, TEST = [f"t{number}" for number in range(6)], ["x", "y", "z"]


def lines(prompts: Iterable[str], **more: object) -> list[str]:
    return [json.dumps({"prompt": prompt, "chosen": "a", "rejected": "b", **more}) for prompt in prompts]


def prompts_of(folder: Path, split: str) -> list[str]:
    rows = pl.concat(map(pl.read_parquet, sorted((folder / "data").glob(f"{split}-*"))))
    return sorted(turns[0]["content"] for turns in rows["prompt"])


NAMES = {
    "h4": ("data/train_prefs-00000-of-00001.jsonl", "data/test_prefs-00000-of-00001.jsonl"),
    "folders": ("train/part-0.jsonl", "validation/part-0.jsonl"),
    "one file, whose name says less than its column": ("train.jsonl", None),
}


@pytest.mark.parametrize("kind", NAMES)
def test_a_published_split_stays(kind: str, write: Write, binarize: Make, tmp_path: Path) -> None:
    first, second = NAMES[kind]
    if second is None:
        write([*lines(TRAIN, split="train"), *lines(TEST, split="val")], f"set/{first}")
    else:
        write(lines(TRAIN), f"set/{first}"), write(lines(TEST), f"set/{second}")
    content = binarize(tmp_path / "set", out="pairs")
    assert prompts_of(tmp_path / "pairs", "train_prefs") == TRAIN == prompts_of(tmp_path / "pairs", "train_sft")
    assert prompts_of(tmp_path / "pairs", "test_prefs") == TEST
    assert content["splits"]["test_sft"]["rows"] == 2, "half of the test prompts, rounded up"
    assert content["counts"]["published"] == {"train": 6, "test": 3}
    assert same(binarize(tmp_path / "pairs", out="again"), content)


def test_a_prompt_of_both_sides_stays_in_the_test_side(write: Write, command: Command, tmp_path: Path) -> None:
    write(lines([*TRAIN, "x", "x"]), "set/train.jsonl"), write(lines(TEST), "set/test.jsonl")
    ended = command("data", "binarize", "set", "--out=pairs")
    assert ended.code == 0 and "dropped: splits/prompt-in-test" in ended.out and "published as test" in ended.out
    assert prompts_of(tmp_path / "pairs", "train_prefs") == TRAIN
    dropped = pl.read_parquet(tmp_path / "pairs" / "audit" / "dropped.parquet")
    assert dropped.select("file", "line").rows() == [("train.jsonl", 7), ("train.jsonl", 8)]


@pytest.mark.parametrize(
    ("name", "flags"), [("train.jsonl", {}), ("test.jsonl", {}), ("train.jsonl", {"test_prompts": 2})]
)
def test_else_sides_are_drawn(name: str, flags: dict[str, Any], write: Write, binarize: Make, tmp_path: Path) -> None:
    if flags:
        write(lines(TEST, split="test"), "set/more.jsonl")
    write(lines(f"p{number}" for number in range(60)), f"set/{name}")
    plain = write([line for path in sorted((tmp_path / "set").iterdir()) for line in path.read_text().splitlines()])
    plain.write_text(plain.read_text().replace('"split": "test"', '"split": "all"'))
    content, drawn = binarize(tmp_path / "set", out="named", **flags), binarize(plain, out="plain", **flags)
    assert content["splits"] == drawn["splits"] and content["splits"]["test_prefs"]["rows"] == 2


def test_rows_without_a_side_follow_their_prompt_or_are_drawn(write: Write, binarize: Make, tmp_path: Path) -> None:
    write(lines(TRAIN), "set/train.jsonl"), write(lines(TEST), "set/test.jsonl")
    others = [f"other {number}" for number in range(40)]
    write(lines([*others, "x", "t0"]), "set/rows.jsonl")
    write([generic("y", [2, 1])], "set/train_rated.jsonl")
    binarize(tmp_path / "set", out="pairs")
    tests = prompts_of(tmp_path / "pairs", "test_prefs")
    assert len(tests) == 6 and [prompt for prompt in tests if prompt not in others] == ["x", "x", "y", "y", "z"]
    assert prompts_of(tmp_path / "pairs", "train_prefs").count("t0") == 2


def test_names_of_sides() -> None:
    names = {
        "train": [
            "train",
            "train_prefs",
            "TRAIN-00000-of-00002.parquet",
            "helpful/train.jsonl.gz",
            "eval/train_1.jsonl",
        ],
        "test": [
            "test",
            "test_prefs",
            "validation.jsonl",
            "dev-1.jsonl",
            "test/part-0.parquet",
            "test/x/part-0.parquet",
        ],
        None: ["rows.jsonl", "training-test.jsonl", "trainer.jsonl", "contest.jsonl", "latest.jsonl", ""],
    }
    assert {side: [name for name in each if side_of_file(name) == side] for side, each in names.items()} == names
    assert side_of(None) is None
