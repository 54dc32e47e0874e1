"""Telling the user how far a run is: a bar on a terminal, plain lines elsewhere. Always on stderr."""

import sys
import time
from types import TracebackType

from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress


class Bar:
    """A progress bar over raw bytes; use as a context."""

    def __init__(self, total_bytes: int) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
        self._bar = RichProgress(*columns, transient=True)
        self._bar.console.stderr = True
        self._task = self._bar.add_task("0 rows", total=total_bytes)

    def __enter__(self) -> "Bar":
        """Show the bar."""
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove the bar."""
        self._bar.stop()

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        self._bar.console.print(line, highlight=False)

    def advance(self, done_bytes: int, rows: int) -> None:
        """Move the bar."""
        self._bar.update(self._task, completed=done_bytes, description=f"{rows:,} rows")


class Lines:
    """One line of progress every few seconds; use as a context."""

    EVERY = 10.0  # seconds

    def __init__(self, total_bytes: int) -> None:
        self._total = total_bytes
        self._last = time.monotonic()

    def __enter__(self) -> "Lines":
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End."""

    def say(self, line: str) -> None:
        """Print a line."""
        say(line)

    def advance(self, done_bytes: int, rows: int) -> None:
        """Print how far it is, if the last line is a while ago."""
        if time.monotonic() - self._last >= self.EVERY:
            self._last = time.monotonic()
            share = done_bytes / self._total if self._total else 1.0
            self.say(f"{rows:,} rows, {done_bytes / 1e6:,.0f} of {self._total / 1e6:,.0f} MB ({share:.0%})")


def progress(total_bytes: int) -> Bar | Lines:
    """Return a bar when stderr is a terminal, else lines."""
    return Bar(total_bytes) if sys.stderr.isatty() else Lines(total_bytes)


def say(line: str) -> None:
    """Print a line of news on stderr."""
    print(line, file=sys.stderr, flush=True)
