"""Processes that start each other end together, and a failure comes back with its words and exit code."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from zephyr_core import errors, process
from zephyr_core.alive import is_alive
from zephyr_core.errors import EnvironmentLack
from zephyr_core.process import FAILURE, PARENT, Ended, failure, follow, start

SLEEP = "import time; time.sleep(60)"


def wait_for(file: Path) -> str:
    deadline = time.monotonic() + 20
    while not (file.is_file() and file.read_text()):
        assert time.monotonic() < deadline, f"{file.name} is not there"
        time.sleep(0.02)
    return file.read_text()


def is_gone(number: int, seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while is_alive(number) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not is_alive(number)


# ---- start and follow ---------------------------------------------------------------------------

STARTER = """
import sys
from pathlib import Path
from zephyr_core import process
command = [sys.executable, "-c", sys.argv[2], sys.argv[3]]
if sys.argv[1] == "start":
    sys.exit(process.start(command).code)
import os
sys.exit(process.follow(command, log=Path(sys.argv[3] + ".log"), environment=os.environ).code)
"""
HEEDS = """
import os, signal, sys, time
from pathlib import Path
def tell(number, frame):
    Path(sys.argv[1] + ".signal").write_text(str(number))
    sys.exit(1)
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, tell)
Path(sys.argv[1]).write_text(str(os.getpid()))
time.sleep(60)
"""


def started(how: str, child: str, pid_file: Path) -> tuple["subprocess.Popen[bytes]", int]:
    """Return a process that has started another one, and that one's number."""
    parent = subprocess.Popen([sys.executable, "-c", STARTER, how, child, str(pid_file)], stderr=subprocess.DEVNULL)
    return parent, int(wait_for(pid_file))


@pytest.mark.parametrize("how", ["start", "follow"])
def test_sigterm_reaches_the_child_and_the_exit_code_is_143(tmp_path: Path, how: str) -> None:
    parent, child = started(how, HEEDS, tmp_path / "child")
    parent.terminate()
    assert parent.wait(10) == errors.TERMINATED
    assert not is_alive(child)
    assert (tmp_path / "child.signal").read_text() == str(int(signal.SIGTERM))


def test_ctrl_c_that_only_the_parent_got_reaches_the_child(tmp_path: Path) -> None:
    parent, child = started("start", HEEDS, tmp_path / "child")
    parent.send_signal(signal.SIGINT)
    assert parent.wait(15) == -signal.SIGINT
    assert not is_alive(child)
    assert (tmp_path / "child.signal").read_text() == str(int(signal.SIGINT))


def test_a_child_that_heeds_no_signal_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deaf = "import os, pathlib, signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    deaf += "pathlib.Path(sys.argv[1]).write_text(str(os.getpid())); time.sleep(60)"
    monkeypatch.setattr(process, "_GRACE_OF_WORKERS", 0.3)

    def broken() -> None:
        wait_for(tmp_path / "child")
        raise RuntimeError("the follower broke")

    with pytest.raises(RuntimeError, match="the follower broke"):
        follow(
            [sys.executable, "-c", deaf, str(tmp_path / "child")],
            log=tmp_path / "log.txt",
            environment=os.environ,
            watch=broken,
        )
    assert not is_alive(int((tmp_path / "child").read_text()))


def test_sigterm_is_left_alone_where_it_is_handled_and_given_back_afterwards() -> None:
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    with process.sigterm_raises():
        mine = signal.getsignal(signal.SIGTERM)
        with process.sigterm_raises():
            assert signal.getsignal(signal.SIGTERM) is mine is not signal.SIG_DFL
        assert signal.getsignal(signal.SIGTERM) is mine
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_thread_may_start_a_process_too() -> None:
    ends: list[Ended] = []
    thread = threading.Thread(target=lambda: ends.append(start([sys.executable, "-c", "print('a')"], catch=["out"])))
    thread.start()
    thread.join()
    assert ends == [Ended(0, "a\n")]


def test_what_is_caught_comes_back_with_the_exit_code() -> None:
    code = "import sys; print('plums'); print('pears', file=sys.stderr); sys.exit(3)"
    assert start([sys.executable, "-c", code], catch=["out", "err"]) == Ended(3, "plums\n", "pears\n")
    killed = start([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"])
    assert (killed.code, killed.killed_by) == (137, signal.SIGKILL)
    assert Ended(5).killed_by is None and Ended(255).killed_by is None


@pytest.mark.parametrize(
    "code", ["import sys; sys.exit(130)", "import os, signal; os.kill(os.getpid(), signal.SIGINT)"]
)
def test_ctrl_c_there_is_ctrl_c_here(code: str) -> None:
    with pytest.raises(KeyboardInterrupt):
        start([sys.executable, "-c", code], catch=["err"])


def test_a_worker_adds_to_the_log_and_only_its_own_lines_come_back(tmp_path: Path) -> None:
    calls: list[bool] = []
    (tmp_path / "log.txt").write_text("an older run\n")
    ended = follow(
        [sys.executable, "-c", "import os; print(os.environ['FRUIT'])"],
        log=tmp_path / "log.txt",
        environment={"FRUIT": "plum"},
        watch=lambda: calls.append(True),
    )
    assert ended == Ended(0, "plum\n")
    assert (tmp_path / "log.txt").read_text() == "an older run\nplum\n"
    assert calls


# ---- a process ends with its parent -------------------------------------------------------------

ALONE = """
import os, sys, time
from pathlib import Path
from zephyr_core import process
process.end_with(os.getppid(), softly=sys.argv[1].endswith("soft"))
Path(sys.argv[1]).write_text(str(os.getpid()))
try:
    time.sleep(60)
except KeyboardInterrupt:
    Path(sys.argv[1] + ".put-away").touch()
    raise
"""


@pytest.mark.parametrize("name", ["soft", "hard"])
def test_kill_9_of_the_parent_ends_the_child(tmp_path: Path, name: str) -> None:
    parent, child = started("start", ALONE, tmp_path / name)
    assert is_alive(child)
    parent.kill()  # nobody waits for it: a zombie counts as gone
    assert is_gone(child)
    assert (tmp_path / f"{name}.put-away").exists() == (name == "soft")
    parent.wait()


def test_a_child_whose_parent_was_gone_before_it_looked_ends_too() -> None:
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    code = f"from zephyr_core import process; process.end_with({int(gone.stdout)}); {SLEEP}"
    child = subprocess.Popen([sys.executable, "-c", code])
    assert child.wait(20) == errors.TERMINATED


def test_nobody_is_waited_for_without_a_parent() -> None:
    code = "from zephyr_core import process; process.end_with(0); import time; time.sleep(0.6)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_another_process_with_the_number_of_the_parent_is_not_the_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    ends: list[int] = []
    monkeypatch.setattr(process.os, "_exit", ends.append)
    looks = iter(["100", "", "100", "250"])
    monkeypatch.setattr(process, "_EVERY", 0.0)
    monkeypatch.setattr(process, "began", lambda _: next(looks))
    process._watch(1, "100", False)
    assert ends == [errors.TERMINATED] and next(looks, "none left") == "none left"


def test_a_zombie_is_not_alive() -> None:
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    assert is_gone(child.pid)
    child.wait()
    assert is_alive(os.getpid())


# ---- last words ---------------------------------------------------------------------------------

WORKER = """
import os, sys
from pathlib import Path
from zephyr_core import errors, process
from zephyr_core.alive import is_alive
with process.as_worker(Path(sys.argv[1])):
    exec(sys.argv[2])
"""


def worked(folder: Path, code: str) -> errors.ZephyrError:
    """Return the error of a worker that does this."""
    folder.mkdir(exist_ok=True)
    log = folder.parent / "log.txt"
    command = [sys.executable, "-c", WORKER, str(folder), code]
    ended = follow(command, log=log, environment={**os.environ, PARENT: str(os.getpid())})
    return failure(folder, ended, log, hint="what the caller knows")


def test_an_error_of_ours_comes_back_whole(tmp_path: Path) -> None:
    fault = worked(tmp_path / "run", "raise errors.DataError('the loss is nan', 'lower it')")
    assert (str(fault), fault.hint, fault.exit_code) == ("the loss is nan", "lower it", 5)
    (tmp_path / "run" / FAILURE).unlink()
    fault = worked(tmp_path / "run", "raise errors.DataError('the loss is nan')")
    assert fault.hint == "what the caller knows"


def test_a_full_disk_comes_back_as_one(tmp_path: Path) -> None:
    fault = worked(tmp_path / "run", "f = open('/dev/full', 'w'); f.write('x'); f.flush()")
    assert fault.exit_code == 4 and "no space left while writing" in str(fault)


def test_words_that_the_disk_did_not_take_are_read_from_the_log(tmp_path: Path) -> None:
    (tmp_path / "run" / FAILURE).mkdir(parents=True)  # cannot be written
    fault = worked(tmp_path / "run", "raise errors.NoSpace('no space left')")
    assert (str(fault), fault.exit_code) == ("no space left", 4)


def test_a_trace_is_a_fault_of_ours_whatever_else_is_in_the_log(tmp_path: Path) -> None:
    """As in torch's launcher, whose summary is longer than what the command shows of a log."""
    log = tmp_path / "log.txt"
    fault = worked(tmp_path / "run", "raise RuntimeError('shapes differ\\nin layer 3')")
    assert fault.exit_code == errors.INTERNAL == 70
    assert str(fault).startswith(f"a worker failed with RuntimeError: shapes differ; its trace in {log} ends:")
    assert str(fault).endswith("in layer 3") and fault.hint == "what the caller knows"
    ended = Ended(1, "summary\n" * 40)
    assert str(failure(tmp_path / "run", ended, log)) == str(fault)


def test_the_first_worker_to_fail_is_the_one_that_is_told(tmp_path: Path) -> None:
    worked(tmp_path / "run", "raise RuntimeError('the cause')")
    for second in ("RuntimeError('connection closed by peer')", "errors.DataError('the loss is nan')"):
        assert "the cause" in str(worked(tmp_path / "run", f"raise {second}"))


def test_a_worker_of_an_earlier_start_leaves_no_message_for_a_later_one(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
from zephyr_core import manifest, process
folder = Path(sys.argv[1])
manifest.write_text_whole(folder / "job.json", "first")
with process.as_worker(folder, start=folder / "job.json"):
    if sys.argv[2] == "replaced":
        manifest.write_text_whole(folder / "job.json", "first")
    raise RuntimeError("connection closed by peer")
"""
    for how in ("replaced", "same"):
        ended = subprocess.run([sys.executable, "-c", code, tmp_path, how], stdout=subprocess.PIPE, check=False)
        assert ended.returncode == errors.INTERNAL and b"connection closed" in ended.stdout
        assert (tmp_path / FAILURE).exists() == (how == "same")


def test_a_worker_that_loses_its_command_says_so_and_of_several_machines_where(tmp_path: Path) -> None:
    starter = "import subprocess, sys; subprocess.run([sys.executable, '-c', *sys.argv[1:]])"
    work = "Path(sys.argv[1], 'begun').write_text('x'); import time; time.sleep(60)"
    ranks = {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2"}
    for place, who in (({}, "a worker"), (ranks, f"rank 3 on {socket.gethostname()}")):
        folder = tmp_path / who
        folder.mkdir()
        code = f"import os; os.environ[{PARENT!r}] = str(os.getppid())\n" + WORKER
        parent = subprocess.Popen([sys.executable, "-c", starter, code, folder, work], env={**os.environ, **place})
        wait_for(folder / "begun")
        parent.kill()
        parent.wait()
        assert json.loads(wait_for(folder / FAILURE))["message"] == f"the command that started {who} is gone"


def test_a_rank_that_was_killed_is_told_before_what_its_end_did_to_another(tmp_path: Path) -> None:
    worked(tmp_path / "run", "raise RuntimeError('connection closed by peer')")
    assert "killed by SIGKILL" in str(failure(tmp_path / "run", Ended(128 + 9, "x"), tmp_path / "log.txt"))


@pytest.mark.parametrize(
    ("number", "message"), [(9, "killed by SIGKILL, probably for lack of memory;"), (11, "killed by SIGSEGV;")]
)
def test_a_killed_worker_lacks_something_of_the_machine(tmp_path: Path, number: int, message: str) -> None:
    fault = worked(tmp_path / "run", f"print('step 3', flush=True); os.kill(os.getpid(), {number})")
    assert isinstance(fault, EnvironmentLack) and fault.exit_code == 4
    assert message in str(fault) and str(fault).endswith("step 3")


def test_words_that_are_damaged_are_none(tmp_path: Path) -> None:
    (tmp_path / FAILURE).write_text(json.dumps({"message": "x"}))
    assert failure(tmp_path, Ended(1, "a trace"), tmp_path / "log.txt").exit_code == errors.INTERNAL
