"""A step's command: as a user would type it, and as a process of its own."""

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import IO

from zephyr_run.lifeline import CODE
from zephyr_run.steps import CHAIN, Step

PATIENCE = 3.0  # seconds: a terminal's ctrl-c reaches the command by itself


@dataclass(frozen=True)
class Ended:
    """How a command ended; `out` and `err` are what it wrote where that was caught."""

    code: int
    out: str = ""
    err: str = ""


def words(step: Step, recipe: str, sources: Sequence[str] = (), flags: Sequence[str] = ()) -> list[str]:
    """Return the command of a step, beginning with `zephyr`."""
    return ["zephyr", *step.words, *sources, "--recipe", recipe, *flags]


def typed(command: Sequence[str]) -> str:
    """Return a command as a user would type it."""
    return shlex.join(command)


def of_the_run(recipe: str, first: str, sources: Mapping[str, Sequence[str]], *, fresh: bool = False) -> str:
    """Return `zephyr run` from a step on, as a user would type it to the same end: same place, same sources."""
    given = [(step.source_flag, source) for step in CHAIN for source in sources.get(step.name, ())]
    words = ["zephyr", "run", "--recipe", recipe, *(str(word) for pair in given for word in pair), "--from", first]
    runs = os.environ.get("ZEPHYR_RUNS")
    return (f"ZEPHYR_RUNS={shlex.quote(runs)} " if runs else "") + typed([*words, *(["--fresh"] if fresh else [])])


def start(
    command: Sequence[str],
    *,
    catch: Sequence[str] = (),
    out_to: IO[str] | None = None,
    lock: int | None = None,
    environment: Mapping[str, str] | None = None,
) -> Ended:
    """Run a command with this interpreter and return how it ended; ctrl-c goes on to it, and is waited for.

    Args:
        command: its words, beginning with `zephyr`.
        catch: "out" and "err": what is caught; the rest goes where this process' own goes.
        out_to: a stream for what it writes to stdout, unless that is caught.
        lock: a descriptor of a lock that it shall hold too.
        environment: of the command; else this process' own.
    """
    code = [sys.executable, "-P", "-c", CODE.format(parent=os.getpid()), *command[1:]]
    sys.stdout.flush()
    sys.stderr.flush()
    process = subprocess.Popen(
        code,
        stdout=subprocess.PIPE if "out" in catch else out_to,
        stderr=subprocess.PIPE if "err" in catch else None,
        text=True,
        pass_fds=() if lock is None else (lock,),
        env=None if environment is None else dict(environment),
    )
    try:
        out, err = process.communicate()
    except KeyboardInterrupt:
        _stop(process)
        raise
    if process.returncode in (130, -signal.SIGINT):
        raise KeyboardInterrupt
    return Ended(process.returncode if process.returncode >= 0 else 128 - process.returncode, out or "", err or "")


def _stop(process: "subprocess.Popen[str]") -> None:
    """Wait for a command that ctrl-c has reached; send it on where only this process got it."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(PATIENCE)
        return
    process.send_signal(signal.SIGINT)
    process.wait()
