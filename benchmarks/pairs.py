"""Measure pairs against a peer and a plain copy in one run: `python -m benchmarks.pairs [ROWS] [JSONL]`.

Core: from a table in memory to pairs in memory, with no file. Whole: a command from file to file, start-up included.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

import polars as pl

from benchmarks import rated_corpus
from benchmarks.cost import Cost, cost
from zephyr_data.options import BinarizeOptions
from zephyr_data.pairing.binarize import BINARIZING
from zephyr_data.pairing.rows import split_rows
from zephyr_data.sources.blocks import Block, read_blocks
from zephyr_data.sources.files import RawFile

ROWS, RUNS = 64_000, 3


def main(rows: int, lines: Path | None) -> None:
    """Run everything and print a table."""
    with tempfile.TemporaryDirectory() as folder:
        made, table, out = (Path(folder) / name for name in ("rated.jsonl", "rated.parquet", "out"))
        if lines is None:
            rated_corpus.main(rows, made)
        source = lines or made
        rated_corpus.as_table(source, table)
        python = [sys.executable, "-m"]
        ours = [*python, "cli", "data", "binarize", "--out", str(out), "--overwrite", "--workers", "1"]
        commands = {
            "datasets.map": [*python, "benchmarks.rated_peer", str(table), f"{folder}/peer.parquet"],
            "copy": [*python, "benchmarks.pairs", "copy", str(table), f"{folder}/copy.parquet"],
            "zephyr, core": [*python, "benchmarks.pairs", "core", str(table)],
            "zephyr from Parquet": [*ours, str(table)],
            "zephyr from JSON Lines": [*ours, str(source)],
        }
        costs: dict[str, list[Cost]] = {name: [] for name in commands}
        for _ in range(RUNS):  # in turn, so that a busy minute of the machine meets all of them
            for name, command in commands.items():
                costs[name].append(cost(command))
    _tell(costs)


def _tell(costs: dict[str, list[Cost]]) -> None:
    print(f"| | CPU-s | spread of {RUNS} runs | anonymous memory, MB |\n|---|---|---|---|")

    def line(name: str, seconds: list[float], megabytes: str) -> None:
        print(f"| {name} | {statistics.median(seconds):.2f} | {min(seconds):.2f}–{max(seconds):.2f} | {megabytes} |")

    for part in ("datasets.map", "zephyr, core"):
        line(f"{part}, in memory", [float(run.printed) for run in costs[part]], "")
    for name, runs in costs.items():
        if name != "zephyr, core":
            line(f"{name}, whole", [run.seconds for run in runs], f"{max(run.megabytes for run in runs):,.0f}")


def copy(source: str, target: str) -> None:
    """Copy a Parquet file, decoded and encoded again."""
    pl.scan_parquet(source).sink_parquet(target, compression="zstd", compression_level=1)


def core(source: str) -> None:
    """Print the CPU-seconds from raw columns in memory to the rows of train_prefs."""
    spent, options = 0.0, BinarizeOptions()
    stages, path = BINARIZING.row_stages(options), Path(source)
    for block in read_blocks(RawFile("bench", path.name, path, "parquet")):
        if isinstance(block, Block):
            table, _ = BINARIZING.reading.parse(block)
            start = time.process_time()
            for stage in stages:
                table = stage(table)
            kept = table.filter(pl.col("dropped_by").is_null()).with_columns(side=pl.lit("train"))
            next(split_rows(kept, options))
            spent += time.process_time() - start
    print(spent)


if __name__ == "__main__":
    given = sys.argv[1:]
    if given[:1] == ["copy"]:
        copy(*given[1:])
    elif given[:1] == ["core"]:
        core(*given[1:])
    else:
        main(int(given[0]) if given else ROWS, Path(given[1]) if len(given) > 1 else None)
