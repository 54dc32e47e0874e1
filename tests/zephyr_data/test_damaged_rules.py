"""A rule file that is damaged or has another shape: one error that names the file."""

from pathlib import Path

import pytest

from tests.zephyr_data.conftest import Command

RULE = 'id = "a"\npattern = "x"\nwhy = "because"\nsource = "ours"\n'
DIGITS = "9" * 5_000
FILES: dict[str, str | bytes] = {
    "nested deep": "x = " + "[" * 5_000 + "]" * 5_000,
    "a table, not a list": f"[drop]\n{RULE}",
    "rules that are a number": "drop = 5",
    "a list of numbers": "cut = [5]",
    "exemptions that are a number": "unless = 5",
    "words that are a number": "words = 3",
    "a word that is a number": "[words]\na = 5",
    "hits that are a number": f"[[drop]]\n{RULE}hits = 5",
    "a hit that is a number": f"[[drop]]\n{RULE}hits = ['x', 5]",
    "unless that is a number": f"[[drop]]\n{RULE}unless = 5",
    "a family that is a list": f"[[drop]]\n{RULE}family = ['a']",
    "a gate of a rule that is a number": f"[[drop]]\n{RULE}gate = 5",
    "a gate of a rule that is not a pattern": f"[[drop]]\n{RULE}gate = '('",
    "a role that is a number": f"[[drop]]\n{RULE}role = 5",
    "a turn that is a list": f"[[drop]]\n{RULE}turn = ['any']",
    "a gate that is a list": "gate = [1]",
    "a gate without a reason": "[gate]\npattern = 'x'",
    "a pattern that is not one": f"[[drop]]\n{RULE.replace('x', '(')}",
    "a pattern that is a number": "[[drop]]\nid = 'a'\npattern = 5\nwhy = 'w'\nsource = 'ours'",
    "an integer of many digits": f"[[drop]]\n{RULE}hits = {DIGITS}",
    "a hexadecimal integer of many digits": f"[[drop]]\n{RULE}hits = 0x{DIGITS}",
    "an unknown piece": f"[[drop]]\n{RULE.replace('x', '{{y}}')}",
    "an unknown table": "[[dorp]]\nid = 'a'",
    "not TOML": "drop = [",
    "not UTF-8": b"\xff\xfe\x00",
    "a date": "drop = 2026-11-30",
}


@pytest.mark.parametrize("content", FILES.values(), ids=FILES)
def test_a_rule_file(content: str | bytes, tmp_path: Path, command: Command) -> None:
    path = tmp_path / "own.toml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    for words in (["rules", "show", "own.toml"], ["rules", "test", "own.toml"]):
        assert command(*words).refuses(5, "own.toml"), words
    ended = command("data", "clean-ultrachat", "samples:ultrachat", "--rules", "own.toml", "--dry-run", "--out", "o")
    assert ended.refuses(5, "own.toml"), ended


def test_a_folder_and_a_missing_one(tmp_path: Path, command: Command) -> None:
    (tmp_path / "own.toml").mkdir()
    assert command("rules", "show", "own.toml").refuses(5, "own.toml", "Is a directory")
    assert command("rules", "show", "none.toml").refuses(2, "no rule file none.toml")
    assert command("rules", "show", "none").refuses(2, "none.toml", "shipped sets")
