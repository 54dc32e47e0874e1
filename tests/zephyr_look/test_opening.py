"""One opener for every shape that training and cleaning read; the rows in one form, read no further than needed."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.hub_server import COMMIT, HubServer
from tests.zephyr_train.row_shapes import (
    from_value_pair,
    published_pair,
    text_pair,
    trainer_pair,
    turn,
    write_lines,
    write_parquet,
)
from zephyr_core.errors import DataError, OptionError, UsageError, WrongFolder
from zephyr_core.keys import text_key
from zephyr_look.choosing import Choice, chosen_rows
from zephyr_look.opening import Dataset, open_dataset
from zephyr_look.row_form import NAMES, PLACE, ROW
from zephyr_train.reader import open_data
from zephyr_train.tokenizing.keyed_rows import keyed_rows


def rows(source: Path | str, *splits: str) -> list[dict[str, Any]]:
    return pl.concat(open_dataset(str(source), splits).frames(ROW)).to_dicts()


def chosen(dataset: Dataset, **choice: Any) -> pl.DataFrame:
    return chosen_rows(dataset, Choice(**{"rows": 99, **choice}), ROW, NAMES, PLACE)


@pytest.mark.parametrize("shape", [trainer_pair, published_pair, text_pair, from_value_pair])
def test_every_shape_of_pairs_is_one_form(shape: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    [row] = rows(write_lines(tmp_path / "a.jsonl", [shape("Which plum?", "The ripe one.", "I refuse.")]))
    assert list(row) == list(ROW)
    assert (row["kind"], row["prompt"], row["chosen"], row["rejected"]) == (
        "pairs",
        "Which plum?",
        "The ripe one.",
        "I refuse.",
    )
    assert row["messages"] == [turn("user", "Which plum?")] and row["prompt_id"] == text_key("Which plum?")
    assert row["chosen_messages"] == [turn("assistant", "The ripe one.")] and (row["file"], row["row"]) == (
        "a.jsonl",
        1,
    )


DIALOGUE = [turn("user", "A?"), turn("assistant", "B."), turn("user", "C?"), turn("assistant", "D.")]
RAW = {
    "messages": {"messages": DIALOGUE},
    "sharegpt": {
        "conversations": [
            {"from": {"user": "human", "assistant": "gpt"}[one["role"]], "value": one["content"]} for one in DIALOGUE
        ]
    },
    "ultrachat": {"id": "7", "data": ["A?", "B.", "C?", "D."]},
    "wildchat": {"conversation": DIALOGUE},
}


@pytest.mark.parametrize("shape", RAW)
def test_every_shape_of_dialogues_is_one_form(shape: str, tmp_path: Path) -> None:
    [row] = rows(write_lines(tmp_path / "a.jsonl", [RAW[shape]]))
    assert (row["kind"], row["messages"], row["turns"]) == ("dialogues", DIALOGUE, 4)
    assert (row["prompt"], row["reply"], row["prompt_id"]) == ("A?", "B.\n\nD.", text_key("A?"))
    assert row["id"] == ("7" if shape == "ultrachat" else None)


def test_rated_answers_have_the_score_that_is_given_or_the_mean_of_the_ratings(tmp_path: Path) -> None:
    answers = [{"response": "x", "score": 2, "model": "m"}, {"response": "y", "ratings": {"a": 1, "b": 4}}]
    [row] = rows(write_lines(tmp_path / "a.jsonl", [{"prompt": "P?", "responses": answers}]))
    assert row["kind"] == "rated" and [(one["model"], one["score"]) for one in row["answers"]] == [
        ("m", 2),
        (None, 2.5),
    ]


def test_the_key_is_the_one_that_training_lists(tmp_path: Path) -> None:
    file = write_lines(
        tmp_path / "a.jsonl",
        [
            {"messages": [*DIALOGUE[:3], {**DIALOGUE[3], "weight": 0}]},
            {"messages": [{**one, "weight": 1} for one in DIALOGUE]},
        ],
    )
    keys = [row.key for row in keyed_rows(open_data(str(file), "dialogues").table("train"), "dialogues")]
    assert [row["key"] for row in rows(file)] == keys and len(set(keys)) == 2


def test_rows_that_cannot_be_trained_on_are_there_with_their_reason(tmp_path: Path) -> None:
    pairs = [text_pair("a", "b", "c"), text_pair("a", "b", "b"), text_pair("a", "", "c"), text_pair("d", "e", "f")]
    file = write_lines(tmp_path / "a.jsonl", pairs)
    assert [row["unfit"] for row in rows(file)] == [None, "identical-texts", "empty-chosen", None]
    assert [row["row"] for row in rows(file)] == [1, 2, 3, 4]
    assert open_data(str(file), "pairs").table("train").num_rows == 2


def test_splits_are_those_of_training_or_as_named(tmp_path: Path) -> None:
    write_parquet(tmp_path / "data" / "train_prefs-00000-of-00001.parquet", [published_pair("a", "b", "c")])
    write_parquet(tmp_path / "data" / "test_prefs-00000-of-00001.parquet", [published_pair("d", "e", "f")])
    both = [{**published_pair("a", "b", "c"), "messages": [turn("user", "a"), turn("assistant", "b")]}]
    write_parquet(tmp_path / "data" / "train_sft-00000-of-00001.parquet", both)
    assert [(row["split"], row["prompt"]) for row in rows(tmp_path)] == [("train_prefs", "a"), ("test_prefs", "d")]
    assert [row["kind"] for row in rows(tmp_path, "train_sft")] == ["dialogues"], "as training reads that split"
    assert len(rows(tmp_path, "all")) == 3
    with pytest.raises(OptionError, match="has no split 'train_pref'; it has test_prefs") as fault:
        open_dataset(str(tmp_path), ["train_pref"])
    assert fault.value.hint == "did you mean 'train_prefs'?"


def test_a_damaged_dataset_a_lost_shard_and_other_folders_are_refused(
    clean: Callable[..., dict[str, Any]], write: Callable[..., Path], tmp_path: Path
) -> None:
    clean(write([json.dumps({"id": "1", "data": ["What is a plum?", "A plum is a small, sweet fruit with a stone."]})]))
    assert [row["split"] for row in rows(tmp_path / "out")] == ["train_sft"]
    file = next((tmp_path / "out" / "data").glob("train_sft*"))
    file.write_bytes(file.read_bytes()[:-4])
    with pytest.raises(DataError, match="damaged"):
        open_dataset(str(tmp_path / "out"))
    write_parquet(tmp_path / "b" / "train-00001-of-00002.parquet", [published_pair("a", "b", "c")])
    with pytest.raises(DataError, match="lacks train-00000-of-00002"):
        open_dataset(str(tmp_path / "b"))
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "config.json").write_text('{"model_type": "mistral"}')
    with pytest.raises(WrongFolder):
        open_dataset(str(tmp_path / "m"))
    for name in ("nothing", str(write(["x"], "a.txt"))):
        with pytest.raises(UsageError):
            open_dataset(name)


def test_a_hub_dataset_is_read_at_a_revision_and_only_its_wanted_splits_are_fetched(
    hub_server: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = hub_server.put("dataset", "lab/pairs", {"README.md": "card"})
    for split in ("train_prefs", "test_prefs", "train_sft"):
        write_parquet(folder / "data" / f"{split}-00000-of-00001.parquet", [published_pair(split, "b", "c")])
    hub_server.use(monkeypatch, tmp_path / "home")
    dataset = open_dataset("lab/pairs@v1", ["test_prefs"])
    assert dataset.splits == ("test_prefs", "train_prefs", "train_sft") and dataset.read_splits == ["test_prefs"]
    assert (dataset.commit, dataset.label) == (COMMIT, f"lab/pairs@v1 at {COMMIT}")
    assert pl.concat(dataset.frames(ROW))["prompt"].to_list() == ["test_prefs"]
    assert [Path(name).name for name in hub_server.downloads()] == ["test_prefs-00000-of-00001.parquet"]
    with pytest.raises(OptionError, match="no split 'nope'"):
        open_dataset("lab/pairs", ["nope"])


@pytest.fixture
def numbers(tmp_path: Path) -> Dataset:
    pairs = [
        published_pair(f"{number}?", "yes", "no") | {"score_chosen": number, "score_rejected": 1}
        for number in range(50)
    ]
    return open_dataset(str(write_lines(tmp_path / "a.jsonl", pairs)))


def test_a_condition_is_sql_over_the_columns(numbers: Dataset) -> None:
    assert chosen(numbers, where="margin > 45 AND prompt LIKE '4%'")["row"].to_list() == [48, 49, 50]
    assert chosen(numbers, where="score_chosen > (AVG(score_chosen) + 23)")["row"].to_list() == [49, 50], "of all rows"
    assert chosen(numbers, where="margin > 5", skip=2, rows=2)["row"].to_list() == [10, 11]


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("margn > 1", "there are split, file, row"),
        ("margin >", "is not SQL"),
        ("margin + 1", "cannot be computed"),
        ("margin > 'x'", "cannot be computed"),
    ],
)
def test_a_wrong_condition_is_explained(numbers: Dataset, where: str, message: str) -> None:
    with pytest.raises(OptionError, match=message) as fault:
        chosen(numbers, where=where)
    assert fault.value.hint and (where != "margn > 1" or "'margin'" in fault.value.hint)


def test_a_row_is_named_by_any_of_its_names_or_the_beginning_of_a_digest(numbers: Dataset) -> None:
    row = chosen(numbers, skip=7, rows=1).row(0, named=True)
    for name in (row["prompt_id"], row["key"], row["key"][:8]):
        assert chosen(numbers, name=name)["row"].to_list() == [8]
    assert chosen(numbers, name=row["key"][:7]).is_empty(), "too short to be meant"


def test_a_draw_does_not_depend_on_the_order_of_the_rows(numbers: Dataset, tmp_path: Path) -> None:
    lines = (tmp_path / "a.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "b.jsonl").write_text("".join(reversed(lines)))
    again = open_dataset(str(tmp_path / "b.jsonl"))
    first, second, other = (
        set(chosen(dataset, rows=5, seed=seed)["prompt"]) for dataset, seed in ((numbers, 1), (again, 1), (numbers, 2))
    )
    assert first == second != other and len(first) == 5


def test_a_file_without_rows_has_none(tmp_path: Path) -> None:
    for name in ("a.jsonl", "b.jsonl.gz"):
        (tmp_path / name).write_bytes(gzip.compress(b"") if name.endswith("gz") else b"")
        for choice in ({}, {"seed": 1}, {"where": "turns > 1"}, {"where": "turns > AVG(turns)"}):
            assert chosen(open_dataset(str(tmp_path / name)), **choice).is_empty()


def test_no_more_of_a_file_is_read_than_is_shown(tmp_path: Path) -> None:
    good = [json.dumps({"messages": DIALOGUE})] * 20_000
    (tmp_path / "a.jsonl").write_text("\n".join([*good, "not JSON"]))
    dataset = open_dataset(str(tmp_path / "a.jsonl"))
    assert chosen(dataset, rows=2).height == 2
    with pytest.raises(DataError, match="row 20001 is not JSON"):
        list(dataset.frames(ROW))
