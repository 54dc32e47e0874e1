"""One block through the row stages, in this process or in several."""

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, replace
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import polars as pl

from zephyr_core.process import end_with
from zephyr_data.engine.step import DataStep
from zephyr_data.options import StepOptions
from zephyr_data.sources.blocks import Block
from zephyr_data.sources.parse import raw_texts
from zephyr_data.stages.verbs import Stage


@dataclass(frozen=True)
class BlockJob:
    """What every worker needs: the step with its options, and the folder for the results."""

    step: DataStep[Any]
    options: StepOptions
    folder: Path

    def result(self, block: Block) -> Path:
        """Return the path of a block's result; its name depends on the content, and if it exists it is complete."""
        return self.folder / f"{block.key}.parquet"


@dataclass(frozen=True)
class BlockDone:
    """A finished block, without its data."""

    block: Block
    path: Path
    rows: int
    shape: str | None


def run_blocks(blocks: Iterable[Block], job: BlockJob, workers: int) -> Iterator[BlockDone]:
    """Yield every block once it is done, in order, running those without a result; few are in memory at a time."""
    if workers == 1:
        yield from (run_block(block, job) for block in blocks)
        return
    with ProcessPoolExecutor(workers, get_context("spawn"), initializer=end_with, initargs=(os.getpid(),)) as pool:
        pending: list[Future[BlockDone]] = []
        try:
            for block in blocks:
                pending.append(pool.submit(run_block, block, job))
                if len(pending) > workers + 1:
                    wait(pending[:1], return_when=FIRST_COMPLETED)
                while pending and pending[0].done():
                    yield pending.pop(0).result()
            yield from (future.result() for future in pending)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def run_block(block: Block, job: BlockJob) -> BlockDone:
    """Run the row stages over a block and write the result, unless it exists."""
    path, bare_block = job.result(block), replace(block, data=None)
    if path.is_file():
        noted = pl.read_parquet_metadata(path)
        return BlockDone(bare_block, path, int(noted["rows"]), noted["shape"] or None)
    table, shape = job.step.reading.parse(block)
    for stage in _stages(job.step, job.options):
        table = stage(table)
    table = job.step.whole_set.keyed(table, job.options)
    if job.options.keep_dropped:
        table = table.with_columns(raw=raw_texts(block, table["line"]))
    temporary = path.with_suffix(".tmp")
    notes = {"rows": str(table.height), "shape": shape or ""}
    table.write_parquet(temporary, compression="uncompressed", statistics=False, row_group_size=5_000, metadata=notes)
    temporary.replace(path)
    return BlockDone(bare_block, path, table.height, shape)


@lru_cache(maxsize=1)
def _stages(step: DataStep[Any], options: StepOptions) -> tuple[Stage, ...]:
    return step.row_stages(options)
