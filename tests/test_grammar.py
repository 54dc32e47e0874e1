"""The grammar's samples: what the script writes, with a preference that length does not give away."""

import importlib.util
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


@pytest.fixture(scope="module")
def grammar() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_grammar", FOLDER / "make_grammar.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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


def test_the_best_answer_is_true_and_on_topic_and_no_other_is(grammar: ModuleType) -> None:
    for row in rows("judged/rated.jsonl"):
        means = {answer["response"]: answer["fine-grained_score"] for answer in row["completions"]}
        best = max(means, key=lambda text: means[text])
        thing = next(thing for thing in grammar.THINGS if f" {thing}" in row["instruction"])
        told = [grammar.STATEMENTS[kind].format(thing, value) for kind, value in grammar.WORLD[thing].items()]
        assert sum(statement in best for statement in told) == 1
        assert not any(statement in text for text in means if text != best for statement in told)


def test_neither_length_nor_frequency_gives_the_best_away() -> None:
    ranks: Counter[int] = Counter()
    texts: Counter[str] = Counter()
    best: Counter[str] = Counter()
    for row in rows("judged/rated.jsonl"):
        answers = sorted(row["completions"], key=lambda answer: len(answer["response"]))
        scores = [answer["fine-grained_score"] for answer in answers]
        ranks[scores.index(max(scores))] += 1
        texts.update(answer["response"] for answer in answers)
        best[answers[scores.index(max(scores))]["response"]] += 1
    assert ranks[0] + ranks[3] < 0.1 * sum(ranks.values()), "the best is hardly ever the shortest or the longest"
    assert {text for text, _ in texts.most_common(7)}.isdisjoint(best), "the likeliest answers are the bad ones"


def test_prompts_do_not_come_twice() -> None:
    prompts = [row["instruction"] for row in rows("judged/rated.jsonl")]
    assert len(set(prompts)) == len(prompts) == 480
