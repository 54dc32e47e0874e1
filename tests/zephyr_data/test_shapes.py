"""Published shapes: small files after their cards, as JSON and as Parquet, through the real command."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.system import needs
from tests.zephyr_data.conftest import Command
from zephyr_core.errors import ZephyrError
from zephyr_core.keys import row_key, text_key
from zephyr_data.engine.store import audit_table

Run = Callable[..., dict[str, Any]]
Write = Callable[..., Path]
Row = dict[str, Any]
ASK, SAY = "Which fruit has a stone?", "A plum is a fruit with a stone."
ASK_MORE, SAY_MORE = "How long is a mile?", "A mile is about 1.6 kilometres long."
RULE = "Answer in one sentence."
NEXT = "And how long is a league?"
SHORT, LONG = [ASK, SAY], [ASK, SAY, ASK_MORE, SAY_MORE]


def turns(
    *texts: str, roles: tuple[str, ...] = ("user", "assistant"), keys: tuple[str, str] = ("role", "content")
) -> Any:
    return [dict(zip(keys, (roles[place % len(roles)], text), strict=True)) for place, text in enumerate(texts)]


def text_part(text: str) -> Row:
    return {"type": "text", "text": text, "image_url": None}


def in_parts(*contents: list[Row]) -> Any:
    return [{"role": role, "content": parts} for role, parts in zip(("user", "assistant"), contents, strict=True)]


IMAGE = {"type": "image_url", "text": None, "image_url": {"url": "data:image/png;base64,AA=="}}
EXTRAS = {"language": "English", "redacted": False, "toxic": False, "turn_identifier": 7}
GPT, FROM = ("human", "gpt"), ("from", "value")


def said(text: str | None, *replies: Row, role: str | None = None, rank: int | None = None, **more: Any) -> Row:
    """A message of a tree; without a role, whoever must speak after the replies that follow."""
    flags = {"rank": rank, "deleted": False, "review_result": True, **more}
    return {"message_id": text, "text": text, "role": role, "replies": list(replies), **flags}


def tree(root: Row, name: str = "t", state: str = "ready_for_export") -> Row:
    def speak(message: Row, roles: tuple[str, str]) -> Row:
        replies = [speak(reply, (roles[1], roles[0])) for reply in message["replies"]]
        return {**message, "role": message["role"] or roles[0], "replies": replies}

    return {"message_tree_id": name, "tree_state": state, "prompt": speak(root, ("prompter", "assistant"))}


# name → rows, the turns kept, the drops; dialogues kept are distinct
SHAPES: dict[str, tuple[list[Row], list[list[str]], dict[str, int]]] = {
    "raw UltraChat": ([{"id": "0", "data": LONG}], [LONG], {}),
    "ultrachat_200k": ([{"prompt": ASK, "prompt_id": "a", "messages": turns(*LONG)}], [LONG], {}),
    "LMSYS-Chat-1M": (
        [
            {"conversation_id": "a", "model": "m", "conversation": turns(*LONG), "turn": 2, "redacted": False},
            {"conversation_id": "b", "model": "m", "conversation": turns(*SHORT), "turn": 1, "redacted": True},
        ],
        [LONG, SHORT],
        {},
    ),
    "WildChat": (
        [{"conversation_hash": "a", "conversation": [{**turn, **EXTRAS} for turn in turns(*LONG)], "toxic": False}],
        [LONG],
        {},
    ),
    "ShareGPT": (
        [
            {"id": "a_0", "conversations": turns(*LONG, roles=GPT, keys=FROM)},
            {"id": "a_1", "conversations": turns(*SHORT, roles=("user", "bard"), keys=FROM)},
            {"id": "a_2", "conversations": turns(*LONG[2:], roles=("prompter", "AI"), keys=FROM)},
            {"id": "a_3", "conversations": turns(SAY, *LONG[2:], roles=(*GPT, "observation"), keys=FROM)},
        ],
        [LONG, SHORT, LONG[2:]],
        {"read/tool-turn": 1},
    ),
    "OpenAI, parts": (
        [
            {"messages": in_parts([text_part(ASK), text_part("Name it.")], [text_part(SAY)])},
            {"messages": in_parts([text_part(ASK), IMAGE], [text_part(SAY)])},
        ],
        [[f"{ASK}\nName it.", SAY]],
        {"read/not-text-part": 1},
    ),
    "OpenAI, tools": (
        [
            {"messages": turns(ASK, SAY, "{}", roles=("user", "assistant", "tool"))},
            {"messages": turns(ASK, SAY, "{}", roles=("user", "assistant", "function"))},
            {"messages": turns(*SHORT)},
        ],
        [SHORT],
        {"read/tool-turn": 2},
    ),
    "empty system turns": (
        [
            {"messages": turns("", *SHORT, roles=("system", "user", "assistant"))},
            {"messages": turns(" \n", *LONG[2:], roles=("developer", "user", "assistant"))},
        ],
        [SHORT, LONG[2:]],
        {},
    ),
    "prompt + completion": ([{"prompt": ASK, "completion": SAY}, {"prompt": ASK, "completion": None}], [SHORT], {"read/null-turn": 1}),
    "prompt + response": ([{"prompt": ASK, "response": SAY}, {"prompt": ASK_MORE, "response": " "}], [SHORT], {"read/empty-turn": 1}),
    "Alpaca": (
        [
            {"instruction": ASK, "input": "Plum, melon.", "output": SAY, "text": "x"},
            {"instruction": ASK_MORE, "input": "", "output": SAY_MORE, "text": "x"},
            {"instruction": None, "input": None, "output": None, "text": "x"},
        ],
        [[f"{ASK}\n\nPlum, melon.", SAY], LONG[2:]],
        {"read/no-turns": 1},
    ),
    "OASST": (
        [
            tree(said(ASK, said(SAY_MORE, rank=1), said(SAY, said(NEXT), said(ASK_MORE, said(SAY_MORE)), rank=0))),
            tree(said(ASK, said(SAY, rank=1), said(SAY_MORE, rank=0, deleted=True))),
            tree(said(ASK_MORE, said(SAY_MORE, rank=1), said(SAY, rank=0, review_result=False))),
            tree(said(ASK_MORE, said(SAY)), state="aborted_low_grade"),
            tree(said(ASK, said(SAY), deleted=True)),
            tree(said(ASK, said(SAY), review_result=False)),
            tree(said(ASK, said(SAY, deleted=True))),
            tree(said(ASK, said(SAY, role="prompter"))),
        ],
        [LONG, SHORT, LONG[2:]],
        {
            "read/unfinished-tree": 1,
            "read/deleted-message": 1,
            "read/rejected-message": 1,
            "read/ends-with-user-turn": 1,
            "read/two-user-turns-in-a-row": 1,
        },
    ),
}  # fmt: skip


def written(place: Path, rows: list[Row]) -> Path:
    with place.open("wb") as stream:
        pq.write_table(pa.Table.from_pylist(rows), stream)
    return place


def kept_turns(folder: Path) -> list[list[str]]:
    messages = [pl.read_parquet(folder / "data" / f"{side}_sft-00000-of-00001.parquet") for side in ("train", "test")]
    rows = pl.concat(messages)["messages"].to_list()
    return [[message["content"] for message in row] for row in rows]


@pytest.mark.parametrize("shape", SHAPES)
def test_published_shapes(shape: str, write: Write, tmp_path: Path, clean: Run) -> None:
    rows, kept, drops = SHAPES[shape]
    of_json = clean(write([json.dumps(row) for row in rows]), out="json")
    of_parquet = clean(written(tmp_path / "rows.parquet", rows), out="parquet")
    assert sorted(kept_turns(tmp_path / "json")) == sorted(kept)
    assert of_json["counts"]["dropped"] == drops
    for key in ("splits", "dropped_digest", "counts"):
        assert of_json[key] == of_parquet[key], key


def test_a_file_may_hold_a_single_shape_of_exchange(write: Write, clean: Run) -> None:
    other = {"instruction": ASK_MORE, "output": SAY_MORE}
    for rows in ([{"prompt": ASK, "completion": SAY}, other], [{"prompt": ASK, "completion": SAY, **other}]):
        with pytest.raises(ZephyrError, match=rf"line {len(rows)}: the row holds .*'instruction \+ output'"):
            clean(write([json.dumps(row) for row in rows]))


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"prompt": ASK, "completion": 5}, "read/wrong-type"),
        ({"prompt": ASK, "completion": "\ud83d"}, "read/lone-surrogate"),
        ({"messages": [{"role": "user", "content": ["x", 5]}]}, "read/wrong-type"),
        ({"messages": [{"role": "user", "content": [{"text": "x"}]}]}, "read/wrong-type"),
        ({"messages": [{"role": "user", "content": []}, {"role": "assistant", "content": "x"}]}, "read/empty-turn"),
    ],
)
def test_faults_of_exchanges_and_parts(row: Row, reason: str, write: Write, clean: Run) -> None:
    good = {"prompt": ASK, "completion": SAY} if "prompt" in row else {"messages": turns(*SHORT)}
    assert clean(write([json.dumps(good), json.dumps(row)]))["counts"]["dropped"] == {reason: 1}


SYSTEM = [
    {"id": "0", "messages": turns(RULE, *SHORT, roles=("system", "user", "assistant"))},
    {"id": "1", "messages": turns(*LONG[2:])},
]


def test_system_turns_are_dropped_by_default(write: Write, tmp_path: Path, clean: Run, command: Command) -> None:
    path = write([json.dumps(row) for row in SYSTEM])
    assert clean(path, out="out")["counts"]["dropped"] == {"read/system-turn": 1}
    dropped = audit_table(tmp_path / "out", "dropped").row(0, named=True)
    assert (dropped["turn"], dropped["matched"], dropped["row_key"]) == (0, RULE, row_key([RULE, *SHORT]))
    ended = command("data", "clean-ultrachat", path, "--out=shown")
    assert "`--system-turns fold` keeps" in ended.out + ended.err
    alone = write([json.dumps(SYSTEM[0])], "alone.jsonl")
    assert command("data", "clean-ultrachat", alone, "--out=none").refuses(
        5, "read/system-turn 1", "--system-turns fold"
    )


def test_system_turns_are_folded(write: Write, tmp_path: Path, clean: Run) -> None:
    twice = {
        "messages": turns(
            RULE, "", "Be kind.", *LONG[2:], roles=("system", "developer", "system", *("user", "assistant"))
        )
    }
    content = clean(write([json.dumps(SYSTEM[0]), json.dumps(twice)]), out="out", system_turns="fold")
    folded = [f"{RULE}\n\n{ASK}", f"{RULE}\n\nBe kind.\n\n{ASK_MORE}"]
    assert sorted(kept_turns(tmp_path / "out")) == sorted([[folded[0], SAY], [folded[1], SAY_MORE]])
    counts = content["counts"]
    assert counts["dropped"] == {} and counts["read_otherwise"] == {"system-turn": 2}
    assert counts["cut_rows"] == counts["rewritten_rows"] == 0
    edits = audit_table(tmp_path / "out", "rewritten")
    assert edits["before"].to_list() == [RULE, f"{RULE}\n\nBe kind."]
    kept = audit_table(tmp_path / "out", "kept")
    assert set(kept["row_key"]) == {row_key([RULE, *SHORT]), row_key([RULE, "Be kind.", *LONG[2:]])}
    assert set(kept["prompt_id"]) == set(map(text_key, folded))


CUTS: dict[str, tuple[Row, list[str], list[tuple[int, str, str]]]] = {
    "unanswered": ({"data": [*SHORT, NEXT]}, SHORT, [(2, "ends-with-user-turn", NEXT)]),
    "greeting": (
        {"messages": turns(SAY_MORE, *SHORT, roles=("assistant", "user"))},
        SHORT,
        [(0, "starts-with-assistant", SAY_MORE)],
    ),
    "both": (
        {"messages": turns(SAY_MORE, *SHORT, NEXT, roles=("assistant", "user"))},
        SHORT,
        [(0, "starts-with-assistant", SAY_MORE), (3, "ends-with-user-turn", NEXT)],
    ),
}


@pytest.mark.parametrize("kind", CUTS)
def test_ends_are_cut_on_record(kind: str, write: Write, tmp_path: Path, clean: Run) -> None:
    row, kept, cuts = CUTS[kind]
    content = clean(write([json.dumps(row)]), out="out")
    assert kept_turns(tmp_path / "out") == [kept]
    edits = audit_table(tmp_path / "out", "rewritten").select("turn", "rule", "before", "after", "stage")
    assert edits.rows() == [(*cut, "(cut: 1 turns)", "read") for cut in cuts]
    counts = content["counts"]
    assert counts["read_otherwise"] == {rule: 1 for _, rule, _ in cuts}
    assert (counts["cut_rows"], counts["cut_turns"], counts["rewritten_rows"]) == (1, len(cuts), 0)


def test_cuts_are_in_the_closing_table_and_the_story(write: Write, command: Command) -> None:
    path = write([json.dumps({"id": "x", "data": [*SHORT, NEXT]})])
    ended = command("data", "clean-ultrachat", path, "--out=out")
    assert "cut at an unanswered turn" in ended.out + ended.err and ended.code == 0
    assert NEXT in command("data", "why", "out", "x").out


# a row of an unknown shape → the shape that is named, and the dialogues that the line gives
FOREIGN: dict[str, tuple[Row, str, list[list[str]]]] = {
    "question and answer": ({"question": ASK, "answer": SAY}, "prompt + completion", [SHORT]),
    "other names": ({"Query": ASK, "model_output": SAY, "Response": SAY}, "prompt + completion", [SHORT]),
    "other list": ({"dialog": turns(*SHORT)}, "messages", [SHORT]),
    "other keys": ({"chat log": turns(*SHORT, keys=("speaker", "text"))}, "messages", [SHORT]),
    "texts": ({"dialog": LONG}, "data", [LONG]),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_an_unknown_shape_is_named_with_the_line_that_converts_it(
    kind: str, write: Write, tmp_path: Path, clean: Run
) -> None:
    row, shape, kept = FOREIGN[kind]
    path = write([json.dumps(row)])
    for place in (path, written(tmp_path / "rows.parquet", [row])):
        with pytest.raises(ZephyrError, match="no dialogue column; found") as fault:
            clean(place)
        assert f"nearest is {shape}" in str(fault.value.hint) and repr(next(iter(row))) in str(fault.value)
    assert kept_turns(converted(path, clean, tmp_path)) == kept


def converted(path: Path, clean: Run, tmp_path: Path) -> Path:
    """Run the line that the error about a file names, and clean what it gives."""
    needs("jq")
    with pytest.raises(ZephyrError) as fault:
        clean(path)
    line = str(fault.value.hint).rpartition("convert with `")[2].rstrip("`").replace("FILE", str(path))
    subprocess.run(["sh", "-c", line], check=True)
    clean(f"{path}.jsonl", out="converted")
    return tmp_path / "converted"
