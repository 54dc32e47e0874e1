"""Each published shape of a dialogue goes from its file to `datasets` and to the plan of its training."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.zephyr_data.conftest import Command
from tests.zephyr_data.test_shapes import FROM, GPT, RULE, in_parts, said, text_part, tree, turns
from zephyr_core.template import Chat
from zephyr_train import student as students
from zephyr_train.options import StudentOptions
from zephyr_train.preflight.row_checks import tokenizer_of

Row = dict[str, Any]
SMALL = StudentOptions(
    source="new", vocabulary=320, hidden_size=16, intermediate_size=24, layers=2, heads=4, kv_heads=2, positions=256
)
ROWS = 12
RECIPE = """extends = "tiny"
about = "t"
[sft]
max_length = 128
global_batch_size = 2
micro_batch_size = 1
packing = "off"
on_overlong = "cut"
"""
THINGS = ("plum", "pear", "melon", "grape", "lemon", "olive", "onion", "carrot", "bean", "leek", "radish", "fig")


def talk(number: int) -> list[str]:
    thing = THINGS[number]
    return [f"What is a {thing}?", f"A {thing} is a plant.", f"And who eats a {thing}?", "People do, and birds too."]


def lmsys(number: int) -> Row:
    return {"conversation_id": str(number), "model": "m", "conversation": turns(*talk(number)), "redacted": False}


def wildchat(number: int) -> Row:
    spoken = [{**turn, "language": "English", "toxic": False} for turn in turns(*talk(number))]
    return {"conversation_hash": str(number), "conversation": spoken, "turn": 2}


def oasst(number: int) -> Row:
    ask, say, more, end = talk(number)
    return tree(said(ask, said("No idea.", rank=1), said(say, said(more, said(end)), rank=0)), str(number))


def alpaca(number: int) -> Row:
    return {"instruction": talk(number)[0], "input": "", "output": talk(number)[1], "text": "x"}


# shape → a row by its number, the turns of a dialogue with the system turn, further flags of clean-ultrachat
SHAPES: dict[str, tuple[Callable[[int], Row], int, tuple[str, ...]]] = {
    "UltraChat": (lambda number: {"id": str(number), "data": talk(number)}, 4, ()),
    "LMSYS-Chat-1M": (lmsys, 4, ()),
    "WildChat": (wildchat, 4, ()),
    "OpenAI": (lambda number: {"messages": turns(*talk(number))}, 4, ()),
    "OpenAI, parts": (lambda number: {"messages": in_parts(*([text_part(text)] for text in talk(number)[:2]))}, 2, ()),
    "OpenAI, system": (
        lambda number: {"messages": [{"role": "system", "content": RULE}, *turns(*talk(number))]},
        5,
        ("--system-turns", "keep"),
    ),
    "ShareGPT": (
        lambda number: {"id": str(number), "conversations": turns(*talk(number), roles=GPT, keys=FROM)},
        4,
        (),
    ),
    "Alpaca": (alpaca, 2, ()),
    "prompt + completion": (lambda number: dict(zip(("prompt", "completion"), talk(number), strict=False)), 2, ()),
    "prompt + response": (lambda number: dict(zip(("prompt", "response"), talk(number), strict=False)), 2, ()),
    "OASST": (oasst, 4, ()),
}


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shapes") / "student"
    students.build(SMALL, [text for number in range(ROWS) for text in talk(number)], folder)
    return folder


@pytest.mark.parametrize("shape", SHAPES)
def test_from_the_file_to_the_plan(
    shape: str, write: Callable[..., Path], command: Command, student: Path, tmp_path: Path
) -> None:
    from datasets import load_dataset

    row, length, flags = SHAPES[shape]
    path = write(json.dumps(row(number)) for number in range(ROWS))
    cleaned = command("data", "clean-ultrachat", path, "--test-share", "0.25", "--out", "set", *flags)
    assert cleaned.code == 0, cleaned.err
    rows = load_dataset(str(tmp_path / "set"), cache_dir=str(tmp_path / "cache"))
    assert {split: table.num_rows for split, table in rows.items()} == {
        "train_sft": 9,
        "test_sft": 3,
        "train_gen": 9,
        "test_gen": 3,
    }
    texts = [[message["content"] for message in messages] for messages in rows["train_sft"]["messages"]]
    assert all(len(each) == length for each in texts)
    ends = [each if length < 5 else each[1:] for each in texts]
    assert all(each in [talk(number)[: len(each)] for number in range(ROWS)] for each in ends), "nothing but the texts"
    assert {len(messages) for messages in rows["test_gen"]["messages"]} == {length - 1}
    (tmp_path / "r.toml").write_text(RECIPE)
    dry_run = command("train", "sft", "--data", "set", "--model", student, "--recipe", "r.toml", "--dry-run", "--json")
    assert dry_run.code == 0, dry_run.err
    record, chat = json.loads(dry_run.out), Chat(tokenizer_of(student))
    encodings = chat.encode(chat.render_all(rows["train_sft"]["messages"], generation=False))
    assert record["faults"] == [] and record["plan"]["rows"]["rows"] == 9
    assert record["plan"]["tokens"]["tokens"] == sum(len(encoding.ids) for encoding in encodings)
