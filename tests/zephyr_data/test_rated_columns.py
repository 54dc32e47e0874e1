"""Columns and rows are read alike: the fast reader of rated rows is held to the slow one, on rows as odd as they come."""

import json
import math
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from tests.conftest import ROOT, shared
from tests.zephyr_data.rated import completion, generic, raw
from zephyr_data.errors import DataError
from zephyr_data.sources import rated
from zephyr_data.sources.blocks import Block, read_blocks
from zephyr_data.sources.files import local_files

Write = Callable[..., Path]


def read(path: Path, monkeypatch: pytest.MonkeyPatch, *, is_fast: bool) -> tuple[list[Any], str]:
    """Return tables and shapes of a file's blocks, or the error."""
    (file,) = local_files(str(path)).files
    with monkeypatch.context() as patch:
        if not is_fast:
            patch.setattr(rated, "read_columns", lambda *_, **__: None)
        try:
            return [rated.parse_rated(block) for block in read_blocks(file) if isinstance(block, Block)], ""
        except DataError as fault:
            return [], str(fault)


def both_alike(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fast, slow = (read(path, monkeypatch, is_fast=is_fast) for is_fast in (True, False))
    assert fast[1] == slow[1] and [shape for _, shape in fast[0]] == [shape for _, shape in slow[0]]
    for (actual, _), (expected, _) in zip(fast[0], slow[0], strict=True):
        assert actual.schema == expected.schema
        assert repr(actual.rows()) == repr(expected.rows()), "repr, since 0.0 == -0.0"


TEXTS = ["p", "Name a plum.", "é 你好 😀", 'a "quote": \\', "line\nbreak\t\r"]
ODD_TEXTS = ["", " \n", "\x1c", "\x85", "a\0b", "\ud800", "2020-01-01", "2020-01-01T10:00:00", "\u2028", 7, None, True]
# what may stand for a rating; a table takes all of its own from one of these, as an export does, or from several
RATINGS: list[list[Any]] = [
    ["5", "4", "3.5", "N/A", "1"],
    ["5", "none", " 4 ", "6", "", "0", "4.", ".5", "2e0", "NaN", "٤", "five", "00004", "3.1234567", None],
    [5, 4, 1, None],
    [5, 3.5, 4, 0, -0.0, 0.0, -1, 1e99, 1e101, 2**70, None],
    [math.nan, 3.5, math.inf, None],
    [True, None],
    [[], ["4"], [{"Rating": "4"}]],
    [None],
]
IDS: list[list[Any]] = [[1, 2, None], ["a", "2020-01-01", None], [None], [1.5], [2**63, -(2**63)], [True]]
OBJECTS: list[Callable[[Any], Any]] = [
    lambda rating: rating,
    lambda rating: {"Rating": rating, "Rationale": "because"},
    lambda rating: {"rating": rating},
    lambda rating: {"Rationale": rating},
    lambda rating: {"Rating": rating, "rating": "3"},
    lambda _: {},
    lambda _: None,
]


@st.composite
def tables(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Rows alike in type, as of one export, with a few that are not."""

    def some(of: list[Any], least: int = 1) -> list[Any]:
        return draw(st.lists(st.sampled_from(of), min_size=least, max_size=2))

    def pick(of: list[Any]) -> Any:
        return draw(st.sampled_from(of))

    def often(common: list[Any], rare: list[Any]) -> Any:
        return pick(common) if draw(st.integers(0, 9)) else pick(rare)

    prompt, answers = pick(["instruction", "prompt", "messages"]), pick(["completions", "candidates", "responses"])
    ratings, scores = (list(chain(*some(RATINGS))) for _ in range(2))
    objects, of_ratings = some(OBJECTS), some(OBJECTS)
    ids = list(chain(*some(IDS)))
    columns = draw(st.sets(st.sampled_from(["annotations", "ratings", "overall_score", "score", "model"])))

    def answer() -> Any:
        fields = {
            "annotations": {name: pick(objects)(pick(ratings)) for name in some(["honesty", "b", "a"], 0)},
            "ratings": {name: pick(of_ratings)(pick(scores)) for name in some(["a", "c"], 0)},
            "overall_score": pick(scores),
            "score": pick(scores),
            "model": often(["m", "gpt-4"], ODD_TEXTS),
        }
        some_fields = {name: value for name, value in fields.items() if name in columns and draw(st.integers(0, 9))}
        return often([{"response": often(TEXTS, ODD_TEXTS), **some_fields}], [some_fields, None, "x"])

    def row() -> dict[str, Any]:
        listed = often([[answer() for _ in range(draw(st.integers(0, 3)))]], [None, "none", {}])
        fields = {
            prompt: often(TEXTS, ODD_TEXTS),
            answers: listed,
            "id": pick(ids),
            "source": often(["flan"], ODD_TEXTS),
        }
        more = often(
            [{}], [{"prompt": "other"}, {"unused": {"a": [1, "x"]}}, {"id": None, "prompt_id": "x"}, {"x": math.nan}]
        )
        return {**fields, **more}

    return [row() for _ in range(draw(st.integers(1, 5)))]


def unpaired(value: Any) -> Any:
    """Return a value without lone surrogates, which no table holds."""
    return json.loads(json.dumps(value).replace("\\ud800", "s"))


SLOW_FIXTURES = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


@settings(max_examples=150, deadline=None, suppress_health_check=SLOW_FIXTURES)
@given(rows=tables(), ascii_only=st.booleans(), spoilt=st.sampled_from(["", "twice", "cut", "infinite", "bytes"]))
def test_lines(
    write: Write, monkeypatch: pytest.MonkeyPatch, rows: list[dict[str, Any]], ascii_only: bool, spoilt: str
) -> None:
    lines = [json.dumps(row, ensure_ascii=ascii_only or "\\ud800" in json.dumps(row)).encode() for row in rows]
    spoil = {
        "twice": lambda line: line[:-1] + b', "x": {"a": 1, "a": 1}}',
        "cut": lambda line: line[:-2],
        "infinite": lambda line: line[:-1] + b', "x": Inf}',
        "bytes": lambda line: line[:-1] + b', "x": "\xff"}',
    }
    if spoilt:
        lines[-1] = spoil[spoilt](lines[-1])
    monkeypatch.setattr(rated, "FEW", 1)
    both_alike(write(lines), monkeypatch)


@settings(max_examples=150, deadline=None, suppress_health_check=SLOW_FIXTURES)
@given(rows=tables())
def test_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: list[dict[str, Any]]) -> None:
    try:
        frame = pl.DataFrame(unpaired(rows), infer_schema_length=None, strict=True)
        frame.write_parquet(tmp_path / "rows.parquet")
    except (TypeError, pl.exceptions.PolarsError):  # types that no column takes together
        event("no table")
        return
    both_alike(tmp_path / "rows.parquet", monkeypatch)


@pytest.mark.parametrize("name", ["rawshape_vicuna_80x4.jsonl", "prometheus_vicuna_80x4_gpt4scores.jsonl"])
def test_real_rows(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    both_alike(shared(f"ultrafeedback/{name}"), monkeypatch)


def test_the_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    both_alike(ROOT / "recipes" / "samples" / "ultrafeedback" / "rated.jsonl", monkeypatch)


def test_plain_rows_are_read_by_columns(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = raw("p", [completion("a", "5", "N/A", overall=8.5), completion("b", "2", "1", overall=3.0)])
    rows, read_row = list[dict[str, Any]](), rated.read_row
    monkeypatch.setattr(rated, "read_row", lambda *row: rows.append(row[0]) or read_row(*row))  # type: ignore[func-returns-value]
    for lines, count in (
        ([good] * 3, 0),
        ([generic("p", [1.5, 2.5])] * 3, 0),
        ([good, raw(" ", []), good], 1),
        ([good, good.replace('"5"', '"six"')], 1),
    ):
        rows.clear()
        (file,) = local_files(str(write(lines))).files
        (block,) = (item for item in read_blocks(file) if isinstance(item, Block))
        rated.parse_rated(block)
        assert len(rows) == count
    pl.DataFrame([json.loads(good)] * 3).write_parquet(tmp_path / "rows.parquet")
    (block,) = (
        item for item in read_blocks(local_files(str(tmp_path / "rows.parquet")).files[0]) if isinstance(item, Block)
    )
    rows.clear()
    assert rated.parse_rated(block)[0].height == 3 and not rows
