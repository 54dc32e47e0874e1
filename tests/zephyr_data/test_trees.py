"""Trees of messages: the best path is the dialogue, and what is on other paths is on record."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT, shared
from tests.system import needs
from tests.zephyr_data.conftest import Command
from tests.zephyr_data.test_shapes import ASK, ASK_MORE, LONG, NEXT, SAY, SAY_MORE, SHORT, kept_turns, said, tree
from zephyr_core.errors import ZephyrError
from zephyr_core.keys import row_key
from zephyr_data.engine.store import audit_table

Run = Callable[..., dict[str, Any]]
Write = Callable[..., Path]
Row = dict[str, Any]
FORKED = said(ASK, said(SAY_MORE, said(NEXT), rank=1), said(SAY, said(NEXT), said(ASK_MORE, said(SAY_MORE)), rank=0))


def test_what_is_on_other_paths_is_on_record(write: Write, command: Command) -> None:
    rows = [tree(FORKED, "forked"), tree(said(ASK_MORE, said(SAY_MORE)), "plain")]
    ended = command("data", "clean-ultrachat", write(map(json.dumps, rows)), "--out", "out")
    assert "of them the best path of a tree 1 read/other-paths, 3 messages are on others" in " ".join(ended.out.split())
    counts = json.loads(Path("out/manifest.json").read_text())["counts"]
    assert counts["other_messages"] == 3 and counts["read_otherwise"] == {"other-paths": 1}
    assert counts["rows_read"] == counts["kept_rows"] == 2 and counts["cut_rows"] == 0
    edits = audit_table(Path("out"), "rewritten").select("row_key", "turn", "stage", "rule", "before", "after").rows()
    assert edits == [(row_key(LONG), 1, "read", "other-paths", SAY_MORE, "(on other paths: 3 messages)")]
    told = command("data", "why", "out", "forked").out
    assert (
        "kept: train_sft" in told and "(on other paths: 3 messages)" in told and '"message_tree_id": "forked"' in told
    )
    assert set(audit_table(Path("out"), "kept")["id"]) == {"forked", "plain"}


PATHS: dict[str, tuple[Row, list[str]]] = {
    "no rank: the first": (said(ASK, said(SAY), said(SAY_MORE)), SHORT),
    "a rank before none": (said(ASK, said(SAY_MORE), said(SAY, rank=5)), SHORT),
    "a rank of users that is not answered": (
        said(ASK, said(SAY, said(NEXT, rank=0), said(ASK_MORE, said(SAY_MORE), rank=1))),
        LONG,
    ),
    "answered, but by what was deleted": (
        said(ASK, said(SAY, said(NEXT, said("x", deleted=True)), said(ASK_MORE, said(SAY_MORE)))),
        LONG,
    ),
    "a question at the end is cut": (said(ASK, said(SAY, said(NEXT))), SHORT),
    "not reviewed": (said(ASK, said(SAY, review_result=None), review_result=None), SHORT),
    "texts on other paths are not judged": (said(ASK, said(SAY), {**said(SAY), "text": 5}, said("\ud83d")), SHORT),
    "only what is used": ({"text": ASK, "role": "prompter", "replies": [{"text": SAY, "role": "assistant"}]}, SHORT),
}


@pytest.mark.parametrize("case", PATHS)
def test_the_best_path(case: str, write: Write, clean: Run, tmp_path: Path) -> None:
    root, path = PATHS[case]
    row = {"prompt": root} if "message_id" not in root else tree(root)
    clean(write([json.dumps(row)]), out="out")
    assert kept_turns(tmp_path / "out") == [path]


FAULTS: dict[str, tuple[Row | str, str]] = {
    "a rank that is a text": (tree(said(ASK, said(SAY, rank="0"))), "wrong-type"),  # type: ignore[arg-type]
    "a flag that is a number": (tree(said(ASK, said(SAY, deleted=1))), "wrong-type"),
    "a reply that is a text": ({"prompt": {"text": ASK, "role": "prompter", "replies": [SAY]}}, "wrong-type"),
    "replies that are an object": ({"prompt": {"text": ASK, "role": "prompter", "replies": {}}}, "wrong-type"),
    "a state that is a number": ({**tree(said(ASK, said(SAY))), "tree_state": 1}, "wrong-type"),
    "a repeated key": ('{"prompt": {"text": "a", "text": "b", "role": "user", "replies": []}}', "duplicate-key"),
    "no prompt": ({"tree_state": "ready_for_export"}, "no-turns"),
    "a prompt that is null": ({"prompt": None}, "no-turns"),
    "a prompt that is a text": ({"prompt": ASK}, "wrong-type"),
    "half a pair": (tree(said(ASK, said("\ud83d"))), "lone-surrogate"),
    "no text": (tree(said(ASK, said(None))), "null-turn"),
    "an unknown role": (tree(said(ASK, said(SAY, role="moderator"))), "unknown-role"),
}


@pytest.mark.parametrize("case", FAULTS)
def test_faults_of_trees(case: str, write: Write, clean: Run) -> None:
    row, rule = FAULTS[case]
    lines = [json.dumps(tree(said(ASK, said(SAY)))), row if isinstance(row, str) else json.dumps(row)]
    assert clean(write(lines))["counts"]["dropped"] == {f"read/{rule}": 1}


def test_a_file_of_trees_holds_no_other_shape(write: Write, clean: Run) -> None:
    rows = [tree(FORKED), {"prompt": ASK, "completion": SAY}]
    for lines in (rows, rows[::-1]):
        with pytest.raises(ZephyrError, match="line 2: the row holds"):
            clean(write(map(json.dumps, lines)))


def test_a_tree_in_one_message_a_row_is_refused_with_the_file_to_take(write: Write, command: Command) -> None:
    row = {"message_id": "b", "parent_id": "a", "text": SAY, "role": "assistant", "message_tree_id": "a"}
    ended = command("data", "clean-ultrachat", write([json.dumps(row)]), "--out", "out")
    assert ended.refuses(5, "each row is one message of a tree", ".trees.jsonl.gz")


def naive_path(message: Row) -> list[str]:
    replies = message["replies"]
    if message["role"] == "assistant" and any(reply["replies"] for reply in replies):
        replies = [reply for reply in replies if reply["replies"]]
    ranked = sorted(replies, key=lambda reply: 99 if reply.get("rank") is None else reply["rank"])
    return [message["text"], *(naive_path(ranked[0]) if ranked else [])]


def test_real_trees(clean: Run, tmp_path: Path) -> None:
    path = shared("conv/oasst_en_100_tree.jsonl")
    content = clean(path, out="out", on_hit="off", truecase=False)
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    expected = [turns[: len(turns) // 2 * 2] for turns in (naive_path(row["prompt"]) for row in rows)]
    assert content["counts"]["rows_read"] == content["counts"]["kept_rows"] == len(rows)
    assert sorted(kept_turns(tmp_path / "out")) == sorted(expected)
    messages = sum(json.dumps(row).count('"message_id"') for row in rows)
    in_paths = sum(len(naive_path(row["prompt"])) for row in rows)
    assert content["counts"]["other_messages"] == messages - in_paths


def test_the_line_of_the_docs_writes_every_path(write: Write, clean: Run, tmp_path: Path) -> None:
    needs("jq")
    path = write([json.dumps(tree(FORKED))], "FILE")
    (line,) = re.findall(r"^jq -c .* FILE > FILE\.jsonl$", (ROOT / "docs" / "dataset.md").read_text(), re.MULTILINE)
    subprocess.run(["sh", "-c", line], check=True, cwd=tmp_path)
    clean(f"{path}.jsonl", out="out", duplicates="off")
    paths = [[ASK, SAY_MORE], SHORT, LONG]  # two of them end with a question that nobody answers
    assert sorted(kept_turns(tmp_path / "out")) == sorted(paths)
