"""Following training through its files: metrics.jsonl for steps done, part files for reference log-probs."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from zephyr_core.console import Advance, progress
from zephyr_core.metrics import ordered
from zephyr_core.records import MetricsRow
from zephyr_train.job import Job
from zephyr_train.reference import chunks, part_file, rows_of
from zephyr_train.training import metrics_file


def state_line(rows: list[MetricsRow], seconds: float) -> str:
    """Return loss, accuracy and speed from the latest rows; `seconds` is the time since the first row."""
    history = ordered(rows)
    train = [row for row in history if row["split"] == "train"]
    if not train:
        return "loading"
    last = train[-1]
    parts = [f"loss {last['loss']:.4f}"]
    if "accuracy" in last:
        parts.append(f"accuracy {last['accuracy']:.2f}")
    tests = [row for row in history if row["split"] == "test"]
    if tests:
        last_test = dict(tests[-1])
        key = "accuracy" if "accuracy" in last_test else "loss"
        parts.append(f"test {key} {last_test[key]:.3f}")
    if len(train) > 1 and seconds > 0 and "tokens" in last:
        parts.append(f"{(last['tokens'] - train[0]['tokens']) / seconds:,.0f} tokens/s")
    return ", ".join(parts)


@contextmanager
def following(job: Job) -> Iterator[Callable[[], None]]:
    """Yield a function that reads a run's metrics and shows what is new."""
    file, size, first = job.folder / metrics_file.NAME, 0, 0.0

    def look(advance: Advance) -> None:
        nonlocal size, first
        before, size = size, file.stat().st_size if file.is_file() else 0
        if size == before:
            return
        rows, now = metrics_file.read(job.folder), time.monotonic()
        first = first or now
        advance(rows[-1]["step"] if rows else 0, state_line(rows, now - first))

    with progress(job.steps, unit="steps") as advance:
        yield lambda: look(advance)


@contextmanager
def following_pass(passes: Job) -> Iterator[Callable[[], None]]:
    """Yield a function that counts the finished chunks of a reference pass and shows their number."""
    files = [part_file(passes.folder, chunk) for chunk in chunks(rows_of(passes))]
    with progress(len(files), unit="chunks") as advance:
        yield lambda: advance(sum(file.is_file() for file in files), "reference log-probs")
