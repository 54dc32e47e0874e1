"""Reading rated rows: both shapes, ratings of every type, and each fault by its name."""

import decimal
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.zephyr_data.rated import completion, generic, raw
from zephyr_core.keys import row_key, text_key
from zephyr_data import schemas
from zephyr_data.errors import MixedShapes, SourceError
from zephyr_data.sources.blocks import Block, read_blocks
from zephyr_data.sources.files import local_files
from zephyr_data.sources.rated import parse_rated

Write = Callable[..., Path]
GOOD = raw("Name a plum.", [completion("Damson.", "5", "4"), completion("Pear.", "1", "2")])


def parsed(path: Path, **options: Any) -> pl.DataFrame:
    (file,) = local_files(str(path)).files
    blocks = [item for item in read_blocks(file, **options) if isinstance(item, Block)]
    return pl.concat([parse_rated(block)[0] for block in blocks])


def ratings(*answers: dict[str, Any], write: Write) -> list[list[float]]:
    (completions,) = parsed(write([raw("p", list(answers))]))["completions"].to_list()
    return [[rating["rating"] for rating in answer["ratings"]] for answer in completions]


def test_a_raw_row(write: Write) -> None:
    line = raw("Name a plum.", [completion("Damson.", "5", "N/A", "4", "3", overall=8.5, model="gpt-4")], id=7)
    table = parsed(write([line]))
    assert table.schema == schemas.RATED
    (row,) = table.rows(named=True)
    assert (row["id"], row["prompt_source"], row["turns"], row["dropped_by"]) == ("7", "flan", ["Name a plum."], None)
    assert row["row_key"] == row_key(["Name a plum.", "Damson."]) and row["prompt_id"] == text_key("Name a plum.")
    (answer,) = row["completions"]
    assert (answer["response"], answer["model"], answer["overall"], answer["given"]) == ("Damson.", "gpt-4", 8.5, None)
    assert {rating["aspect"]: rating["rating"] for rating in answer["ratings"]} == {
        "instruction_following": 5.0,
        "truthfulness": 4.0,
        "helpfulness": 3.0,
    }


def test_ratings_of_every_type(write: Write) -> None:
    def aspects(value: object) -> dict[str, Any]:
        return {**completion("x"), "annotations": value}

    values = ratings(
        completion("x", "5", "N/A", " n/a ", ""),
        completion("x", 4, 3.5, None),
        aspects({"honesty": [], "helpfulness": {}, "truthfulness": None}),
        aspects({"honesty": [{"Rating": "4"}], "helpfulness": "3"}),
        aspects(None),
        aspects([]),
        aspects([{"aspect": "honesty", "Rating": "4"}, {"aspect": "help", "rating": 2}]),
        completion("x", "NaN", "5.0", ".5", "2e0"),
        write=write,
    )
    assert values == [[5.0], [3.5, 4.0], [], [3.0, 4.0], [], [], [2.0, 4.0], [2.0, 5.0]]


@pytest.mark.parametrize(
    "value", ["5 (good)", "6", 0, "0", True, "inf", -1, {"a": 1}, {"Score": "4"}, "five", "1_0", "٤", math.inf]
)
def test_an_unreadable_rating_is_left_out_and_kept_for_the_audit(write: Write, value: object) -> None:
    (completions,) = parsed(write([raw("p", [completion("x", value, "3"), completion("y", "2")])]))[
        "completions"
    ].to_list()
    assert [rating["rating"] for rating in completions[0]["ratings"]] == [3.0]
    assert completions[0]["unreadable"] == str(value) and completions[1]["unreadable"] is None


def test_nan_of_exported_tables_is_a_missing_score(write: Write) -> None:
    line = raw("p", [completion("x", "5", overall=math.nan), completion("y", "2", overall=3.0)])
    assert "NaN" in line
    (completions,) = parsed(write([line]))["completions"].to_list()
    assert [answer["overall"] for answer in completions] == [None, 3.0] and completions[0]["unreadable"] is None


def test_generic_tables(write: Write, tmp_path: Path) -> None:
    messages = [("user", "Hi"), ("assistant", "Hello"), ("user", "Name a plum."), ("assistant", "old answer")]
    turns = [{"role": role, "content": text} for role, text in messages]
    rows = [
        {"prompt": "Name a plum.", "responses": [{"response": "a", "score": "4.5", "model": "m"}]},
        {"prompt": turns, "candidates": [{"response": "a", "ratings": {"good": 3, "true": 5}}]},
        {"messages": turns, "completions": [{"response": "a", "ratings": [3, 5]}, {"response": "b", "score": -7}]},
    ]
    files = [write([json.dumps(row)], f"{number}.jsonl") for number, row in enumerate(rows)]
    first, second, third = (parsed(path).rows(named=True)[0] for path in files)
    assert first["completions"][0]["given"] == 4.5 and first["turns"] == ["Name a plum."]
    assert second["turns"] == third["turns"] == ["Hi", "Hello", "Name a plum."], "up to the last user turn"
    assert second["prompt_id"] == text_key("Hi")
    assert [rating["rating"] for rating in second["completions"][0]["ratings"]] == [3.0, 5.0]
    assert [rating["rating"] for rating in third["completions"][0]["ratings"]] == [3.0, 5.0]
    assert third["completions"][1]["given"] == -7.0


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("prose", "unreadable-line"),
        ('{"instruction": "p"', "unreadable-line"),
        ("[1]", "not-an-object"),
        ("null", "not-an-object"),
        (b'{"instruction": "\xff", "completions": [{"response": "a"}]}', "not-utf8"),
        (b'{"instruction": "p", "completions": [{"response": "\xff"}]}', "not-utf8"),
        ('{"instruction": "p", "instruction": "p", "completions": []}', "duplicate-key"),
        ('{"instruction": "p", "completions": [{"response": "a", "response": "a"}]}', "duplicate-key"),
        ('{"instruction": "p", "completions": [{"response": "a", "ratings": {"k": 1, "k": 2}}]}', "duplicate-key"),
        (
            '{"instruction": "p", "completions": [{"response": "a", "annotations": {"k": {"Rating": 1, "Rating": 2}}}]}',
            "duplicate-key",
        ),
        (
            '{"prompt": [{"role": "user", "content": "p", "content": "q"}], "responses": [{"response": "a"}]}',
            "duplicate-key",
        ),
        ('{"instruction": "\\ud800", "completions": [{"response": "a"}]}', "lone-surrogate"),
        ('{"instruction": "p", "completions": [{"response": "\\udc00"}]}', "lone-surrogate"),
        ('{"instruction": "p", "completions": [{"response": "a", "score": "\\ud800"}]}', "lone-surrogate"),
        ('{"instruction": "p", "completions": [{"response": "a", "annotations": {"\\ud800": 4}}]}', "lone-surrogate"),
        ('{"instruction": 7, "id": "\\ud800", "completions": [{"response": "a"}]}', "wrong-type"),
        (raw(None, [completion("a", "5")]), "no-prompt"),
        (raw(" \n", [completion("a", "5")]), "empty-turn"),
        (raw("\u200b\ufeff", [completion("a", "5")]), "empty-turn"),
        (raw("a\0b", [completion("a", "5")]), "nul-in-text"),
        (raw("p", [completion("a\0b", "5")]), "nul-in-text"),
        (raw("p", []), "no-completions"),
        (raw("p", None), "no-completions"),
        (raw("p", "none"), "wrong-type"),
        (raw("p", [None]), "wrong-type"),
        (raw("p", [completion(7, "5")]), "wrong-type"),  # type: ignore[arg-type]
        (raw(7, [completion("a", "5")]), "wrong-type"),
        (json.dumps({"prompt": [{"role": "system", "content": "s"}], "responses": []}), "system-turn"),
        (json.dumps({"prompt": [{"role": "user", "content": None}], "responses": []}), "null-turn"),
        (json.dumps({"prompt": [{"role": "assistant", "content": "x"}], "responses": []}), "no-prompt"),
    ],
)
def test_faults_by_name_and_the_good_rows_around_stay(write: Write, line: str | bytes, reason: str) -> None:
    good = generic("p", [1, 2]) if isinstance(line, str) and line.startswith('{"prompt"') else GOOD
    for lines, reasons in (([good, line, good], [None, f"read/{reason}", None]), ([line], [f"read/{reason}"])):
        assert parsed(write(lines))["dropped_by"].to_list() == reasons


def test_the_turn_and_text_of_a_fault(write: Write) -> None:
    turns = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello"},
        {"role": "bishop", "content": "Bless you."},
    ]
    good = generic([{"role": "user", "content": "p"}], [1, 2])
    nul = generic([{"role": "user", "content": "p"}], [1, 2], ["a", "b\0"])
    table = parsed(write([good, generic(turns, [1, 2]), nul]))
    verdicts = table.select("dropped_by", "dropped_turn", "matched").rows()
    assert verdicts == [(None, None, None), ("read/unknown-role", 2, "Bless you."), ("read/nul-in-text", 1, "b\0")]


def test_a_key_twice_is_seen_whatever_the_texts_hold(write: Write) -> None:
    tricky = raw('say ":" and "a": 1', [completion('{"a": ":", "b" : 2}', "5"), completion(':"', "1")])
    doubled = tricky.replace('"instruction": ', '"instruction" : "other", "instruction": ')
    assert parsed(write([tricky, doubled]))["dropped_by"].to_list() == [None, "read/duplicate-key"]


def test_deep_nesting_in_an_unused_column_is_one_bad_row(write: Write) -> None:
    deep = GOOD[:-1] + ', "deep": ' + "[" * 900 + "]" * 900 + "}"
    deeper = GOOD[:-1] + ', "deep": ' + "[" * 100_000 + "]" * 100_000 + "}"
    reasons = parsed(write([deep, deeper, GOOD]))["dropped_by"].to_list()
    assert reasons[1:] == ["read/unreadable-line", None] and reasons[0] in (None, "read/unreadable-line")


def test_files_of_another_kind_are_refused(write: Write) -> None:
    with pytest.raises(SourceError, match="no prompt with answers; found 'id', 'data'"):
        parsed(write(['{"id": "1", "data": ["Hi", "Hello"]}']))
    with pytest.raises(SourceError, match="no prompt with answers"):
        parsed(write(['{"prompt": "p", "responses": [{"text": "a"}]}']))
    with pytest.raises(MixedShapes, match="line 2"):
        parsed(write([GOOD, generic("p", [1, 2])]))


def test_parquet_gives_the_rows_of_json_lines(write: Write, tmp_path: Path) -> None:
    lines = [raw("p", [completion("x", "5", "N/A", overall=8.0), completion("y", "2", overall=None)]), GOOD]
    pl.DataFrame([json.loads(line) for line in lines], infer_schema_length=None).write_parquet(
        tmp_path / "rows.parquet"
    )
    read = parsed(tmp_path / "rows.parquet").drop("file", "source")
    assert read.equals(parsed(write(lines)).drop("file", "source"))


def test_a_truncated_parquet_file_is_an_error(write: Write, tmp_path: Path) -> None:
    pl.DataFrame([json.loads(GOOD)]).write_parquet(tmp_path / "rows.parquet")
    whole = (tmp_path / "rows.parquet").read_bytes()
    (tmp_path / "rows.parquet").write_bytes(whole[:-20])
    with pytest.raises(SourceError, match=r"rows\.parquet is damaged or cannot be read"):
        parsed(tmp_path / "rows.parquet")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["response", "score", "Rating", "annotations", "ratings", "role", "content", "aspect"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.dictionaries(st.sampled_from(["instruction", "completions", "source", "id"]), JSON), max_size=3)
)
def test_no_json_object_breaks_the_reader(write: Write, rows: list[dict[str, Any]]) -> None:
    table = parsed(write([GOOD, *(json.dumps(row) for row in rows)]))
    assert table.height == len(rows) + 1 and table["dropped_by"][0] is None
    sound = table.filter(pl.col("dropped_by").is_null())
    assert sound["row_key"].null_count() == 0 and (sound["completions"].list.len() > 0).all()


@pytest.mark.parametrize("kind", [pa.decimal128(2, 1), pa.decimal128(38, 4), pa.float32(), pa.uint8(), pa.int64()])
def test_scores_of_any_numeric_type(kind: pa.DataType, tmp_path: Path, write: Write) -> None:
    scores = pa.array([decimal.Decimal(number) for number in (3, 1)], pa.decimal128(2, 1)).cast(kind)
    answers = pa.StructArray.from_arrays([pa.array(["a", "b"]), scores], ["response", "score"])
    table = pa.table({"prompt": ["p"], "responses": pa.ListArray.from_arrays([0, 2], answers)})
    pq.write_table(table, tmp_path / "rows.parquet")
    of_json = parsed(write([generic("p", [3, 1])]))["completions"].to_list()[0]
    assert parsed(tmp_path / "rows.parquet")["completions"].to_list()[0] == [
        {**answer, "model": None} for answer in of_json
    ]
