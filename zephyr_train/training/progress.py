"""Telling the user how far training is: a bar on a terminal, plain lines elsewhere. Always on stderr."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from zephyr_core.records import MetricsRow
from zephyr_train.job import Job
from zephyr_train.reference import chunks, part_file, rows_of
from zephyr_train.training import metrics

EVERY = 10.0  # seconds between lines


def say(line: str) -> None:
    """Print a line of news on stderr."""
    print(line, file=sys.stderr, flush=True)


def state_line(rows: list[MetricsRow], seconds: float) -> str:
    """Return loss, accuracy and speed as the last rows have them; `seconds` is the time since the first row."""
    train = [row for row in rows if row["split"] == "train"]
    if not train:
        return "loading"
    last = train[-1]
    parts = [f"loss {last['loss']:.4f}"]
    if "accuracy" in last:
        parts.append(f"accuracy {last['accuracy']:.2f}")
    tests = [row for row in rows if row["split"] == "test"]
    if tests:
        # before the first update no pair is right or wrong
        key = "accuracy" if "accuracy" in tests[-1] and tests[-1]["step"] else "loss"
        parts.append(f"test {key} {dict(tests[-1])[key]:.3f}")
    if len(train) > 1 and seconds > 0 and "tokens" in last:
        parts.append(f"{(last['tokens'] - train[0]['tokens']) / seconds:,.0f} tokens/s")
    return ", ".join(parts)


class Follower:
    """Reads the run's metrics now and then."""

    def __init__(self, job: Job, bar: Progress | None) -> None:
        self._job = job
        self._bar = bar
        self._task = bar.add_task("loading", total=job.steps) if bar else None
        self._first: float | None = None
        self._size = 0
        self._said = time.monotonic()

    def __call__(self) -> None:
        """Show what is new."""
        file = self._job.folder / metrics.NAME
        size = file.stat().st_size if file.is_file() else 0
        if size == self._size:
            return
        self._size = size
        rows = metrics.read(self._job.folder)
        now = time.monotonic()
        self._first = self._first or now
        line, step = state_line(rows, now - self._first), rows[-1]["step"] if rows else 0
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=step, description=line)
        elif now - self._said >= EVERY:
            self._said = now
            say(f"step {step:,} of {self._job.steps:,}: {line}")


class PassFollower:
    """Counts the chunks of a reference pass now and then."""

    def __init__(self, passes: Job) -> None:
        self._files = [part_file(passes.folder, chunk) for chunk in chunks(rows_of(passes))]
        self._said = time.monotonic()

    def __call__(self) -> None:
        """Print how many are there, if the last line is a while ago."""
        if time.monotonic() - self._said >= EVERY:
            self._said = time.monotonic()
            say(f"reference log-probs: {sum(file.is_file() for file in self._files)} of {len(self._files)} chunks")


@contextmanager
def following(job: Job) -> Iterator[Follower]:
    """Give a follower: with a bar when stderr is a terminal, else with lines."""
    if not sys.stderr.isatty():
        yield Follower(job, None)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, transient=True) as bar:
        bar.console.stderr = True
        yield Follower(job, bar)
