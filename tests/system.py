"""What tests take from the machine: programs that it may lack, a small disk, a command stopped half-way."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, NoReturn

import pytest

COMMAND = "import cli; cli.main()"  # as the installed script does
PATIENCE = 120  # seconds until a command must have got somewhere


def lacking(what: str) -> NoReturn:
    """Skip the test for want of something; fail it where everything was installed (SKIPS_FAIL, as in CI)."""
    if os.environ.get("SKIPS_FAIL"):
        pytest.fail(f"SKIPS_FAIL is set, and {what}")
    pytest.skip(what)


def needs(program: str) -> str:
    """Return the path of a system program, or skip the test."""
    return shutil.which(program) or lacking(f"{program} is not installed")


class Running:
    """A command of zephyr in a process of its own, watched from outside; `code` starts it."""

    def __init__(self, *words: object, cwd: Path | None = None, code: str = COMMAND, **environment: str) -> None:
        command = [sys.executable, "-c", code, *map(str, words)]
        self._output = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with this object
        self.process = subprocess.Popen(
            command, cwd=cwd, stdout=self._output, stderr=self._output, env={**os.environ, **environment}
        )
        weakref.finalize(self, _leave_nothing, self.process, self._output)

    @property
    def output(self) -> str:
        """Return what the command has written to stdout and stderr."""
        self._output.seek(0)
        return self._output.read()

    def reach(self, reached: Callable[[], bool]) -> None:
        """Wait until the command has come that far; it must still be running then."""
        deadline = time.monotonic() + PATIENCE
        while not reached():
            assert self.process.poll() is None, "it ended before it could be stopped: " + self.output
            assert time.monotonic() < deadline, "it did not get that far: " + self.output
            time.sleep(0.01)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Hold the process still."""
        self.process.send_signal(signal.SIGSTOP)
        try:
            assert self.process.poll() is None, "it ended before it could be held: " + self.output
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def end(self, by: signal.Signals | None = None) -> int:
        """Return the exit code as a shell shows it, once the process has ended, by that signal and no other."""
        if by is not None:
            self.process.send_signal(by)
        code = self.process.wait(timeout=PATIENCE)
        return code if code >= 0 else 128 - code


def _leave_nothing(process: subprocess.Popen[bytes], output: IO[str]) -> None:
    if process.poll() is None:
        process.kill()
        process.wait()
    output.close()


class SmallDisk:
    """A file system in memory, mounted for one test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self) -> None:
        """Leave no byte free."""
        with self._ballast.open("wb", buffering=0) as stream:
            for size in (2**20, 2**12, 1):
                with suppress(OSError):
                    while stream.write(b"\0" * size) == size:
                        pass
        assert shutil.disk_usage(self.folder).free == 0

    def free(self) -> None:
        """Take away what filled the disk."""
        self._ballast.unlink()

    def forbid_writing(self) -> None:
        """Make the disk read-only; permission bits would not stop root."""
        subprocess.run([needs("mount"), "-o", "remount,ro", self.folder], check=True)


@contextmanager
def small_disk(folder: Path, megabytes: int = 128) -> Iterator[SmallDisk]:
    """Mount a small disk, or skip the test where that is not allowed."""
    folder.mkdir()
    command = [needs("mount"), "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lacking(f"mount of a tmpfs is refused here, it takes root: {done.stderr.strip()}")
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run([needs("umount"), "--lazy", folder], check=True)


def is_one_clear_error(output: str) -> bool:
    """Return whether a command ended with one error line and its hint, without a traceback."""
    lines = output.rstrip().splitlines()
    heads = [line for line in lines if line.startswith("error: ")]
    return len(heads) == 1 and lines[-1].startswith("hint: ") and "Traceback" not in output
