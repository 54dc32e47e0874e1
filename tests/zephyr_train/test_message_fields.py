"""Fields of messages besides role and text: weights are honoured, what means something is refused, others are noted."""

from pathlib import Path
from typing import Any

import pytest

from tests.zephyr_train.row_shapes import turn, write_lines, write_parquet
from tests.zephyr_train.small_chat import small_chat
from zephyr_train.errors import RowsUnfit
from zephyr_train.reader import Source, open_data
from zephyr_train.tokenizing.keyed_rows import batches_by_key, keyed_rows, sample
from zephyr_train.tokenizing.packing import IGNORED
from zephyr_train.tokenizing.token_rows import Limits
from zephyr_train.tokenizing.tokens import Tokenized, tokenize_rows

LONG = Limits(10_000, None, "split", packed=False)


def dialogue(first: dict[str, Any], last: dict[str, Any] | None = None) -> dict[str, Any]:
    replies = [{**turn("assistant", "Bad."), **first}, {**turn("assistant", "Good."), **(last or {})}]
    return {"messages": [turn("user", "One?"), replies[0], turn("user", "Two?"), replies[1]]}


def opened(folder: Path, *rows: dict[str, Any], kind: str = "dialogues", parquet: bool = False) -> Source:
    write, name = (write_parquet, "rows.parquet") if parquet else (write_lines, "rows.jsonl")
    return open_data(str(write(folder / name, list(rows))), kind)


def tokens_of(source: Source, limits: Limits = LONG) -> Tokenized:
    return tokenize_rows(small_chat(), "dialogues", batches_by_key(source.table("train"), "dialogues"), limits)


def trained(tokens: Tokenized) -> list[str]:
    """Return the texts that the loss covers, one for each row."""
    decode = small_chat().tokenizer.decode
    return [
        decode([token for token, label in zip(row["input_ids"], row["labels"], strict=True) if label != IGNORED])
        for row in tokens.table.to_pylist()
    ]


@pytest.mark.parametrize("parquet", [False, True])
@pytest.mark.parametrize("name", ["weight", "loss", "loss_mask", "train", "trainable"])
@pytest.mark.parametrize("zero", [0, 0.0, False])
def test_a_message_with_a_weight_of_zero_has_no_loss(name: str, zero: Any, parquet: bool, tmp_path: Path) -> None:
    one = type(zero)(1)
    tokens = tokens_of(opened(tmp_path, dialogue({name: zero}, {name: one}), parquet=parquet))
    assert trained(tokens) == ["Good.</s>"] and not tokens.faults
    assert "Bad." in small_chat().tokenizer.decode(tokens.table["input_ids"][0].as_py()), "it is still read"


def test_what_follows_the_last_reply_with_a_loss_is_cut_and_a_dialogue_without_one_is_dropped(tmp_path: Path) -> None:
    zero = {"weight": 0}
    tokens = tokens_of(opened(tmp_path, dialogue({}, zero), dialogue(zero, zero)))
    assert trained(tokens) == ["Bad.</s>"]
    assert "Two" not in small_chat().tokenizer.decode(tokens.table["input_ids"][0].as_py())
    assert (tokens.counts["trailing_turn_rows"], tokens.counts["dropped_no_loss_rows"]) == (1, 1)


def test_weights_are_part_of_a_rows_key_and_stay_with_their_row(tmp_path: Path) -> None:
    rows = [dialogue({"weight": 0}), dialogue({}), dialogue({"weight": 1}), dialogue({}, {"weight": 0})]
    table = opened(tmp_path, *rows).table("train")
    assert table["silent"].to_pylist() == [[1], [], [], [3]]
    keys = [row.key for row in keyed_rows(table, "dialogues")]
    assert len(set(keys)) == 3 and keys[1] == keys[2]
    for ordered in (
        sample(table, "dialogues", 10),
        [row for part in batches_by_key(table, "dialogues") for row in part],
    ):
        assert {row.key: row.silent for row in ordered} == dict(zip(keys, [(1,), (), (), (3,)], strict=True))


def test_no_loss_on_a_message_and_loss_on_all_contradict_each_other(tmp_path: Path) -> None:
    everything = Limits(10_000, None, "split", "all", packed=False)
    [fault] = tokens_of(opened(tmp_path, dialogue({"weight": 0}), dialogue({})), everything).faults
    assert fault.name == "weight-and-loss-on-all" and "1 of 2 rows" in fault.message


@pytest.mark.parametrize("value", [0.5, 2, -1, "0"])
def test_other_weights_are_refused_with_the_row(value: Any, tmp_path: Path) -> None:
    with pytest.raises(RowsUnfit, match=rf"rows.jsonl, row 2: message 1 of column 'messages' has weight {value!r}"):
        opened(
            tmp_path, dialogue({}), dialogue({"weight": value}) if value != "0" else dialogue({"weight": "0"})
        ).table("train")


@pytest.mark.parametrize(
    ("name", "value", "empty"),
    [
        ("reasoning_content", "It is six.", ""),
        ("thinking", "It is six.", None),
        ("reasoning", "It is six.", None),
        ("tool_calls", [{"name": "clock"}], []),
        ("function_call", {"name": "clock"}, None),
    ],
)
def test_what_a_model_would_miss_is_refused_with_the_row(name: str, value: Any, empty: Any, tmp_path: Path) -> None:
    assert opened(tmp_path, dialogue({name: empty})).table("train").num_rows == 1
    with pytest.raises(RowsUnfit, match=rf"row 2: message 3 of column 'messages' has {name}, which is not trained on"):
        opened(tmp_path, dialogue({}), dialogue({}, {name: value})).table("train")


def test_tools_that_a_row_offers_are_refused(tmp_path: Path) -> None:
    for empty in (None, [], "[]", ""):
        assert opened(tmp_path, dialogue({}) | {"tools": empty}).table("train").num_rows == 1
    with pytest.raises(RowsUnfit, match="row 1: column 'tools' offers tools"):
        opened(tmp_path, dialogue({}) | {"tools": [{"name": "clock"}]}).table("train")


def test_fields_that_mean_nothing_here_are_counted(tmp_path: Path) -> None:
    source = opened(tmp_path, dialogue({"name": "Ada", "tokens": 3}), dialogue({"name": None}, {"name": "Bo"}))
    assert source.table("train").num_rows == 2
    assert source.other_fields == {"name": 2, "tokens": 1}


@pytest.mark.parametrize("side", ["chosen", "rejected"])
def test_both_answers_of_a_pair_count(side: str, tmp_path: Path) -> None:
    row = {name: [turn("user", "One?"), turn("assistant", name)] for name in ("chosen", "rejected")}
    assert opened(tmp_path, row, kind="pairs").table("train").column_names == [
        "prompt_id",
        "prompt",
        "chosen",
        "rejected",
    ]
    row[side][1]["weight"] = 0  # type: ignore[assignment]
    with pytest.raises(RowsUnfit, match=f"row 1: '{side}' has a weight of 0"):
        opened(tmp_path, row, kind="pairs").table("train")
