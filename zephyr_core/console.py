"""What a command writes for people and programs: results on stdout, news and progress on stderr, tables as text."""

import errno
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TextIO

from zephyr_core.errors import EnvironmentLack

EVERY = 10.0  # seconds between lines of progress
Advance = Callable[[float, str], None]  # shows how much of some work is done, with a few words about it


def prepare_streams() -> None:
    """Make stdout and stderr safe to write to.

    They write `?` for a character that their encoding lacks. If stderr was closed, what is written there is discarded;
    a closed stdout becomes a pipe without a reader, so that no result is lost without an error.
    """
    if sys.stderr is None:
        sys.stderr = _opened(os.open(os.devnull, os.O_WRONLY), 2)
    if sys.stdout is None:
        nobody, end = os.pipe()
        os.close(nobody)
        sys.stdout = _opened(end, 1)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def _opened(descriptor: int, number: int) -> TextIO:
    """Return a stream on the descriptor, which gets the number that child processes expect."""
    if descriptor != number:
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.set_inheritable(number, True)
    return open(number, "w", encoding="utf-8", closefd=False)


def speak(reword: Callable[[str], str]) -> None:
    """From now on, pass what people read through a function: a step of a run names the options of the run's command."""
    _rewordings[:] = [reword]


_rewordings: list[Callable[[str], str]] = []


def _reworded(text: str) -> str:
    return _rewordings[0](text) if _rewordings else text


def say(line: str) -> None:
    """Print a line of news on stderr, above a progress bar; a closed or full stderr does not stop the work."""
    line = _reworded(line)
    with suppress(OSError):
        if _bars:
            _bars[-1].console.print(line, highlight=False, markup=False)
        else:
            print(line, file=sys.stderr, flush=True)


def show(result: Any, text: str, as_json: bool) -> None:
    """Print a result on stdout, for a program or for a person; all of it, or the command fails.

    Raises:
        EnvironmentLack: stdout takes no more.
    """
    print_whole(json.dumps(result, indent=2, ensure_ascii=not _is_unicode(sys.stdout)) if as_json else _reworded(text))


def print_whole(text: str) -> None:
    """Print text on stdout, all of it, or the command fails.

    Raises:
        EnvironmentLack: stdout takes no more.
    """
    try:
        print(text, flush=True)
    except OSError as fault:
        raise closed(fault) from None


def closed(fault: OSError) -> EnvironmentLack:
    """Return the error of a stdout that takes no more; later output to it is discarded."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python fails again when it exits
    if fault.errno == errno.EPIPE:
        return EnvironmentLack("stdout was closed before everything was written")
    return EnvironmentLack(f"stdout cannot be written: {fault.strerror}", "the command's result is on disk")


def _is_unicode(stream: TextIO) -> bool:
    return (stream.encoding or "").lower().replace("-", "").startswith("utf")


@contextmanager
def progress(total: float, *, unit: str) -> Iterator[Advance]:
    """Yield a function that moves a progress bar if stderr is a terminal, else prints a line every few seconds.

    Args:
        total: amount of work, in that unit.
        unit: "bytes", which are shown as MB, or what is counted.
    """
    if not sys.stderr.isatty():
        yield lines(total, unit)
        return
    from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    amount = DownloadColumn() if unit == "bytes" else MofNCompleteColumn()
    with Progress(TextColumn("{task.description}"), BarColumn(), amount, TimeRemainingColumn(), transient=True) as bar:
        bar.console.stderr = True
        _bars.append(bar)
        task = bar.add_task("starting", total=total)
        try:
            yield lambda done, text: bar.update(task, completed=done, description=text)
        finally:
            _bars.remove(bar)


_bars: list[Any] = []  # shown now: news goes above the last one


def lines(total: float, unit: str) -> Advance:
    """Return a function that prints how far the work is, at most once every few seconds."""
    last = time.monotonic()
    scale, label = (1e6, "MB") if unit == "bytes" else (1, unit)

    def advance(done: float, text: str) -> None:
        nonlocal last
        if time.monotonic() - last < EVERY:
            return
        last = time.monotonic()
        part = done / total if total else 1.0
        say(f"{done / scale:,.0f} of {total / scale:,.0f} {label} ({part:.0%}): {text}")

    return advance


def share(part: int, whole: int) -> str:
    """Return a part of a whole in per cent; nothing if there is no whole."""
    return f"{100 * part / whole:.2f} %" if whole else ""


def table(rows: Iterable[Sequence[Any]], *, align: str = "") -> Iterator[str]:
    """Yield rows as lines of columns; whole numbers get thousands separators.

    Args:
        rows: of equal length; a head is a row like others.
        align: "l" or "r" for each column; else text is on the left, and a column with a number in it on the right.
    """
    rows = [*rows]
    cells = [[f"{cell:,}" if type(cell) is int else str(cell) for cell in row] for row in rows]
    sides = align or "".join(
        "r" if any(isinstance(cell, int | float) for cell in column) else "l" for column in zip(*rows, strict=True)
    )
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        padded = (
            f"{cell:>{width}}" if side == "r" else f"{cell:<{width}}"
            for cell, width, side in zip(row, widths, sides, strict=True)
        )
        yield "  ".join(padded).rstrip()


def listed(value: object) -> str:
    """Return several values with commas between them, anything else as text."""
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def one_line(text: str | None, limit: int | None = None) -> str:
    """Return a text with every run of white space as one space, cut to `limit` characters."""
    line = "" if text is None else " ".join(text.split())
    return line if limit is None or len(line) <= limit else line[: limit - 1] + "…"
