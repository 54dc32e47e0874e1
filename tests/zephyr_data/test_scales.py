"""Scales of ratings: another one is refused unless it is named."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.zephyr_data.conftest import Command
from tests.zephyr_data.rated import completion, generic, raw
from tests.zephyr_data.test_rated import parsed
from zephyr_data.errors import SourceError

Write = Callable[..., Path]


@pytest.mark.parametrize(("field", "scale", "is_refused"), [
    ("annotations", 10, True),
    ("annotations", 5, False),
    ("overall_score", 100, True),
    ("ratings", 10, False),
    ("score", 100, False),
])  # fmt: skip
def test_another_scale_is_refused(field: str, scale: int, is_refused: bool, write: Write) -> None:
    rows = []
    for number in range(1, 41):
        rating = 1 + number * 7 % scale
        value = {"honesty": rating, "helpfulness": rating} if field in ("annotations", "ratings") else rating
        rows.append(json.dumps({"prompt": "p", "responses": [{"response": "a", field: value}]}))
    if is_refused:
        with pytest.raises(
            SourceError, match=r"rows\.jsonl: \d+ of \d+ ratings from line 1 on are outside of their scale"
        ):
            parsed(write(rows))
    else:
        assert parsed(write(rows)).height == 40


@pytest.mark.parametrize(
    ("field", "score"), [("annotations", "mean"), ("ratings", "mean"), ("overall_score", "overall")]
)
def test_a_scale_that_is_named_is_read(field: str, score: str, write: Write, command: Command, tmp_path: Path) -> None:
    def rated(number: int, rating: float) -> dict[str, Any]:
        return {"response": f"{number}: {rating}", field: rating if score == "overall" else {"a": rating, "b": rating}}

    rows = [{"id": n, "prompt": f"p{n}", "responses": [rated(n, n * 2.5), rated(n, 50)]} for n in range(1, 41)]
    flags = ("data", "binarize", write([json.dumps(row) for row in rows]), f"--score={score}")
    if field != "ratings":
        ended = command(*flags, "--out=refused")
        assert ended.refuses(5, "outside of their scale", "`--scale MIN..MAX` sets the scale of all these numbers")
    assert command(*flags, "--out=pairs", "--scale=0..100").code == 0
    pairs = pl.concat(pl.read_parquet(path) for path in (tmp_path / "pairs" / "data").glob("*prefs*"))
    wanted = {float(max(n * 2.5, 50)) for n in range(1, 41)}
    assert set(pairs["score_chosen"]) == wanted and pairs.height == 39, "20 ties with its other answer"
    assert command(*flags, "--out=narrow", "--scale=0..70").refuses(
        5, "of 160 ratings" if score == "mean" else "of 80 ratings", "--scale says 0 to 70"
    )
    assert command("data", "binarize", "pairs", "--out=again", "--scale=0..100").refuses(5, "were read before")


@pytest.mark.parametrize("scale", ["10", "5..1", "1..1", "a..b", "1-10", "1..nan", ""])
def test_a_scale_that_is_none_is_refused(scale: str, write: Write, command: Command) -> None:
    ended = command("data", "binarize", write([generic("p", [3, 1])]), "--out=pairs", f"--scale={scale}")
    assert ended.refuses(2, "scale is", "not MIN..MAX", "--scale 1..10"), ended


def test_a_scale_repairs_no_ten(write: Write, command: Command, tmp_path: Path) -> None:
    path = write([raw("p", [completion("good", "3", overall=10), completion("bad", "3", overall=4)])])
    flags = ("data", "binarize", path, "--score=overall", "--scale=0..10")
    assert command(*flags, "--out=pairs").code == 0
    assert pl.read_parquet(tmp_path / "pairs" / "data" / "train_prefs-*.parquet")["score_chosen"].to_list() == [10.0]
    assert command(*flags, "--out=other", "--suspicious-tens=drop").refuses(
        2, "a scale means suspicious_tens 'as-read'"
    )


def test_a_few_slips_are_not_another_scale(write: Write) -> None:
    rows = [generic(f"p{number}", [1]) for number in range(3)]
    slip = json.dumps({"prompt": "p", "responses": [{"response": "a", "annotations": {"honesty": 7}}]})
    completions = parsed(write([*rows, *[slip] * 9]))["completions"].to_list()
    assert [answers[0]["unreadable"] for answers in completions] == [None] * 3 + ["7"] * 9
