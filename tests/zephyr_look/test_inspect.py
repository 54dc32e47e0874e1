"""`zephyr data inspect` as typed: in a pipe, as JSON, on a terminal with a pager, with the audit's dropped rows."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import zephyr
from tests.system import COMMAND
from tests.zephyr_train.row_shapes import text_pair, turn, write_lines
from zephyr_core.errors import OptionError, UsageError
from zephyr_look.choosing import Choice
from zephyr_look.inspecting import inspect, inspect_dropped, refuse_mixed

FIVE = Choice(5)


@pytest.fixture
def talks(tmp_path: Path) -> Path:
    rows = [{"messages": [turn("user", f"{number}?"), turn("assistant", "Yes. " * 30)]} for number in range(9)]
    return write_lines(tmp_path / "talks.jsonl", rows)


def test_in_a_pipe_rows_are_plain_and_whole(talks: Path) -> None:
    done = zephyr("data", "inspect", talks.name, "--rows", "2", "--skip", "3", cwd=talks.parent, COLUMNS="40")
    assert done.returncode == 0 and "\x1b" not in done.stdout
    lines = done.stdout.splitlines()
    assert [line[:21] for line in lines if line.startswith("──")] == ["── talks.jsonl:4  tra", "── talks.jsonl:5  tra"]
    assert lines[1:5] == ["  user", "    3?", "  assistant", f"    {('Yes. ' * 30).rstrip()}"], "not wrapped"
    assert done.stderr == "2 rows of talks.jsonl; more with --rows and --skip\n"


def test_json_is_one_object_a_line_with_every_column(talks: Path, capsys: pytest.CaptureFixture[str]) -> None:
    inspect(str(talks), (), FIVE, as_json=True)
    captured = capsys.readouterr()
    rows = [json.loads(line) for line in captured.out.splitlines()]
    assert [row["row"] for row in rows] == [1, 2, 3, 4, 5] and not captured.err
    assert rows[0]["messages"][0] == turn("user", "0?") and rows[0]["chosen"] is None


def test_a_terminal_gets_colours_its_width_and_a_pager(talks: Path, tmp_path: Path) -> None:
    pager = tmp_path / "pager"
    pager.write_text(f'#!/bin/sh\necho "LESS=$LESS" > {tmp_path}/paged\ncat >> {tmp_path}/paged\n')
    pager.chmod(0o755)
    command = ("data", "inspect", str(talks), "--rows", "9")
    assert on_a_terminal(*command, PAGER=str(pager)) == "9 rows of " + f"{talks}; more with --rows and --skip\r\n"
    paged = (tmp_path / "paged").read_text().splitlines()
    assert paged[0] == "LESS=FRX" and "  \x1b[1;36muser\x1b[0m" in paged
    assert max(len(line) for line in paged if "Yes." in line) <= 50
    plain = on_a_terminal(*command, PAGER="cat", NO_COLOR="1")
    assert "\x1b" not in plain and max(map(len, plain.splitlines()[:-1])) <= 50


def test_leaving_the_pager_early_ends_the_command(talks: Path) -> None:
    assert "--rows and --skip" in on_a_terminal("data", "inspect", str(talks), "--rows", "9", PAGER="true")


def on_a_terminal(*words: str, **environment: str) -> str:
    """Return what a command that ends with 0 prints on a terminal of 50 columns."""
    ours, theirs = pty.openpty()
    ends = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
    variables = {**os.environ, "TERM": "xterm", "COLUMNS": "50", **environment}
    variables = {name: value for name, value in variables.items() if name != "NO_COLOR" or name in environment}
    process = subprocess.Popen([sys.executable, "-c", COMMAND, *words], **ends, env=variables)  # type: ignore[call-overload]
    os.close(theirs)
    written = b""
    while True:
        try:
            part = os.read(ours, 2**16)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        written += part
    os.close(ours)
    assert process.wait() == 0, written
    return written.decode()


def test_dropped_rows_come_with_their_reason_and_the_raw_row(
    clean: Callable[..., dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clean()
    inspect_dropped(str(tmp_path / "out"), Choice(1, name="b-0035"), as_json=True)
    row = json.loads(capsys.readouterr().out)
    assert row["reason"].startswith("phrases/") and row["why"] and row["line"] == 35
    assert json.loads(row["raw"])["id"] == "b-0035"
    inspect_dropped(str(tmp_path / "out"), Choice(99, where="reason LIKE 'language/%'"), as_json=False)
    printed = capsys.readouterr().out
    assert printed.count("  dropped by language/") == printed.count("── ") > 0


def test_what_is_asked_for_and_not_there_is_an_error_or_a_note(talks: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match="has no row 'nobody'"):
        inspect(str(talks), (), Choice(5, name="nobody"), as_json=False)
    inspect(str(talks), (), Choice(5, where="turns = 7"), as_json=False)
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", f"no such row in train of {talks}\n")
    with pytest.raises(OptionError, match="has no audit"):
        inspect_dropped(str(talks), FIVE, as_json=False)
    for wrong in ({"dropped": True, "tokens": "m"}, {"dropped": True, "splits": ["a"]}, {"template": "model"}):
        with pytest.raises(UsageError):
            refuse_mixed(**{"dropped": False, "tokens": None, "template": None, "splits": (), **wrong})  # type: ignore[arg-type]


def test_the_reason_of_an_unfit_row_stands_in_its_heading(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write_lines(tmp_path / "a.jsonl", [text_pair("a", "b", "b")])
    inspect(str(file), (), FIVE, as_json=False)
    assert capsys.readouterr().out.splitlines()[0].endswith("cannot be trained on: identical-texts")
