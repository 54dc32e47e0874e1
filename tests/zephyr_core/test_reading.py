from pathlib import Path

from zephyr_core.reading import json_file, json_lines

DEEP = 100_000 * "["


def test_a_file_nested_too_deeply_is_as_good_as_none(tmp_path: Path) -> None:
    (tmp_path / "x").write_text(DEEP)
    assert json_file(tmp_path / "x") == {}


def test_a_line_nested_too_deeply_is_counted_as_damaged(tmp_path: Path) -> None:
    (tmp_path / "x").write_text(f'{{"step": 1}}\n{DEEP}\n')
    assert json_lines(tmp_path / "x") == ([{"step": 1}], 1)
