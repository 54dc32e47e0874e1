"""Small rows, each of a kind that failed once, through the whole pipeline; they are at hand or the test is skipped."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.conftest import SHARED, dialogue

Clean = Callable[..., dict[str, Any]]
Write = Callable[..., Path]
ROWS = SHARED / "failing" / "cleaning.jsonl"
# What becomes of a row: the beginning of its reason; outcomes in other words are spelled out below.
WANTED = {
    "dropped": "phrases/",
    "dropped by language": "language/detected-",
    "dropped, empty turn": "read/empty-turn",
    "kept": None,
    "unchanged": None,
}


def cases() -> Iterator[Any]:
    if not ROWS.exists():
        yield pytest.param(None, id="none", marks=pytest.mark.skip(reason=f"real rows are not here: {ROWS}"))
        return
    for row in map(json.loads, ROWS.read_text(encoding="utf-8").splitlines()):
        yield pytest.param(row, id=row["id"])


@pytest.mark.parametrize("row", [*cases()])
def test_row(write: Write, clean: Clean, tmp_path: Path, row: dict[str, Any]) -> None:
    beside = dialogue("What is a plum?", "A plum is a fruit with a stone.")  # a set must not be empty
    clean(write([beside, dialogue(*row["data"], row_id=row["id"])]), keep_dropped=True)
    dropped = pl.read_parquet(tmp_path / "out" / "audit" / "dropped.parquet").filter(id=row["id"])
    reason = WANTED.get(row["want"])
    if reason is not None:
        assert dropped.select(pl.format("{}/{}", "stage", "rule")).to_series()[0].startswith(reason)
        return
    assert dropped.is_empty()
    table = pl.concat([pl.read_parquet(path) for path in (tmp_path / "out" / "data").glob("*_sft-*.parquet")])
    kept = table.filter(prompt=row["data"][0])["messages"][0].to_list()
    texts = [message["content"] for message in kept]
    if row["want"] == "unchanged":
        assert texts == row["data"]
    elif row["want"] != "kept":
        check_casing(row, texts[-1])


def check_casing(row: dict[str, Any], text: str) -> None:
    """Compare with the text wanted, or, where words describe it, see that only first letters of words changed."""
    before = row["data"][-1]
    if before.casefold() == row["want"].casefold():
        assert text == row["want"]
        return
    assert text.casefold() == before.casefold()
    changed = [place for place, pair in enumerate(zip(before, text, strict=True)) if pair[0] != pair[1]]
    assert all(place == 0 or before[place - 1] == " " for place in changed)
    assert {before[place:].split()[0] for place in changed} <= {"she", "it", "sa\u0303o", "paulo"}
