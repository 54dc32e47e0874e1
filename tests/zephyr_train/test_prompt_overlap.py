"""Test prompts that stand in train are found by id, by text and in another spelling."""

from pathlib import Path
from typing import Any

import pytest

from tests.zephyr_train.row_shapes import trainer_pair, turn, write_lines
from zephyr_train.preflight.prompt_overlap import Overlap, overlap
from zephyr_train.reader import open_data


def row(kind: str, prompt: str, identity: str | None = None) -> dict[str, Any]:
    own = {} if identity is None else {"prompt_id": identity}
    if kind == "pairs":
        return own | trainer_pair(prompt, "yes", "no")
    return own | {"messages": [turn("system", "Be brief."), turn("user", prompt), turn("assistant", "yes")]}


def found(folder: Path, kind: str, train: list[dict[str, Any]], test: list[dict[str, Any]]) -> Overlap:
    folder.mkdir(exist_ok=True)
    write_lines(folder / "train.jsonl", train)
    write_lines(folder / "test.jsonl", test)
    return overlap(open_data(str(folder), kind))


@pytest.mark.parametrize("kind", ["dialogues", "pairs"])
def test_a_test_prompt_in_train_is_found(tmp_path: Path, kind: str) -> None:
    train = [row(kind, f"Which plum is number {number}?") for number in range(9)]
    others = [row(kind, f"Which pear is number {number}?") for number in range(3)]
    assert found(tmp_path / "set", kind, train, others) == Overlap(3, 0, 0)
    same = found(tmp_path / "set", kind, train, [*others, train[4], train[4]])
    assert same == Overlap(4, 1, 0)
    assert same.fault is not None and same.fault.message == "1 test prompts also appear in train"


@pytest.mark.parametrize("kind", ["dialogues", "pairs"])
def test_ids_that_number_the_rows_hide_nothing(tmp_path: Path, kind: str) -> None:
    train = [row(kind, f"Which plum is number {number}?", f"row-{number}") for number in range(9)]
    test = [row(kind, "Which plum is number 4?", "row-9"), row(kind, "Another?", "row-10")]
    assert found(tmp_path / "set", kind, train, test) == Overlap(2, 1, 0)


@pytest.mark.parametrize("kind", ["dialogues", "pairs"])
def test_another_spelling_is_found_and_a_few_of_many_are_a_note(tmp_path: Path, kind: str) -> None:
    train = [row(kind, f"Which plum is number {number}?") for number in range(9)]
    again = row(kind, "which  plum is number 4")
    few = found(tmp_path / "set", kind, train, [again, row(kind, "Another?")])
    assert few == Overlap(2, 0, 1) and few.note is None
    assert few.fault is not None and few.fault.name == "test-in-train"
    assert "1 of 2 test prompts also appear in train, but for case, punctuation and white space" in few.fault.message
    many = found(tmp_path / "set", kind, train, [again, *(row(kind, f"Another {n}?") for n in range(99))])
    assert many == Overlap(100, 0, 1) and many.fault is None
    assert many.note is not None and "1 of 100 test prompts also appear in train" in many.note


def test_the_whole_prompt_is_compared(tmp_path: Path) -> None:
    """Two dialogues with one first user turn and other system turns have other prompts."""
    one, other = row("dialogues", "Which?"), row("dialogues", "Which?")
    other["messages"][0]["content"] = "Be long."
    assert found(tmp_path / "set", "dialogues", [one | {"prompt_id": "a"}], [other | {"prompt_id": "b"}]) == Overlap(1)


def test_without_a_test_split_nothing_is_read(tmp_path: Path) -> None:
    file = write_lines(tmp_path / "rows.jsonl", [row("pairs", "a?")])
    source = open_data(str(file), "pairs")
    assert overlap(source) == Overlap() and source._tables == {}
