"""Exit codes, and what a command says when something goes wrong that nothing expected."""

import errno
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

import cli
from tests.conftest import ROOT
from zephyr_core import crash, errors


def run(code: str, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    import os

    return subprocess.run(
        [sys.executable, "-c", code, *words],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )


BROKEN = """
import cli, sys
from zephyr_core import recipe_report
def listing():
    raise {fault}
recipe_report.listing = listing
cli.main()
"""


def test_an_unexpected_fault_is_one_line_and_a_log_with_the_trace(tmp_path: Path) -> None:
    done = run(BROKEN.format(fault="KeyError('counts')"), "recipe", "list", ZEPHYR_CACHE=str(tmp_path))
    assert done.returncode == 70 and done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 2 and lines[0].startswith("error: a fault of zephyr: KeyError: 'counts' (trace in ")
    [log] = (tmp_path / "faults").iterdir()
    assert str(log) in lines[0]
    text = log.read_text()
    assert "Traceback" in text and "command: " in text and "recipe list" in text and "zephyr code: " in text


def test_without_a_place_for_the_log_the_trace_is_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(crash, "_log", lambda fault: None)
    fault = crash.explained(ZeroDivisionError("by 0"))
    assert fault.exit_code == 70 and "ZeroDivisionError: by 0" in str(fault)
    assert "ZeroDivisionError" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/x/y"), "no space left on /x/y"),
        (OSError(errno.EDQUOT, "Quota"), "no space left on the disk"),
        (MemoryError(), "not enough memory"),
    ],
)
def test_what_the_machine_lacks_is_no_fault_of_zephyr(fault: Exception, message: str) -> None:
    explained = crash.explained(fault)
    assert explained.exit_code == 4 and message in str(explained) and explained.hint


WAITS = """
import cli, sys, time
from zephyr_core import recipe_report
def listing():
    print("ready", file=sys.stderr, flush=True)
    time.sleep(60)
recipe_report.listing = listing
cli.main()
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_command_says_that_it_continues(number: signal.Signals, code: int) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", WAITS, "recipe", "list"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    assert process.stderr.readline() == "ready\n"
    time.sleep(0.1)
    process.send_signal(number)
    stderr = process.communicate()[1]
    assert process.returncode == code and stderr.strip() == "stopped; the same command continues"


def test_a_step_of_a_run_leaves_it_to_the_run_to_say_so() -> None:
    code = WAITS.replace("cli.main()", "cli.main(of_run=True)")
    process = subprocess.Popen([sys.executable, "-c", code, "recipe", "list"], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None and process.stderr.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    assert process.communicate()[1] == "" and process.returncode == 143


SWALLOWED = """
import cli, os, signal
from zephyr_core import recipe_report
def listing():
    try:
        os.kill(os.getpid(), signal.SIGTERM)
        os.getpid()
    except BaseException:
        raise TypeError("as polars does, called by its own code") from None
recipe_report.listing = listing
cli.main()
"""


def test_a_sigterm_that_a_library_made_an_error_of_is_still_one() -> None:
    done = run(SWALLOWED, "recipe", "list")
    assert done.returncode == 143 and done.stderr == "stopped; the same command continues\n"


def test_the_table_of_exit_codes_is_in_the_docs() -> None:
    rows = re.findall(r"^(\d+) +(\S.*)$", errors.__doc__ or "", re.MULTILINE)
    assert [int(code) for code, _ in rows] == [0, 1, 2, 3, 4, 5, 70, 130, 143]
    reference = (ROOT / "docs" / "cli.md").read_text()
    for code, meaning in rows:
        assert f"| {code} | {meaning} |" in reference


def test_every_error_class_ends_with_a_code_of_the_table() -> None:
    def below(kind: type[errors.ZephyrError]) -> list[type[errors.ZephyrError]]:
        return [kind, *(inner for sub in kind.__subclasses__() for inner in below(sub))]

    assert cli.app
    import zephyr_train.errors  # noqa: F401

    assert {kind.exit_code for kind in below(errors.ZephyrError)} == {1, 2, 3, 4, 5, 70}


def test_a_machine_without_a_home_folder_gets_its_log_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_home(path: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "expanduser", no_home)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for name in ("ZEPHYR_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert f"(trace in {tmp_path}" in str(crash.explained(ZeroDivisionError("by 0")))


def test_a_path_that_may_not_be_read_is_no_fault_of_zephyr() -> None:
    fault = crash.explained(PermissionError(errno.EACCES, "Permission denied", "/root/x"))
    assert fault.exit_code == 4 and str(fault) == "/root/x: permission denied"


def test_a_name_that_is_too_long_is_the_user_s() -> None:
    done = run("import cli; cli.main()", "data", "verify", "a" * 300)
    assert done.returncode == 2 and done.stderr.startswith("error: aaaa")
    assert "too long" in done.stderr and "a fault of zephyr" not in done.stderr


@pytest.mark.parametrize(("text", "line"), [("first\nsecond", "first"), ("", "ValueError"), (" \n", "ValueError")])
def test_an_error_is_told_in_one_line_or_by_its_type(text: str, line: str) -> None:
    assert errors.first_line(ValueError(text)) == line
