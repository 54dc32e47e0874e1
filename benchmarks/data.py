"""Measure cleaning against a peer and the hard limit in one run, and write docs/benchmarks.md: `make bench-data`.

The unit is CPU-seconds of a process pinned to one core with all it starts, from the operating system's own accounts.
The part about training is written by `make bench-train`.
"""

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks import corpus
from benchmarks.cost import cost
from benchmarks.page import write_data
from zephyr_data.cleaning.ultrachat import CLEANING
from zephyr_data.options import CleanOptions
from zephyr_data.sources.blocks import Block, read_blocks
from zephyr_data.sources.files import RawFile

PEER_MEGABYTES, MEGABYTES, RUNS = 10, 1_000, 3
PARTS = {  # other measurements, each a program of its own that prints Markdown
    "Phrase filter": ("phrases", "The rules over every assistant turn, against the same patterns by Python's `re`."),
    "Language": (
        "language",
        "The stage against seeded `langdetect`; agreement on texts that the thresholds never saw.",
    ),
    "Truecasing": (
        "casing",
        "Cased text damaged by a seeded script, and what comes back; words harmed where nothing was.",
    ),
    "Pairs": ("pairs", "64,000 rows of four rated answers (`python -m benchmarks.rated_corpus`)."),
}


def main(megabytes: float) -> None:
    """Run everything and write the page."""
    with tempfile.TemporaryDirectory() as folder:
        small, large, out = (Path(folder) / name for name in ("small.jsonl", "large.jsonl", "out"))
        corpus.main(PEER_MEGABYTES, small, seed=1)
        corpus.main(megabytes, large)
        python = [sys.executable, "-m"]
        ours = [*python, "cli", "data", "clean-ultrachat", str(large), "--out", str(out), "--overwrite", "--workers"]
        runs = {
            "peer": (PEER_MEGABYTES, [*python, "benchmarks.peer", str(small), str(Path(folder) / "peer.parquet")], 1),
            "hard limit": (
                megabytes,
                [*python, "benchmarks.limit", str(large), str(Path(folder) / "limit.parquet")],
                RUNS,
            ),
            "zephyr, one process": (megabytes, [*ours, "1"], RUNS),
        }
        figures = {
            name: [(run.seconds / size * 1000, run.megabytes) for run in (cost(command) for _ in range(count))]
            for name, (size, command, count) in runs.items()
        }
        alone = _seconds([*ours, "1"])
        together = _seconds([*ours, "2"])
        content = json.loads((out / "manifest.json").read_text())
        page = _page(megabytes, figures, _stages(large), alone / together, content["counts"])
    parts = [
        f"\n## {title}\n\n`python -m benchmarks.{name}`. {told}\n\n{_run(name)}"
        for title, (name, told) in PARTS.items()
    ]
    page += "".join(parts)
    print(page)
    write_data(page)


def _run(name: str) -> str:
    """Return what one of the other measurements prints."""
    environment = {**os.environ, "POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-W", "ignore", "-m", f"benchmarks.{name}"]
    return subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout.strip() + "\n"


def _seconds(command: list[str]) -> float:
    start = time.monotonic()
    subprocess.run(command, check=True, capture_output=True)
    return time.monotonic() - start


def _stages(path: Path) -> dict[str, float]:
    """Return CPU-seconds per GB of each stage alone, so that a regression has an address."""
    options, spent, size = CleanOptions(), dict[str, float](), 0
    stages = CLEANING.row_stages(options)
    for block in read_blocks(RawFile("bench", path.name, path, "plain")):
        if not isinstance(block, Block):
            continue
        size += block.length

        def timed(name: str, call: Any, *arguments: Any) -> Any:
            start = time.process_time()
            result = call(*arguments)
            spent[name] = spent.get(name, 0.0) + time.process_time() - start
            return result

        table, _ = timed("read and key", CLEANING.reading.parse, block)
        for stage in stages:
            table = timed(f"{stage.verb} {stage.name}", stage, table)
        timed("prompt and duplicate keys", CLEANING.whole_set.keyed, table, options)
    return {name: seconds / size * 1e9 for name, seconds in spent.items()}


def _page(
    megabytes: float,
    figures: dict[str, list[tuple[float, float]]],
    stages: dict[str, float],
    scaling: float,
    counts: dict[str, Any],
) -> str:
    cost = {name: statistics.median(run[0] for run in runs) for name, runs in figures.items()}
    ours, limit = cost["zephyr, one process"], cost["hard limit"]
    minutes = 9.29 * ours / 60  # raw UltraChat, GB; start-up is in it
    return PAGE.format(
        date=time.strftime("%Y-%m-%d", time.gmtime()),
        python=platform.python_version(),
        versions=", ".join(
            f"{name} {version(name)}" for name in ("polars", "pyarrow", "datasets", "langdetect", "truecase")
        ),
        cores=os.cpu_count(),
        peer_megabytes=PEER_MEGABYTES,
        megabytes=f"{megabytes:,.0f}",
        rows=f"{counts['rows_read']:,}",
        kept=f"{counts['kept_rows']:,}",
        lines="\n".join(_line(name, runs, cost[name] / ours) for name, runs in figures.items()),
        faster=f"{cost['peer'] / ours:,.0f}",
        slower=f"{ours / limit:,.1f}",
        scaling=f"{scaling:.2f}",
        one=f"{minutes:,.0f}",
        two=f"{minutes / scaling:,.0f}",
        stages="\n".join(f"| {name} | {seconds:,.1f} |" for name, seconds in stages.items()),
    )


def _line(name: str, runs: list[tuple[float, float]], ratio: float) -> str:
    costs, memory = sorted(run[0] for run in runs), max(run[1] for run in runs)
    spread = f"{costs[0]:,.1f}–{costs[-1]:,.1f}"
    return f"| {name} | {statistics.median(costs):,.1f} | {spread} | {len(runs)} | {memory:,.0f} | {ratio:,.2f} |"


PAGE = """# Benchmarks

Written by `make bench-data` on {date}: {cores} cores, Python {python}, {versions}.
Nothing here is a timed test. CPU-seconds are of one process pinned to one core; the machine is shared, so compare
within a table only.

## Cleaning

The corpus is made by `python -m benchmarks.corpus`: real turns in which every fourth sentence is exchanged, with 5 %
casing damage, 10 % boilerplate, 1 % other languages, 2 % duplicates. Peer: `benchmarks/peer.py`, a script with
`datasets.map/filter`, `re`, `langdetect` and `truecase`, phrases first, on {peer_megabytes} MB. Hard limit:
`benchmarks/limit.py`, JSON Lines to Parquet (zstd 1) by polars and nothing else. Ours: the whole command on
{megabytes} MB, all stages, four splits, audit, digests, manifest ({rows} rows, {kept} kept).

| | CPU-s per GB | spread | runs | anonymous memory, MB | ratio to ours |
|---|---|---|---|---|---|
{lines}

So one core cleans {faster} times as fast as the peer and takes {slower} times the hard limit. One process takes
{scaling} times as long as two. At that rate raw UltraChat (9.29 GB) takes {one} minutes on one core, {two} on two
(extrapolated).

Each stage alone, so that a regression has an address:

| stage | CPU-s per GB |
|---|---|
{stages}

The rest is writing: block results about 2, the four splits about 9 (zstd), start-up about 1. Next in line: truecasing
reads four in a hundred turns at about 2 MB/s in Python, half of it for masks and cutting into words; the rules cost
some 70 ms a block whatever it holds; the duplicate key is made of every byte; two passes of zstd write sft and gen.
"""


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else MEGABYTES)
