"""JSON and Parquet, clean and binarize agree; any Arrow type in any column is a row, a named drop or a named refusal."""

import datetime
import decimal
import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.zephyr_data.conftest import Command
from zephyr_core.errors import DataError
from zephyr_data.sources.blocks import Block, read_blocks
from zephyr_data.sources.carried import carried, carried_column
from zephyr_data.sources.files import local_files
from zephyr_data.sources.parse import parse
from zephyr_data.sources.rated import parse_rated

Run = Callable[..., dict[str, Any]]
Write = Callable[..., Path]
QUESTIONS = ["How do I boil an egg?", "Which fruit has a stone?", "How long is a mile?"]
ANSWERS = ["Put it into boiling water.", "A plum is a fruit with a stone.", "A mile is about 1.6 kilometres long."]
DIALOGUES = [{"data": [question, answer]} for question, answer in zip(QUESTIONS, ANSWERS, strict=True)]
RATED = [
    {"prompt": question, "responses": [{"response": answer, "score": 8.0}, {"response": "No.", "score": 3}]}
    for question, answer in zip(QUESTIONS, ANSWERS, strict=True)
]
ROWS = {"clean": DIALOGUES, "binarize": RATED}
DAY, MOMENT = datetime.date(2024, 1, 2), datetime.datetime(2024, 1, 2, 3, 4)
# what stands in a column that is carried: values as JSON has them, and the column of Parquet
IDS: dict[str, tuple[list[Any], Any]] = {
    "text": (["a", "b", None], pa.array(["a", "b", None])),
    "integer": ([1, -2, None], pa.array([1, -2, None])),
    "large": ([2**64 - 1, 1, None], pa.array([2**64 - 1, 1, None], pa.uint64())),
    "float": ([1.0, 2.5, None], pa.array([1.0, 2.5, None])),
    "beyond": ([2**70, 1e300, -1e17], pa.array([2.0**70, 1e300, -1e17])),
    "bool": ([True, False, None], pa.array([True, False, None])),
    "struct": ([{"a": 1}, None, {}], pa.array([{"a": 1}, None, {"a": None}])),
    "list": ([["a"], [], None], pa.array([["a"], [], None])),
    "null": ([None, None, None], pa.nulls(3)),
    "mixed": (["a", 1, {}], pa.array(["a", "1", None])),
    "decimal": ([1, 2.5, None], pa.array([decimal.Decimal("1.00"), decimal.Decimal("2.50"), None])),
    "dictionary": (["a", "b", "a"], pa.array(["a", "b", "a"]).dictionary_encode()),
    "uuid": ([{}, [], True], pa.array([uuid.UUID(int=2**127 + n).bytes for n in range(3)], pa.binary(16))),
    "date": ([{}, None, []], pa.array([DAY, None, DAY])),
    "far date": ([{}, None, []], pa.array([2**30, None, 5], pa.int32()).cast(pa.date32())),
}


def table(rows: list[dict[str, Any]], **columns: Any) -> pa.Table:
    result = pa.Table.from_pylist(rows)
    for name, column in columns.items():
        result = result.append_column(name, column)
    return result


def lines(rows: list[dict[str, Any]], **columns: list[Any]) -> list[str]:
    carried_values = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    return [json.dumps({**row, **more}) for row, more in zip(rows, carried_values or [{}] * len(rows), strict=True)]


def written(place: Path, content: pa.Table) -> Path:
    place.parent.mkdir(exist_ok=True)
    with place.open("wb") as stream:
        pq.write_table(content, stream)
    return place


def parsed(path: Path, reader: Callable[[Block], tuple[pl.DataFrame, str | None]] = parse) -> pl.DataFrame:
    (file,) = local_files(str(path)).files
    return pl.concat([reader(item)[0] for item in read_blocks(file) if isinstance(item, Block)]).drop("source", "file")


@pytest.mark.parametrize("kind", IDS)
@pytest.mark.parametrize("command", ROWS)
def test_ids_decide_nothing_and_are_read_alike(command: str, kind: str, write: Write, tmp_path: Path) -> None:
    values, column = IDS[kind]
    reader = parse if command == "clean" else parse_rated
    names = {"clean": ["id", "prompt_id"], "binarize": ["id", "prompt_id", "source"]}[command]
    plain = parsed(write(lines(ROWS[command]), "plain.jsonl"), reader)
    for name in names:
        of_json = parsed(write(lines(ROWS[command], **{name: values})), reader)
        of_parquet = parsed(written(tmp_path / "rows.parquet", table(ROWS[command], **{name: column})), reader)
        shown = "prompt_source" if name == "source" else "id"
        assert of_json.equals(of_parquet), kind
        assert of_json.drop(shown).equals(plain.drop(shown)), kind
        assert of_json[shown].to_list() == [carried(value) for value in values]


@pytest.mark.parametrize("kind", ["float", "struct", "decimal"])
@pytest.mark.parametrize("command", ROWS)
def test_whole_commands_give_the_same_digests(
    command: str, kind: str, write: Write, tmp_path: Path, clean: Run, binarize: Run
) -> None:
    values, column = IDS[kind]
    run = clean if command == "clean" else binarize
    good, bad = ROWS[command], [{"data": [5, "x"]} if command == "clean" else {"prompt": "p", "responses": []}]
    paths = {
        "plain": write(lines(good + bad), "plain.jsonl"),
        "json": write(lines(good + bad, id=[*values, 4]), "rows.jsonl"),
        "parquet": written(tmp_path / "rows" / "a.parquet", table(good, id=column)).parent,
    }
    if command == "clean":
        turns = pa.array([[5, 6]], pa.list_(pa.int64()))
        written(tmp_path / "rows" / "b.parquet", pa.table({"data": turns}))
    else:
        written(
            tmp_path / "rows" / "b.parquet",
            pa.table({"prompt": ["p"], "responses": pa.array([[]], pa.list_(pa.null()))}),
        )
    contents = [run(path, out=name) for name, path in paths.items()]
    for content in contents[1:]:
        assert content["splits"] == contents[0]["splits"]
        assert content["dropped_digest"] == contents[0]["dropped_digest"]
        assert content["counts"] == contents[0]["counts"] and sum(content["counts"]["dropped"].values()) == 1


TURNS: dict[str, tuple[list[Any], Any]] = {
    "integers": ([[1, 2], None, []], pa.array([[1, 2], None, []])),
    "texts": ([["a", "b"], ["a", None], []], pa.array([["a", "b"], ["a", None], []])),
    "fixed": ([["a", "b"], None, ["c", "d"]], pa.array([["a", "b"], None, ["c", "d"]], pa.list_(pa.string(), 2))),
    "dictionary": ([["a", "b"], None], pa.array([["a", "b"], None], pa.list_(pa.dictionary(pa.int32(), pa.string())))),
    "large": ([["a", "b"]], pa.array([["a", "b"]], pa.large_list(pa.large_string()))),
    "nulls": ([[None, None], [], None], pa.array([[None, None], [], None], pa.list_(pa.null()))),
    "null": ([None, None], pa.nulls(2)),
    "a text": (["a", None], pa.array(["a", None])),
    "lists": ([[["a"], ["b"]]], pa.array([[["a"], ["b"]]])),
    "dates": ([[1], None], pa.array([[DAY], None])),
    "bytes": ([[1, 2]], pa.array([[b"\xff", b"a"]])),
}
CONTENTS: dict[str, tuple[list[Any], Any]] = {
    "integers": ([1, None], pa.array([1, None])),
    "bools": ([True, False], pa.array([True, False])),
    "texts": (["a", None], pa.array(["a", None])),
    "dictionary": (["a", "b"], pa.array(["a", "b"]).dictionary_encode()),
    "moments": ([1, 2], pa.array([MOMENT, MOMENT])),
    "null": ([None, None], pa.nulls(2)),
    "parts": ([[{"type": "text"}], None], pa.array([[{"type": "text"}], None])),
}


@pytest.mark.parametrize("kind", TURNS)
def test_lists_of_texts_of_any_type(kind: str, write: Write, tmp_path: Path) -> None:
    values, column = TURNS[kind]
    of_json = parsed(write([json.dumps({"data": value}) for value in values]))
    assert of_json.equals(parsed(written(tmp_path / "rows.parquet", pa.table({"data": column}))))


@pytest.mark.parametrize("values", [[[], []], [None, None], [[], None]])
@pytest.mark.parametrize("kind", [pa.null(), pa.list_(pa.null()), pa.list_(pa.struct([("from", pa.string())]))])
def test_an_empty_column_is_no_second_shape(kind: Any, values: list[Any], write: Write, tmp_path: Path) -> None:
    if kind == pa.null() and values != [None, None]:
        return
    dialogue = [["Hi", "Hello"]] * 2
    of_json = parsed(write([json.dumps({"data": dialogue[0], "conversations": value}) for value in values]))
    content = pa.table({"data": dialogue, "conversations": pa.array(values, kind)})
    assert of_json.equals(parsed(written(tmp_path / "rows.parquet", content)))
    assert of_json["turns"].to_list() == dialogue and of_json["dropped_by"].to_list() == [None, None]


@pytest.mark.parametrize("key", ["content", "role", "value"])
@pytest.mark.parametrize("kind", CONTENTS)
def test_turns_of_any_type(kind: str, key: str, write: Write, tmp_path: Path) -> None:
    values, column = CONTENTS[kind]
    others = {"role": ["user", "assistant"], "content": ["Hi", "Hello"]}
    fields = {**others, key: column}
    turns = pa.StructArray.from_arrays(
        [pa.array(field) if isinstance(field, list) else field for field in fields.values()], list(fields)
    )
    rows = pa.ListArray.from_arrays([0, len(turns)], turns)
    message = [{**{name: field[place] for name, field in others.items()}, key: values[place]} for place in range(2)]
    of_json = parsed(write([json.dumps({"messages": message})]))
    assert of_json.equals(parsed(written(tmp_path / "rows.parquet", pa.table({"messages": rows}))))


LEAVES: dict[str, Any] = {
    "null": pa.nulls(2),
    "bool": pa.array([True, None]),
    "i8": pa.array([1, None], pa.int8()),
    "u64": pa.array([2**63, None], pa.uint64()),
    "f16": pa.array([1.5, None], pa.float16()),
    "f32": pa.array([1.5, None], pa.float32()),
    "f64": pa.array([float("nan"), float("inf")]),
    "decimal": pa.array([decimal.Decimal("1.5"), None], pa.decimal128(38, 1)),
    "decimal256": pa.array([decimal.Decimal("1.5"), None], pa.decimal256(60, 1)),
    "text": pa.array(["a", None]),
    "view": pa.array(["a", None], pa.string_view()),
    "large": pa.array(["a", None], pa.large_string()),
    "bytes": pa.array([b"\xff", None]),
    "fixed bytes": pa.array([b"\xff\xfe", None], pa.binary(2)),
    "dictionary": pa.array(["a", None]).dictionary_encode(),
    "date": pa.array([2**30, None], pa.int32()).cast(pa.date32()),
    "moment": pa.array([MOMENT, None], pa.timestamp("ns", "Europe/Ljubljana")),
    "time": pa.array([datetime.time(1, 2), None]),
    "duration": pa.array([datetime.timedelta(days=1), None]),
    "uuid": pa.ExtensionArray.from_storage(pa.uuid(), pa.array([b"\xff" * 16, None], pa.binary(16))),
    "json": pa.ExtensionArray.from_storage(pa.json_(), pa.array(["{}", None])),
    "bool8": pa.ExtensionArray.from_storage(pa.bool8(), pa.array([1, None], pa.int8())),
    "map": pa.array([[("role", "user")], None], pa.map_(pa.string(), pa.string())),
    "list view": pa.array([["a"], None], pa.list_view(pa.string())),
}
KEYS = [
    "role",
    "content",
    "from",
    "value",
    "response",
    "score",
    "overall_score",
    "model",
    "annotations",
    "ratings",
    "Rating",
]


@st.composite
def columns(draw: st.DrawFn, depth: int = 3) -> Any:
    """A column of two rows, of any type."""
    how = draw(st.sampled_from(["leaf", "list", "fixed", "struct"] if depth else ["leaf"]))
    if how == "leaf":
        return LEAVES[draw(st.sampled_from(list(LEAVES)))]
    if how == "struct":
        keys = draw(st.lists(st.sampled_from(KEYS), min_size=1, max_size=3, unique=True))
        return pa.StructArray.from_arrays([draw(columns(depth=depth - 1)) for _ in keys], keys)
    inner = draw(columns(depth=depth - 1))
    if how == "fixed":
        return pa.FixedSizeListArray.from_arrays(inner, 1)
    return pa.ListArray.from_arrays(draw(st.sampled_from([[0, 2, 2], [0, 1, 2], [0, 0, 1]])), inner)


@pytest.mark.parametrize(("reader", "names"), [
    (parse, ["id", "prompt_id", "data", "messages", "conversations", "unused"]),
    (parse_rated, ["id", "source", "instruction", "prompt", "messages", "completions", "responses", "unused"]),
])  # fmt: skip
@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(data=st.data())
def test_any_type_in_any_column(
    tmp_path: Path, reader: Callable[[Block], tuple[pl.DataFrame, str | None]], names: list[str], data: st.DataObject
) -> None:
    used = data.draw(st.lists(st.sampled_from(names), min_size=1, max_size=4, unique=True))
    content = pa.table({name: data.draw(columns()) for name in used})
    try:
        written(tmp_path / "rows.parquet", content)
    except (pa.ArrowException, NotImplementedError):
        return
    try:
        rows = parsed(tmp_path / "rows.parquet", reader)
    except DataError as fault:
        assert "rows.parquet" in str(fault)
    else:
        assert rows.height == 2


@pytest.mark.parametrize("kind", IDS)
def test_values_and_columns_are_carried_alike(kind: str) -> None:
    column = pl.Series("x", pl.from_arrow(pa.table({"x": IDS[kind][1]}))["x"])  # type: ignore[call-overload, index]
    values = [None] * len(column) if kind == "far date" else column.to_list()
    assert carried_column(column).to_list() == [carried(value) for value in values]


def test_a_type_that_cannot_be_read_is_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    views = pa.array([{"x": ["a"]}, None], pa.struct([("x", pa.list_view(pa.string()))]))
    written(tmp_path / "rows.parquet", pa.table({"data": [["Hi", "Hello"]] * 2, "unused": views}))
    with pytest.raises(DataError, match=r"rows\.parquet: the type of column 'unused' cannot be read"):
        parsed(tmp_path / "rows.parquet")
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("kind", ["uuid", "struct", "decimal", "date"])
def test_a_row_with_an_odd_id_is_shown_and_kept_raw(kind: str, tmp_path: Path, command: Command) -> None:
    written(tmp_path / "rows.parquet", table([*DIALOGUES[:2], {"data": ["Hi"]}], id=IDS[kind][1]))
    assert command("data", "clean-ultrachat", "rows.parquet", "--keep-dropped", "--out=out").code == 0
    ended = command("data", "why", "out", "rows.parquet:1")
    assert ended.code == 0 and "raw row at rows.parquet:1" in ended.out and QUESTIONS[0] in ended.out, ended
    raw = pl.read_parquet(tmp_path / "out" / "dropped_rows" / "dropped.parquet")["raw"][0]
    assert json.loads(raw)["data"] == ["Hi"]
