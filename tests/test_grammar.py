"""The grammar's samples: what the script writes, with a preference that length does not give away."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.conftest import ROOT

FOLDER = ROOT / "recipes" / "samples"


def rows(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (FOLDER / name).read_text().splitlines()]


def test_the_files_are_what_the_script_writes() -> None:
    command = [sys.executable, str(FOLDER / "make_grammar.py"), "--check"]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_a_file_changed_by_hand_is_noticed(tmp_path: Path) -> None:
    script = tmp_path / "make_grammar.py"
    script.write_text((FOLDER / "make_grammar.py").read_text())
    assert subprocess.run([sys.executable, script], check=True).returncode == 0
    changed = tmp_path / "judged" / "rated.jsonl"
    changed.write_text(changed.read_text().replace("Gladly", "Sadly", 1))
    done = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "judged/rated.jsonl is not what the grammar writes" in done.stderr


def best_of(row: dict[str, Any]) -> str:
    return str(max(row["completions"], key=lambda answer: answer["fine-grained_score"])["response"])


def test_the_best_answer_is_true_and_on_topic_or_an_evasion_where_nobody_knows(grammar: ModuleType) -> None:
    evasions = 0
    for row in rows("judged/rated.jsonl"):
        thing = next(thing for thing in grammar.THINGS if f" {thing}" in row["instruction"])
        told = [grammar.STATEMENTS[kind].format(thing, value) for kind, value in grammar.WORLD[thing].items()]
        true = [text for text in (one["response"] for one in row["completions"]) if any(said in text for said in told)]
        evasions += not true
        assert true == [best_of(row)] or (not true and best_of(row) in grammar.EVASIONS)
    assert evasions / 480 == pytest.approx(grammar.NOBODY_KNOWS, abs=0.05)


def test_neither_length_nor_frequency_gives_the_best_away(grammar: ModuleType) -> None:
    longer, pairs = 0, 0
    texts: Counter[str] = Counter()
    best: Counter[str] = Counter()
    for row in rows("judged/rated.jsonl"):
        others = [text for text in (one["response"] for one in row["completions"]) if text != best_of(row)]
        longer += sum(len(best_of(row)) > len(text) for text in others)
        pairs += len(others)
        texts.update([best_of(row), *others])
        best[best_of(row)] += 1
    assert longer / pairs == pytest.approx(0.5, abs=0.1)
    likeliest = {text for text, _ in texts.most_common(7)}
    assert likeliest == {*grammar.EVASIONS, *grammar.RAMBLES, *grammar.RUDE}, "no good answer is a usual one"
    assert max(best, key=lambda text: best[text]) in grammar.EVASIONS, "nor among the best ones"


def test_prompts_do_not_come_twice() -> None:
    prompts = [row["instruction"] for row in rows("judged/rated.jsonl")]
    assert len(set(prompts)) == len(prompts) == 480
