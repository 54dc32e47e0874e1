import errno
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import zephyr
from zephyr_core import console
from zephyr_core.errors import EnvironmentLack


def test_columns_are_as_wide_as_their_widest_cell_and_numbers_stand_on_the_right() -> None:
    assert list(console.table([("name", "rows", "share"), ("a", 12345, 0.5), ("longer", 7, 0.25)])) == [
        "name      rows  share",
        "a       12,345    0.5",
        "longer       7   0.25",
    ]
    assert list(console.table([])) == []


def test_a_text_is_one_line_and_cut_at_the_limit() -> None:
    assert console.one_line("a\n b\t c") == "a b c"
    assert console.one_line("abcdef", 4) == "abc…" and console.one_line(None) == ""


def test_lines_of_progress_come_only_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr(console.time, "monotonic", lambda: clock[0])
    advance = console.lines(200, "steps")
    advance(1, "loss 2")
    clock[0] = 11.0
    advance(50, "loss 1")
    advance(51, "loss 1")
    assert capsys.readouterr().err == "50 of 200 steps (25%): loss 1\n"
    assert capsys.readouterr().out == ""


def test_bytes_are_shown_as_megabytes(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "EVERY", 0.0)
    console.lines(4e6, "bytes")(1e6, "7 rows")
    assert capsys.readouterr().err == "1 of 4 MB (25%): 7 rows\n"


def test_a_full_stdout_is_the_environment_s_lack(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

        def fileno(self) -> int:
            raise OSError

    monkeypatch.setattr(sys, "stdout", Full())
    with pytest.raises(EnvironmentLack, match="stdout cannot be written: No space left"):
        console.print_whole("x")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize(
    "words", ["recipe list", "recipe show tiny", "--version", "rules show --json", "--help", "data --help"]
)
def test_a_full_stdout_ends_every_command_with_4_and_one_line(words: str) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", "import cli; cli.main()", *words.split()],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 4 and done.stderr.startswith("error: ") and "Traceback" not in done.stderr


def test_a_closed_stdout_ends_with_4_and_no_traceback() -> None:
    code = "import cli; cli.main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "rules", "show", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    stderr = process.stderr.read()
    process.stderr.close()
    assert process.wait() == 4 and "Traceback" not in stderr


def test_a_character_that_stdout_cannot_encode_is_replaced() -> None:
    done = zephyr("recipe", "diff", "tiny", "zephyr-7b-beta", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert done.returncode == 1 and "binarize.test_prompts: 80 ? None" in done.stdout


def test_json_stays_whole_where_stdout_cannot_encode() -> None:
    wide = json.loads(zephyr("rules", "show", "--json").stdout)
    narrow = zephyr("rules", "show", "--json", PYTHONIOENCODING="ascii", PYTHONUTF8="0").stdout
    assert narrow.isascii() and json.loads(narrow) == wide


@pytest.mark.parametrize("words", ["recipe list", "rules show --json", "--version", "--help"])
def test_a_stdout_that_was_closed_before_the_command_began_ends_with_4(words: str) -> None:
    done = shell(f"{words} >&-")
    assert done.returncode == 4 and done.stderr.startswith("error: ") and "Traceback" not in done.stderr


def test_a_stderr_that_was_closed_keeps_news_out_of_the_result(tmp_path: Path) -> None:
    done = shell(f"data clean-ultrachat --recipe tiny --limit 50 --out {tmp_path / 'out'} --json 2>&-")
    assert done.returncode == 0 and json.loads(done.stdout)["kind"] == "dialogues"
    failed = shell(f"data verify {tmp_path / 'nowhere'} 2>&-")
    assert failed.returncode == 5 and failed.stdout == ""


def shell(words: str) -> "subprocess.CompletedProcess[str]":
    line = f"{sys.executable} -c 'import cli; cli.main()' {words}"
    return subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False)


def test_several_values_are_listed_and_one_is_text() -> None:
    assert [console.listed(value) for value in (["a", 2], ("b",), (), "c", None)] == ["a, 2", "b", "", "c", "None"]
