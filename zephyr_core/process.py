"""Processes that a command starts: run them, follow them, stop them with it, and bring back their failure.

Neither outlives the other. A process that is stopped, by ctrl-c, SIGTERM or an error, stops the one it started
(`start`, `follow`); one that is killed cannot, so the one it started watches it (`end_with`, `as_worker`).
"""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from zephyr_core import errors
from zephyr_core.alive import began
from zephyr_core.disk import clear_disk_errors
from zephyr_core.errors import EnvironmentLack, ZephyrError
from zephyr_core.reading import json_file

FAILURE = "failure.json"  # message, hint, exit code and, of an unexpected error, trace of the first worker that failed
PARENT = "ZEPHYR_PARENT"  # environment variable: the process that a worker ends with

_EVERY = 0.2  # seconds between two checks of a process
_PATIENCE = 3.0  # seconds for ctrl-c: a terminal sends it to all of its processes
_GRACE_OF_COMMANDS = 30.0  # seconds for a command of ours, which stops its own workers first
_GRACE_OF_WORKERS = 10.0  # seconds for a worker
_GRACE_OF_ORPHANS = 5.0  # seconds for a command that has lost its parent
_TAIL_LINES, _TAIL_BYTES = 15, 64 * 2**10
_CHOSEN = (errors.USAGE, errors.ENVIRONMENT, errors.DATA)  # exit codes that a worker gives, not Python


@dataclass(frozen=True)
class Ended:
    """How a process ended: its exit code as a shell reports it, and its output, as far as that was kept."""

    code: int
    out: str = ""
    err: str = ""

    @property
    def killed_by(self) -> signal.Signals | None:
        """Return the signal that killed it, or None."""
        return next((number for number in signal.Signals if number == self.code - 128), None)


# ---- the process that starts another ------------------------------------------------------------


def start(
    command: Sequence[str],
    *,
    catch: Sequence[str] = (),
    out_to: Any = None,
    lock: int | None = None,
    environment: Mapping[str, str] | None = None,
) -> Ended:
    """Run a command that handles ctrl-c itself, and return how it ended.

    Args:
        command: its words.
        catch: "out" and "err": what is caught; the rest goes where this process's own output goes.
        out_to: a stream for what it writes to stdout, unless that is caught.
        lock: the descriptor of a lock (`folder.lock`) that it holds too.
        environment: of the command; None: this process's own.

    Raises:
        KeyboardInterrupt: ctrl-c, here or in the command.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    with _running(
        command,
        is_command=True,
        stdout=subprocess.PIPE if "out" in catch else out_to,
        stderr=subprocess.PIPE if "err" in catch else None,
        text=True,
        pass_fds=() if lock is None else (lock,),
        env=None if environment is None else dict(environment),
    ) as process:
        out, err = process.communicate()
    code = _exit_code(process.returncode)
    if code == errors.INTERRUPTED:
        raise KeyboardInterrupt
    return Ended(code, out or "", err or "")


def follow(
    command: Sequence[str],
    *,
    log: Path,
    environment: Mapping[str, str],
    watch: Callable[[], None] = lambda: None,
    stopping: Callable[[BaseException], None] = lambda _: None,
) -> Ended:
    """Run a worker, call `watch` now and then, and return how it ended, with the end of what it added to `log`.

    `stopping` is called with an exception of this process before it stops the worker.
    """
    with log.open("ab") as stream:
        begin = stream.tell()
        with _running(command, is_command=False, stdout=stream, stderr=stream, env=dict(environment)) as process:
            try:
                while process.poll() is None:
                    time.sleep(_EVERY)
                    watch()
            except BaseException as fault:
                stopping(fault)
                raise
    watch()
    with log.open("rb") as reader:
        reader.seek(max(begin, log.stat().st_size - _TAIL_BYTES))
        return Ended(_exit_code(process.returncode), reader.read().decode(errors="replace"))


@contextmanager
def _running(command: Sequence[str], *, is_command: bool, **streams: Any) -> Iterator["subprocess.Popen[Any]"]:
    """Yield a process that has ended when the block ends; an exception that leaves the block stops it.

    It has no stdin, so nothing that it loads can ask for anything.
    """
    with sigterm_raises(), subprocess.Popen(command, stdin=subprocess.DEVNULL, **streams) as process:
        try:
            yield process
        except BaseException as fault:
            _stop(process, by_ctrl_c=is_command and isinstance(fault, KeyboardInterrupt), is_command=is_command)
            raise


def _stop(process: "subprocess.Popen[Any]", *, by_ctrl_c: bool, is_command: bool) -> None:
    """Stop a process and wait for its end; kill it if it ignores the signal, or on a second ctrl-c."""
    try:
        if by_ctrl_c:
            with suppress(subprocess.TimeoutExpired):
                process.wait(_PATIENCE)
        process.send_signal(signal.SIGINT if by_ctrl_c else signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE_OF_COMMANDS if is_command else _GRACE_OF_WORKERS)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


class Terminated(SystemExit):
    """SIGTERM as an exception, so that what this process started is stopped on the way out.

    `has_come` is set too: a library that calls Python from its own code may turn the exception into one of its own.
    """

    has_come = False

    def __init__(self) -> None:
        super().__init__(errors.TERMINATED)


@contextmanager
def sigterm_raises() -> Iterator[None]:
    """Raise `Terminated` when SIGTERM comes, unless it is already handled or this is not the main thread."""
    is_free = threading.current_thread() is threading.main_thread()
    if not is_free or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _terminate(*_: object) -> None:
    Terminated.has_come = True
    raise Terminated


def _exit_code(returned: int) -> int:
    """Return an exit code as a shell reports it: 128 + number for a signal."""
    return returned if returned >= 0 else 128 - returned


def failure(folder: Path, ended: Ended, log: Path, *, hint: str | None = None) -> ZephyrError:
    """Return the error of a worker that failed: its own message, or what its exit and its log say.

    Args:
        folder: where it left its message.
        ended: how it ended.
        log: the file that `ended.out` is the end of.
        hint: what to do when the worker itself gave no hint.
    """
    words = json_file(folder / FAILURE)
    is_told = {"message", "exit_code"} <= set(words)
    if is_told and (ended.killed_by is None or "trace" not in words):  # a rank that was killed breaks the others
        trace = "\n  ".join([f"; its trace in {log} ends:", *words["trace"]]) if words.get("trace") else ""
        return _error(words["message"] + trace, words.get("hint") or hint, words["exit_code"])
    lines = ended.out.rstrip().split("\n")
    if ended.code in _CHOSEN and lines[-1].startswith("error: "):  # no room on the disk for its message
        return _error(lines[-1].removeprefix("error: "), hint, ended.code)
    tail = "\n  ".join([f"the end of {log}:", *lines[-_TAIL_LINES:]])
    if ended.killed_by is not None:
        cause = ", probably for lack of memory" if ended.killed_by == signal.SIGKILL else ""
        return EnvironmentLack(f"a worker was killed by {ended.killed_by.name}{cause}; {tail}", hint)
    return _error(f"a worker ended with exit code {ended.code}; {tail}", hint, errors.INTERNAL)


def _error(message: str, hint: str | None, code: int) -> ZephyrError:
    fault = ZephyrError(message, hint)
    fault.exit_code = code
    return fault


# ---- the process that is started ----------------------------------------------------------------


@contextmanager
def as_worker(folder: Path, *, start: Path | None = None) -> Iterator[None]:
    """Work for the process in ZEPHYR_PARENT, and end with it; the first worker to fail leaves its message in `folder`.

    The process ends with the error's exit code, an unexpected one's is 70. Its trace goes to the log.

    Args:
        folder: where messages are left.
        start: a file that each start replaces; a worker of an earlier start leaves no message for a later one.
    """
    before = start and stamp(start)

    def leave(code: int, message: str, **words: object) -> None:
        if start is None or stamp(start) == before:
            leave_failure(folder, code, message=message, **words)

    who = _who()
    gone = f"the command that started {who} is gone"
    end_with(int(os.environ.get(PARENT, "0")), last=lambda: leave(errors.ENVIRONMENT, gone))
    try:
        with clear_disk_errors(folder):
            yield
    except ZephyrError as fault:
        leave(fault.exit_code, str(fault), hint=fault.hint)
        _give_up(fault.exit_code, f"error: {fault}")
    except Exception as fault:
        trace = "".join(traceback.format_exception(fault)).rstrip()
        message = f"{who} failed with {type(fault).__name__}: {errors.first_line(fault)}"
        leave(errors.INTERNAL, message, trace=trace.split("\n")[-_TAIL_LINES:])
        _give_up(errors.INTERNAL, trace)


def _who() -> str:
    """Return which worker this is, and of several machines on which."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    here = f" on {socket.gethostname()}" if int(os.environ.get("LOCAL_WORLD_SIZE", world)) < world else ""
    return f"rank {os.environ.get('RANK')}{here}" if world > 1 else "a worker"


def stamp(file: Path) -> tuple[int, int] | None:
    """Return what changes whenever a file is replaced; None if there is none."""
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino


def leave_failure(folder: Path, code: int, *, message: str, **words: object) -> None:
    """Leave the words of a failure, unless somebody else was first."""
    content = {"message": message, "hint": None, **words, "exit_code": code}
    with suppress(OSError), (folder / FAILURE).open("x", encoding="utf-8") as stream:
        stream.write(json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def _give_up(code: int, logged: str) -> NoReturn:
    print(logged, flush=True)
    sys.stderr.flush()
    os._exit(code)  # not sys.exit: another rank may be waiting in a collective


def end_with(parent: int, *, softly: bool = False, last: Callable[[], None] = lambda: None) -> None:
    """End this process once the process `parent` is gone, however it ended; 0: no process.

    `softly`: as ctrl-c would, with a few seconds to clean up; if False, at once, after `last`.
    """
    if parent:
        threading.Thread(target=_watch, args=(parent, began(parent), softly, last), daemon=True).start()


def _watch(parent: int, since: str | None, softly: bool, last: Callable[[], None] = lambda: None) -> None:
    while since is not None and (now := began(parent)) is not None and (now == since or "" in (now, since)):
        time.sleep(_EVERY)
    if softly:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(_GRACE_OF_ORPHANS)
    last()
    os._exit(errors.INTERRUPTED if softly else errors.TERMINATED)
