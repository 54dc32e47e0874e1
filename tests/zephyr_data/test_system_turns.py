"""`--system-turns keep`: a system turn is a message of its own, from the raw row to the tokens that have no loss."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.zephyr_data.conftest import Command
from tests.zephyr_data.rated import generic
from tests.zephyr_data.test_shapes import ASK, ASK_MORE, LONG, NEXT, RULE, SAY, SAY_MORE, SHORT, turns
from tests.zephyr_train.small_chat import small_chat, tokenize_dialogues, tokenize_pairs
from zephyr_core.keys import row_key, text_key
from zephyr_data.engine.store import audit_table, verify
from zephyr_train.reader import open_data
from zephyr_train.tokenizing.packing import IGNORED
from zephyr_train.tokenizing.token_rows import Limits

Run = Callable[..., dict[str, Any]]
Write = Callable[..., Path]
OTHER = "Answer at length."
SYSTEM = ("system", "user", "assistant")


def rows_of(folder: Path, split: str) -> list[dict[str, Any]]:
    return pl.read_parquet(folder / "data" / f"{split}-00000-of-00001.parquet").to_dicts()


def spoken(row: dict[str, Any]) -> list[tuple[str, str]]:
    return [(message["role"], message["content"]) for message in row["messages"]]


def line(*texts: str, roles: tuple[str, ...] = SYSTEM, **more: str) -> str:
    return json.dumps({"messages": turns(*texts, roles=roles), **more})


def test_it_is_the_first_message_and_the_prompt_stays(write: Write, command: Command) -> None:
    lines = [
        line(RULE, *SHORT, NEXT, roles=(*SYSTEM, "user"), id="one"),
        line(RULE, "", "Be kind.", *LONG[2:], roles=("system", "developer", "system", "user", "assistant"), id="two"),
        line(NEXT, "A league is three miles.", roles=SYSTEM[1:], id="none"),
    ]
    ended = command("data", "clean-ultrachat", write(lines), "--system-turns", "keep", "--out", "out")
    assert ended.code == 0 and "of them with a system turn 2" in " ".join(ended.out.split()), ended.err
    folder = Path("out")
    rows = {row["prompt"]: row for row in rows_of(folder, "train_sft")}
    assert spoken(rows[ASK]) == [("system", RULE), ("user", ASK), ("assistant", SAY)]
    both = [("system", f"{RULE}\n\nBe kind."), ("user", ASK_MORE), ("assistant", SAY_MORE)]
    assert spoken(rows[ASK_MORE]) == both
    assert spoken(rows[NEXT]) == [("user", NEXT), ("assistant", "A league is three miles.")]
    assert {prompt: row["prompt_id"] for prompt, row in rows.items()} == {prompt: text_key(prompt) for prompt in rows}
    assert both[:-1] in map(spoken, rows_of(folder, "train_gen"))
    keys = {row_key([RULE, *SHORT, NEXT]), row_key([RULE, "Be kind.", *LONG[2:]])}
    assert keys < set(audit_table(folder, "kept")["row_key"])
    assert audit_table(folder, "rewritten")["rule"].to_list() == ["ends-with-user-turn"], "nothing else was changed"
    verify(folder)


def test_dialogues_are_duplicates_only_under_the_same_system_turn(write: Write, clean: Run, tmp_path: Path) -> None:
    lines = [line(RULE, *SHORT), line(OTHER, *SHORT), line(RULE.upper(), *SHORT), line(*SHORT, roles=SYSTEM[1:])]
    for scope in ("dialogue", "prompt"):
        content = clean(write(lines), system_turns="keep", duplicates=scope, out=scope)
        assert content["counts"]["dropped"] == {f"duplicates/same-{scope}": 1}, "as if they were folded"
        assert {row["prompt_id"] for row in rows_of(tmp_path / scope, "train_sft")} == {text_key(ASK)}


def test_all_under_one_prompt_are_on_one_side(write: Write, clean: Run, tmp_path: Path) -> None:
    lines = [line(f"Rule {number}.", f"Question {number % 4}?", SAY) for number in range(40)]
    clean(write(lines), system_turns="keep", test_share=0.5)
    sides = [{row["prompt"] for row in rows_of(tmp_path / "out", f"{side}_sft")} for side in ("train", "test")]
    assert all(sides) and not sides[0] & sides[1]


@pytest.mark.parametrize("way", ["drop", "fold", "keep"])
def test_each_way_gives_the_rows_of_its_digest(way: str, write: Write, clean: Run, tmp_path: Path) -> None:
    lines = [line(RULE, *SHORT), line(*LONG, roles=SYSTEM[1:])]
    clean(write(lines), system_turns=way)
    verify(tmp_path / "out")
    messages = [role for row in rows_of(tmp_path / "out", "train_sft") for role, _ in spoken(row)]
    assert messages.count("system") == (way == "keep") and len(messages) == {"drop": 4, "fold": 6, "keep": 7}[way]


def test_training_reads_it_and_gives_it_no_loss(write: Write, clean: Run, tmp_path: Path) -> None:
    clean(write([line(RULE, *LONG, roles=("system", "user", "assistant", "user", "assistant"))]), system_turns="keep")
    table, chat = open_data(str(tmp_path / "out"), "dialogues").table("train"), small_chat()
    [row] = tokenize_dialogues(chat, table, Limits(999, None, "drop")).table.to_pylist()
    text = chat.tokenizer.decode(row["input_ids"])
    assert text.startswith(f"<|system|>\n{RULE}</s>\n<|user|>\n{ASK}</s>\n<|assistant|>\n{SAY}</s>")
    assert chat.tokenizer.decode([label for label in row["labels"] if label != IGNORED]) == f"{SAY}</s>{SAY_MORE}</s>"


def test_a_pair_s_system_turn_is_part_of_the_prompt(tmp_path: Path) -> None:
    said = turns(RULE, ASK, roles=SYSTEM)
    row = {"prompt": said, "chosen": turns(SAY, roles=SYSTEM[2:]), "rejected": turns("No.", roles=SYSTEM[2:])}
    (tmp_path / "pairs.jsonl").write_text(json.dumps(row))
    table, chat = open_data(str(tmp_path / "pairs.jsonl"), "pairs").table("train"), small_chat()
    [tokens] = tokenize_pairs(chat, table, Limits(999, 500, "drop")).table.to_pylist()
    assert chat.tokenizer.decode(tokens["prompt_ids"]).startswith(f"<|system|>\n{RULE}</s>\n<|user|>\n{ASK}")
    assert chat.tokenizer.decode(tokens["chosen_ids"]) == f"{SAY}</s>"


def test_rated_rows_with_one_are_dropped_and_that_is_said(write: Write, command: Command) -> None:
    lines = [generic(turns(RULE, ASK, roles=SYSTEM), [2, 1]), generic("p", [2, 1])]
    ended = command("data", "binarize", write(lines), "--out", "pairs")
    assert "1 rows with a system turn were dropped: pairs have no place for one" in ended.out
    assert command("data", "binarize", write(lines), "--system-turns", "keep").code == 2


def test_a_row_to_spare_is_not_kept_without_its_system_turn(write: Write, command: Command) -> None:
    lines = [line(RULE, *SHORT, id="one"), line(*LONG, roles=SYSTEM[1:])]
    ended = command("data", "clean-ultrachat", write(lines), "--spare", "one", "--out", "out")
    assert "named by --spare: read/system-turn 1 not a row of the result" in " ".join(ended.out.split())
    assert "`keep` as a message of its own" in ended.out
