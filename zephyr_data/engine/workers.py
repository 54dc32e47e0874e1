"""One block through the row stages, in this process or in several."""

import gc
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from zephyr_core import sealed
from zephyr_core.console import say
from zephyr_core.errors import DataError, EnvironmentLack
from zephyr_core.process import end_with
from zephyr_data.engine.step import DataStep
from zephyr_data.engine.work import remove
from zephyr_data.options import StepOptions
from zephyr_data.sources.blocks import Block
from zephyr_data.sources.parse import raw_texts
from zephyr_data.sources.signatures import count_objects
from zephyr_data.sources.tables import read_notes, write_table
from zephyr_data.stages.verbs import Stage


@dataclass(frozen=True)
class BlockJob:
    """What every worker needs: the step with its options, and the folder for the results."""

    step: DataStep[Any]
    options: StepOptions
    folder: Path

    def result(self, block: Block) -> Path:
        """Return the path of a block's result; its name depends on the content, and it counts while it is sealed."""
        return self.folder / f"{block.key}.parquet"


@dataclass(frozen=True)
class BlockDone:
    """A finished block, without its data."""

    block: Block
    path: Path
    rows: int
    objects: int  # rows that are an object of JSON or a row of a table, sound or not
    shape: str | None


def run_blocks(blocks: Iterable[Block], job: BlockJob, workers: int) -> Iterator[BlockDone]:
    """Yield every block once it is done, in order, running those without a result; few are in memory at a time.

    Raises:
        EnvironmentLack: a worker was killed.
    """
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
        except BrokenProcessPool:
            hint = "use fewer --workers; the same command continues"
            raise EnvironmentLack("a worker was killed, probably for lack of memory", hint) from None
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def run_block(block: Block, job: BlockJob) -> BlockDone:
    """Run the row stages over a block and write the result, unless a whole one is there."""
    path, bare_block = job.result(block), replace(block, data=None)
    notes = _notes(path, block)
    if notes is not None:
        return BlockDone(bare_block, path, int(notes["rows"]), int(notes["objects"]), notes["shape"] or None)
    table, shape = job.step.read(block, job.options)
    objects = count_objects(table)
    for stage in _stages(job.step, job.options):
        table = stage(table)
    table = job.step.whole_set.keyed(table, job.options)
    if job.options.keep_dropped:
        table = table.with_columns(raw=raw_texts(block, table["line"]))
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    counts = {"rows": str(table.height), "objects": str(objects)}
    write_table(table, temporary, {"block": block.key, **counts, "shape": shape or ""})
    sealed.seal(temporary, path)
    _settle()
    return BlockDone(bare_block, path, table.height, objects, shape)


@lru_cache(1)
def _settle() -> None:
    """Keep what the first block loaded (models, profiles, patterns) out of all later garbage collections."""
    gc.freeze()


def _notes(path: Path, block: Block) -> dict[str, str] | None:
    """Return what is noted in a block's result; None if there is none, and what is there instead is removed."""
    with suppress(DataError):
        if sealed.is_sealed(path) and (notes := read_notes(path)).get("block") == block.key:
            return notes
    if path.exists():
        say(f"{path} is damaged: the block is made again")
    remove(path)
    remove(path.with_name(path.name + sealed.SUFFIX))
    return None


@lru_cache(maxsize=1)
def _stages(step: DataStep[Any], options: StepOptions) -> tuple[Stage, ...]:
    return step.stages(options)
