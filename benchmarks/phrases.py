"""Measure the phrase filter against the same rules by Python's `re`: `python -m benchmarks.phrases [MEGABYTES]`.

Prints Markdown. Ours is the whole stage (gates, quotations, exemptions, matches told); the peer's is any match per
assistant turn and nothing else. The runs alternate, warm, in one process pinned to one core.
"""

import os
import re
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ["POLARS_MAX_THREADS"] = "1"

import polars as pl

from benchmarks import corpus
from zephyr_data.cleaning.ultrachat import ruleset
from zephyr_data.options import CleanOptions
from zephyr_data.sources.blocks import Block, read_blocks
from zephyr_data.sources.files import RawFile
from zephyr_data.sources.parse import parse
from zephyr_data.stages.patterns import of_plain
from zephyr_data.stages.phrases import mark_phrases
from zephyr_data.stages.rules import Ruleset

MEGABYTES, RUNS = 33.0, 3  # just under one block of 32 MiB: a second small one would pay a block's fixed cost again


def main(megabytes: float) -> None:
    """Measure, compare the verdicts and print both."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    rules = ruleset(CleanOptions())
    tables, size = _read(megabytes)
    mark, replies = mark_phrases(rules), pl.concat([_replies(table) for table in tables])
    texts = replies.to_list()
    patterns = [re.compile(_body(rule.pattern), re.IGNORECASE) for rule in rules.rules]
    joined = re.compile("|".join(f"(?:{pattern.pattern})" for pattern in patterns), re.IGNORECASE)
    hits: dict[str, list[bool]] = {}

    def one_by_one() -> None:
        hits["one"] = [any(pattern.search(text) for pattern in patterns) for text in texts]

    def all_joined() -> None:
        hits["joined"] = [joined.search(text) is not None for text in texts]

    runs = {
        "zephyr, the whole stage": lambda: [mark(table) for table in tables],
        "`re`, eleven rules one after the other": one_by_one,
        "`re`, one joined alternation": all_joined,
    }
    for table in tables:
        mark(table)
    spent = [{name: _seconds(run) / size * 1e9 for name, run in runs.items()} for _ in range(RUNS)]
    costs = {name: sorted(run[name] for run in spent) for name in runs}
    ours, *peers = (cost[RUNS // 2] for cost in costs.values())
    print(f"{size / 1e6:,.0f} MB, {len(texts):,} assistant turns, {RUNS} runs, CPU-s per GB of raw input:\n")
    print("| | median | spread | ratio to ours |\n|---|---|---|---|")
    for name, cost in costs.items():
        median = cost[RUNS // 2]
        print(f"| {name} | {median:,.1f} | {cost[0]:,.1f}–{cost[-1]:,.1f} | {median / ours:,.1f} |")
    print(f"\nThe faster peer takes {min(peers) / ours:,.0f} times as long as ours.")
    _compare(replies, rules, hits)


def _read(megabytes: float) -> tuple[list[pl.DataFrame], int]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "dialogues.jsonl"
        corpus.main(megabytes, path)
        blocks = [b for b in read_blocks(RawFile("bench", path.name, path, "plain")) if isinstance(b, Block)]
        return [parse(block)[0] for block in blocks], sum(block.length for block in blocks)


def _replies(table: pl.DataFrame) -> pl.Series:
    return table.select(pl.col("turns").list.gather_every(2, 1).explode()).to_series().drop_nulls()


def _body(pattern: str) -> str:
    """Return a pattern without its flag, which the peer passes as re.I."""
    return pattern.removeprefix("(?i)")


def _seconds(run: Callable[[], object]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


def _compare(replies: pl.Series, rules: Ruleset, hits: dict[str, list[bool]]) -> None:
    """Print where the rules, without quotations and exemptions, hit other turns than the peer's."""
    found = pl.select(
        pl.any_horizontal(replies.str.contains(of_plain(rule.pattern)) for rule in rules.rules)
    ).to_series()
    print(f"\nTurns hit, quotations and exemptions apart: {found.sum():,} of {len(replies):,}.")
    for name, by_python in hits.items():
        differs = found != pl.Series(by_python)
        print(f"Of them `re` ({name}) judges {differs.sum():,} otherwise.")
        for text in replies.filter(differs).head(5):
            print(f"- {text[:200]!r}")


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else MEGABYTES)
