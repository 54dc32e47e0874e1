"""What is written has a name of its own meanwhile: writers do not disturb each other, and a killed one leaves nothing."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from zephyr_core import temporary
from zephyr_core.manifest import write_text_whole
from zephyr_core.temporary import remove_abandoned, temporary_of

WRITE = """
import os, signal, sys
from pathlib import Path
from zephyr_core import manifest, temporary
if sys.argv[2] == "killed":
    os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)
for number in range(300):
    manifest.write_text_whole(Path(sys.argv[1]), sys.argv[2] * number)
"""


def test_two_writers_of_one_file_both_succeed_and_leave_it_whole(tmp_path: Path) -> None:
    """With one temporary name, one of them would rename the other's half away."""
    writers = [subprocess.Popen([sys.executable, "-c", WRITE, str(tmp_path / "plan"), letter]) for letter in "ab"]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    assert (tmp_path / "plan").read_text() in ("a" * 299, "b" * 299)
    assert [path.name for path in tmp_path.iterdir()] == ["plan"]


def test_what_a_killed_writer_left_goes_with_the_next_one(tmp_path: Path) -> None:
    (tmp_path / "plan").write_text("before")
    killed = subprocess.run([sys.executable, "-c", WRITE, tmp_path / "plan", "killed"], check=False)
    assert killed.returncode == -signal.SIGKILL and len(list(tmp_path.iterdir())) == 2
    assert (tmp_path / "plan").read_text() == "before"
    write_text_whole(tmp_path / "plan", "after")
    assert [path.name for path in tmp_path.iterdir()] == ["plan"]


def test_a_writer_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(UnicodeEncodeError):
        write_text_whole(tmp_path / "plan", "\ud800")
    assert list(tmp_path.iterdir()) == []


def test_a_name_says_machine_and_process_and_another_machines_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "plan.json"
    assert temporary_of(place).name.startswith(f".plan.json.{socket.gethostname()}.{os.getpid()}.")
    assert temporary_of(place) != temporary_of(place)
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    monkeypatch.setattr(temporary.os, "getpid", lambda: dead.pid)
    names = []
    for host in ("first", "first.cluster"):
        monkeypatch.setattr(temporary.socket, "gethostname", lambda host=host: host)
        names.append(temporary_of(place))
        names[-1].touch()
    remove_abandoned(place)
    assert [name.exists() for name in names] == [True, False]
    monkeypatch.setattr(temporary.socket, "gethostname", lambda: "first")
    remove_abandoned(place)
    assert not names[0].exists()
