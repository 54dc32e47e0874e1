"""The golden examples of docs/dataset.md are what the code gives."""

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.conftest import ROOT
from tests.zephyr_data.rated import rated_table
from zephyr_core.keys import canonical_json, draw, row_key, rows_digest
from zephyr_data import schemas
from zephyr_data.engine.store import row_digests
from zephyr_data.options import POLICIES, BinarizeOptions
from zephyr_data.pairing.gates import mark_unpairable
from zephyr_data.pairing.policies import choose_pairs
from zephyr_data.stages.rules import Ruleset
from zephyr_train.preflight.prompt_overlap import overlap
from zephyr_train.reader import open_data

PAIRS = (ROOT / "docs" / "pairs.md").read_text(encoding="utf-8")
TEXT = (ROOT / "docs" / "dataset.md").read_text(encoding="utf-8")


def test_ten_row_keys() -> None:
    examples = re.findall(r"^\| `(\[.*\])` \| `([0-9a-f]{64})` \|$", TEXT, re.MULTILINE)
    assert len(examples) == 10
    for texts, key in examples:
        assert row_key(json.loads(texts)) == key


def test_ten_draws() -> None:
    examples = re.findall(r"^\| (\d+) \| (\w+) \| (\S*) ?\| (\d+) \| (\d+) \|$", TEXT, re.MULTILINE)
    assert len(examples) == 10
    for seed, purpose, key, choices, drawn in examples:
        assert draw(int(seed), purpose, key, int(choices)) == int(drawn)


def test_rows_digest_of_two_rows() -> None:
    rows = [json.loads(row) for row in re.findall(r"`(\{\"prompt\".*?\]\})`", TEXT)]
    assert len(rows) == 2
    digest = re.search(r"it is\s+`([0-9a-f]{64})`", TEXT)
    assert digest and rows_digest(row_digests(rows)) == digest[1]
    assert row_digests(rows) == [hashlib.sha256(canonical_json(row)).digest() for row in rows]


def test_the_columns_listed_are_those_written() -> None:
    for name, schema in (
        ("dropped", schemas.DROPPED),
        ("rewritten", schemas.REWRITTEN),
        ("spared", schemas.SPARED),
        ("rules", schemas.RULES),
        ("kept", schemas.KEPT),
    ):
        listed = re.search(rf"audit/{name}\.parquet +(.*)", TEXT)
        assert listed and listed[1].split(", ") == schema.names


def test_training_reads_what_cleaning_and_pairing_write(
    clean: Callable[..., dict[str, Any]], binarize: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    for made, folder, kind, split in (
        (clean(), "out", "dialogues", "sft"),
        (binarize(), "pairs", "pairs", "prefs"),
        (binarize(out="h4", layout="h4"), "h4", "pairs", "prefs"),
    ):
        source = open_data(str(tmp_path / folder), kind)
        for side in ("train", "test"):
            assert source.table(side).num_rows == made["splits"][f"{side}_{split}"]["rows"]
        assert source.dropped == {}
        assert overlap(source).exact == 0
    ours, published = (open_data(str(tmp_path / folder), "pairs").table("train") for folder in ("pairs", "h4"))
    assert sorted(map(str, ours.to_pylist())) == sorted(map(str, published.to_pylist())), (
        "both layouts are the same pairs"
    )


def test_ten_rows_of_pairs() -> None:
    examples = re.findall(r"^\| ([^|`]+) \| `(\[\[.*\]\])` \| (\d) \| (\d) \|$", PAIRS, re.MULTILINE)
    assert len(examples) == 10
    rows = [(prompt, [(text, "m", score) for text, score in json.loads(answers)]) for prompt, answers, *_ in examples]
    options = BinarizeOptions()
    made = choose_pairs(options, Ruleset((), ()))(mark_unpairable(options)(rated_table(rows)))
    wanted = [[{"chosen": int(chosen), "rejected": int(rejected)}] for *_, chosen, rejected in examples]
    assert made["pairs"].to_list() == wanted


def test_what_is_said_of_pairs_is_what_is_written() -> None:
    columns = [
        name
        for row in re.findall(r"^\| ([a-z_, ]+) \| (?:messages|string|float64|list)", PAIRS, re.MULTILINE)
        for name in row.split(", ")
    ]
    assert columns == schemas.PAIRS.names
    listed = re.search(r"rated/rated-00000-of-0000N\.parquet +(.*)", PAIRS)
    assert listed and listed[1].split(", ") == schemas.RATED_ROWS.names
    code = "".join(
        (ROOT / "zephyr_data" / name).read_text()
        for name in ("pairing/gates.py", "pairing/policies.py", "stages/leakage.py", "pairing/scores.py")
    )
    rules = set(re.findall(r'"([a-z0-9]+(?:-[a-z0-9]+)+)"', code)) - {"as-read", "all-pairs", "utf-8-sig"}
    assert {"no-lower-score", "same-words", "ten-for-one"} <= rules
    for rule in rules:
        assert rule in PAIRS, rule
    for policy in POLICIES:
        assert f"| {policy} |" in PAIRS


def test_every_fault_is_listed() -> None:
    code = "".join(path.read_text() for path in (ROOT / "zephyr_data" / "sources").glob("*.py"))
    faults = set(re.findall(r'(?:"fault":|return|fault =|fault: str =|raise Unfit\()\s*f?"([a-z0-9-]+)"', code))
    faults |= set(re.findall(r'"([a-z0-9-]+)" if is_utf8', code)) | set(
        re.findall(r'else "([a-z0-9]+(?:-[a-z0-9]+)+)"', code)
    )
    faults |= set(re.findall(r'(?m)^[A-Z_]+(?:: TurnFault)? = \(?"([a-z0-9]+(?:-[a-z0-9]+)+)"', code))
    assert {
        "wrong-type",
        "no-turns",
        "system-turn",
        "duplicate-key",
        "not-utf8",
        "lone-surrogate",
        "cut-short",
    } <= faults
    for fault in faults - {"und"}:
        assert fault in TEXT + PAIRS, fault


def test_decisions_are_short() -> None:
    for path in (ROOT / "docs" / "decisions").glob("*.md"):
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 30, path
