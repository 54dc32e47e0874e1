"""`zephyr data binarize`: the same pairs again, and other pairs of a dataset that is there."""

import gzip
import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.zephyr_data.damage import relist
from tests.zephyr_data.rated import generic, many, same
from zephyr_core.errors import DataError, PartlyDone, WrongFolder
from zephyr_data.engine.store import verify
from zephyr_data.errors import SourceError

Make = Callable[..., dict[str, Any]]
Write = Callable[..., Path]


def test_same_rows_same_pairs(write: Write, binarize: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from functools import partial

    from zephyr_data.sources.blocks import read_blocks

    lines = many()
    plain = binarize(write(lines))
    assert plain["counts"]["pairs"] > 15 and len(plain["counts"]["dropped"]) >= 8
    assert same(binarize(write(lines[::-1], "r.jsonl"), out="reversed"), plain)
    parts = [write(part, f"parts/{number}.jsonl") for number, part in enumerate((lines[40:], lines[:40]))]
    assert same(binarize(*parts, out="parts-out", workers=2, shard_rows=7), plain)
    monkeypatch.setattr("zephyr_data.engine.inputs.read_blocks", partial(read_blocks, block_bytes=5_000))
    assert same(binarize(write(random.Random(1).sample(lines, len(lines)), "s.jsonl"), out="shuffled"), plain)
    verify(tmp_path / "parts-out")


@pytest.mark.parametrize(
    "flags",
    [
        {},
        {"rejected": "random-any", "ties": "first"},
        {"rejected": "all-pairs", "layout": "h4"},
        {"rejected": "h4-v1"},
        {"score": "overall", "suspicious_tens": "keep", "keep_benchmarks": True},
        {"score": "aspect:honesty", "min_margin": 1.0, "seed": 7},
    ],
    ids=str,
)
def test_other_pairs_of_a_made_dataset_are_those_of_the_raw_file(
    write: Write, binarize: Make, tmp_path: Path, flags: dict[str, Any]
) -> None:
    path = write(many())
    binarize(path, out="first", rejected="lowest", ties="drop", layout="h4")
    path.rename(tmp_path / "kept-away.jsonl")
    again = binarize(tmp_path / "first", out="again", **flags)
    assert same(again, binarize(tmp_path / "kept-away.jsonl", out="direct", **flags))
    places = [
        pl.read_parquet(tmp_path / out / "audit" / "dropped.parquet")["line"].sort() for out in ("again", "direct")
    ]
    assert places[0].equals(places[1]), "the audit leads to the raw lines"
    third = binarize(tmp_path / "again", out="third", **flags)
    assert same(third, again), "and so on"


def test_a_dataset_of_pairs_in_the_home_folder_is_a_source(
    binarize: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = binarize(out="first")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert binarize("~/first", out="second")["splits"] == first["splits"]


def test_a_dataset_of_dialogues_is_no_source_of_pairs(binarize: Make, clean: Make, tmp_path: Path) -> None:
    clean()
    with pytest.raises(WrongFolder, match="is a dataset of dialogues, not a set of rated rows"):
        binarize(tmp_path / "out")


def test_a_dataset_of_pairs_without_its_rated_rows_is_no_source(binarize: Make, tmp_path: Path) -> None:
    binarize(out="first")
    shutil.rmtree(tmp_path / "first" / "rated")
    with pytest.raises(DataError, match=r"first is damaged: rated/rated-00000-of-00001\.parquet is missing"):
        binarize(tmp_path / "first", out="second")
    relist(tmp_path / "first")
    with pytest.raises(SourceError, match="holds no rated rows"):
        binarize(tmp_path / "first", out="second")


def test_keep_dropped_on_a_made_dataset_stores_its_rows(write: Write, binarize: Make, tmp_path: Path) -> None:
    lines = ["", generic("p", [3, 1]), generic("q", [2, 2], id="x"), "broken"]
    binarize(write(lines), out="first")
    binarize(tmp_path / "first", out="again", keep_dropped=True)
    rows = pl.read_parquet(tmp_path / "again" / "dropped_rows" / "dropped.parquet")
    assert rows["line"].to_list() == [3, 4]
    assert (
        json.loads(rows["raw"][0])["id"] == "x" and json.loads(rows["raw"][1])["dropped_by"] == "read/unreadable-line"
    )


def test_what_an_input_lacked_is_not_forgotten(write: Write, binarize: Make, tmp_path: Path) -> None:
    whole = gzip.compress("\n".join(generic(os.urandom(60).hex(), [3, 1]) for _ in range(3000)).encode())
    (tmp_path / "x.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(PartlyDone, match="ends inside a compressed block"):
        binarize(tmp_path / "x.jsonl.gz", out="first")
    with pytest.raises(PartlyDone, match=r"lacks what x\.jsonl\.gz of .* ends inside a compressed block"):
        binarize(tmp_path / "first", out="again")
