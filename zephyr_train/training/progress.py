"""Following training from its files: steps done by metrics.jsonl, reference log-probs by their parts."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from zephyr_core.console import Progress, progress
from zephyr_core.metrics import ordered
from zephyr_core.records import MetricsRow
from zephyr_train.job import Job
from zephyr_train.reference import chunks, part_file, rows_of
from zephyr_train.training import metrics


def state_line(rows: list[MetricsRow], seconds: float) -> str:
    """Return loss, accuracy and speed as the last rows have them; `seconds` is the time since the first row."""
    known = ordered(rows)
    train = [row for row in known if row["split"] == "train"]
    if not train:
        return "loading"
    last = train[-1]
    parts = [f"loss {last['loss']:.4f}"]
    if "accuracy" in last:
        parts.append(f"accuracy {last['accuracy']:.2f}")
    tests = [row for row in known if row["split"] == "test"]
    if tests:
        last_test = dict(tests[-1])
        key = "accuracy" if "accuracy" in last_test else "loss"
        parts.append(f"test {key} {last_test[key]:.3f}")
    if len(train) > 1 and seconds > 0 and "tokens" in last:
        parts.append(f"{(last['tokens'] - train[0]['tokens']) / seconds:,.0f} tokens/s")
    return ", ".join(parts)


class Follower:
    """Reads the run's metrics now and then."""

    def __init__(self, job: Job, shown: Progress) -> None:
        self._job = job
        self._shown = shown
        self._first: float | None = None
        self._size = 0

    def __call__(self) -> None:
        """Show what is new."""
        file = self._job.folder / metrics.NAME
        size = file.stat().st_size if file.is_file() else 0
        if size == self._size:
            return
        self._size = size
        rows, now = metrics.read(self._job.folder), time.monotonic()
        self._first = self._first or now
        self._shown.advance(rows[-1]["step"] if rows else 0, state_line(rows, now - self._first))


class PassFollower:
    """Counts the chunks of a reference pass now and then."""

    def __init__(self, passes: Job, shown: Progress) -> None:
        self._files = [part_file(passes.folder, chunk) for chunk in chunks(rows_of(passes))]
        self._shown = shown

    def __call__(self) -> None:
        """Show how many are there."""
        self._shown.advance(sum(file.is_file() for file in self._files), "reference log-probs")


@contextmanager
def following(job: Job) -> Iterator[Follower]:
    """Give a follower of a training run."""
    with progress(job.steps, unit="steps") as shown:
        yield Follower(job, shown)


@contextmanager
def following_pass(passes: Job) -> Iterator[PassFollower]:
    """Give a follower of a reference pass."""
    with progress(len(chunks(rows_of(passes))), unit="chunks") as shown:
        yield PassFollower(passes, shown)
