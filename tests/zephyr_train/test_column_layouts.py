"""Every published shape of rows is read as the same rows; rows that teach nothing are left out and named."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.zephyr_train.row_shapes import (
    DRAWING,
    DRAWING_ID,
    PAIRS,
    from_value_pair,
    published_pair,
    text_pair,
    trainer_pair,
    turn,
    write_lines,
    write_parquet,
)
from zephyr_train.errors import RowsUnfit
from zephyr_train.reader import DroppedRow, open_data
from zephyr_train.rows import row_files


@pytest.mark.parametrize("write", [write_lines, write_parquet])
@pytest.mark.parametrize("shape", [trainer_pair, published_pair, text_pair, from_value_pair])
def test_every_shape_of_pairs_reads_as_the_trainers(
    shape: Callable[..., dict[str, Any]], write: Callable[..., Path], tmp_path: Path
) -> None:
    suffix = "parquet" if write is write_parquet else "jsonl"
    source = open_data(str(write(tmp_path / f"pairs.{suffix}", [shape(*pair) for pair in PAIRS])), "pairs")
    table = source.table("train")
    assert table.column_names == ["prompt_id", "prompt", "chosen", "rejected"]
    assert table.drop_columns("prompt_id").to_pylist() == [trainer_pair(*pair) for pair in PAIRS[:2]]
    assert table["prompt_id"][0].as_py() == DRAWING_ID
    assert source.dropped == {"empty-rejected": 1}
    assert source.dropped_rows == [DroppedRow("train", "empty-rejected", f"pairs.{suffix}", 3)]


def test_conversations_without_a_prompt_column_split_before_the_last_message(tmp_path: Path) -> None:
    prompt = [turn("system", "Be kind."), turn("user", "Hi"), turn("assistant", "Yes?"), turn("user", "A plum.")]
    row = {name: [*prompt, turn("assistant", text)] for name, text in (("chosen", "Here."), ("rejected", "No."))}
    read = open_data(str(write_lines(tmp_path / "a.jsonl", [row])), "pairs").table("train").to_pylist()[0]
    assert read["prompt"] == prompt
    assert (read["chosen"], read["rejected"]) == ([turn("assistant", "Here.")], [turn("assistant", "No.")])
    compact = json.dumps(prompt, separators=(",", ":")).encode()
    assert read["prompt_id"] == hashlib.sha256(compact).hexdigest()


def test_different_prompts_of_the_two_sides_are_refused_with_file_and_row(tmp_path: Path) -> None:
    rows = [published_pair(*pair) for pair in PAIRS[:2]]
    rows[1]["rejected"][0]["content"] = "Which plum"
    with pytest.raises(RowsUnfit, match=r"pairs.jsonl, row 2: 'chosen' and 'rejected' have different prompts"):
        open_data(str(write_lines(tmp_path / "pairs.jsonl", rows)), "pairs").table("train")


@pytest.mark.parametrize(
    ("pair", "reason"),
    [
        (("a", "same", " same\n"), "identical-texts"),
        (("a", " \n", "text"), "empty-chosen"),
        (("a", "text", None), "empty-rejected"),
        ((None, "text", "other"), "null-turn"),
    ],
)
def test_pairs_that_teach_nothing_are_left_out_and_told(
    pair: tuple[str, str, str], reason: str, tmp_path: Path
) -> None:
    rows = [text_pair(*PAIRS[0]), text_pair(*pair), text_pair(*PAIRS[1])]
    source = open_data(str(write_lines(tmp_path / "pairs.jsonl", rows)), "pairs")
    assert source.table("train").num_rows == source.table("train").num_rows == 2
    assert source.dropped_rows == [DroppedRow("train", reason, "pairs.jsonl", 2)]


def test_rows_left_out_are_not_refused_besides(tmp_path: Path) -> None:
    cut, odd = published_pair(*PAIRS[0]) | {"chosen": []}, trainer_pair(*PAIRS[0])
    odd |= {"chosen": [turn("user", "a")], "rejected": []}
    for name, rows in (("a.jsonl", [cut, published_pair(*PAIRS[1])]), ("b.jsonl", [trainer_pair(*PAIRS[1]), odd])):
        source = open_data(str(write_lines(tmp_path / name, rows)), "pairs")
        assert source.table("train").num_rows == len(source.dropped_rows) == 1


def test_case_makes_texts_different(tmp_path: Path) -> None:
    source = open_data(str(write_lines(tmp_path / "pairs.jsonl", [text_pair("a", "Yes", "yes")])), "pairs")
    assert source.table("train").num_rows == 1


def test_answers_and_prompts_of_the_wrong_side_are_refused(tmp_path: Path) -> None:
    whole = trainer_pair(*PAIRS[0]) | {"chosen": published_pair(*PAIRS[0])["chosen"]}
    with pytest.raises(RowsUnfit, match="row 1: 'chosen' holds a turn that is not the assistant's"):
        open_data(str(write_lines(tmp_path / "a.jsonl", [whole])), "pairs").table("train")
    answered = from_value_pair(*PAIRS[0])
    answered["conversations"].append({"from": "gpt", "value": "Draw at noon."})
    with pytest.raises(RowsUnfit, match="row 1: the prompt ends with an assistant turn"):
        open_data(str(write_lines(tmp_path / "b.jsonl", [answered])), "pairs").table("train")


def test_dialogues_of_both_forms_read_alike_and_are_named_by_their_first_user_turn(tmp_path: Path) -> None:
    messages = [turn("user", DRAWING), turn("assistant", "Noon."), turn("user", "Why?"), turn("assistant", "So.")]
    names = {"user": "Human", "assistant": "GPT"}
    pairs = [{"from": names[each["role"]], "value": each["content"]} for each in messages]
    first = open_data(str(write_lines(tmp_path / "a.jsonl", [{"messages": messages}])), "dialogues").table("train")
    second = open_data(str(write_lines(tmp_path / "b.jsonl", [{"conversations": pairs}])), "dialogues").table("train")
    assert first.equals(second)
    assert first.to_pylist() == [{"prompt_id": DRAWING_ID, "messages": messages, "silent": []}]


def test_a_prompt_id_that_is_there_is_kept(tmp_path: Path) -> None:
    rows = [text_pair(*PAIRS[0]) | {"prompt_id": "mine"}, text_pair(*PAIRS[0])]
    table = open_data(str(write_lines(tmp_path / "a.jsonl", rows)), "pairs").table("train")
    assert table["prompt_id"].to_pylist() == ["mine", DRAWING_ID]


def test_dialogues_without_an_answer_are_left_out_and_told(tmp_path: Path) -> None:
    sound = [turn("user", "a"), turn("assistant", "b")]
    rows = [
        sound,
        [turn("user", "a")],
        [],
        [turn("user", None), sound[1]],
        [sound[0], turn("assistant", " ")],
        sound,
    ]
    source = open_data(str(write_lines(tmp_path / "a.jsonl", [{"messages": row} for row in rows])), "dialogues")
    assert source.table("train").num_rows == 2
    assert source.dropped == {"no-assistant-text": 3, "null-turn": 1}
    assert [row.row for row in source.dropped_rows] == [2, 3, 4, 5]


def test_chunks_do_not_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [published_pair(f"{number}?", "yes", "no" if number != 4 else "yes") for number in range(7)]
    for path in (write_lines(tmp_path / "a.jsonl", rows), write_parquet(tmp_path / "a.parquet", rows)):
        once = open_data(str(path), "pairs")
        whole = once.table("train")
        monkeypatch.setattr(row_files, "CHUNK_ROWS", 3)
        parts = open_data(str(path), "pairs")
        assert parts.table("train").equals(whole) and whole.num_rows == 6
        assert parts.dropped_rows == once.dropped_rows == [DroppedRow("train", "identical-texts", path.name, 5)]
        monkeypatch.undo()


@pytest.mark.parametrize(
    ("kind", "row", "message", "hint"),
    [
        ("pairs", {"prompt": "a", "completions": []}, "'chosen' is absent; found 'prompt', 'completions'", "binarize"),
        ("pairs", {"messages": [turn("user", "a")]}, "'chosen' is absent; found 'messages'", "zephyr train sft"),
        ("pairs", {"chosen": "a", "rejected": "b"}, "'prompt' is absent; found 'chosen', 'rejected'", ""),
        ("dialogues", {"data": ["a", "b"]}, "'messages' is absent; found 'data'", "clean-ultrachat"),
        ("dialogues", text_pair("a", "b", "c"), "'messages' is absent", "zephyr train dpo"),
    ],
)
def test_an_absent_column_is_told_with_what_is_there(
    kind: str, row: dict[str, Any], message: str, hint: str, tmp_path: Path
) -> None:
    for path in (write_lines(tmp_path / "a.jsonl", [row]), write_parquet(tmp_path / "a.parquet", [row])):
        with pytest.raises(RowsUnfit, match=f"column {message}") as fault:
            open_data(str(path), kind).table("train")
        assert hint in str(fault.value.hint)


@pytest.mark.parametrize(
    ("messages", "message"),
    [
        ([["a", "b"]], "column 'messages' of a.jsonl holds list<item: string>"),
        ([{"role": "user", "text": "a"}], "have no 'content'; found 'role', 'text'"),
        ([{"role": "user", "content": 3}], "hold int64 where text is expected"),
    ],
)
def test_messages_of_another_form_are_refused(messages: list[Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(RowsUnfit) as fault:
        open_data(str(write_lines(tmp_path / "a.jsonl", [{"messages": messages}])), "dialogues").table("train")
    assert message in str(fault.value)


def test_an_unknown_role_is_told_with_its_row(tmp_path: Path) -> None:
    sound = [turn("user", "a"), turn("assistant", "b")]
    rows = [{"messages": sound}, {"messages": [turn("tool", "c"), *sound]}]
    with pytest.raises(RowsUnfit, match=r"a\.jsonl, row 2: a message of column 'messages' has the role 'tool'"):
        open_data(str(write_lines(tmp_path / "a.jsonl", rows)), "dialogues").table("train")
