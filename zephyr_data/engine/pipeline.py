"""The only place that reads sources, runs stages and writes a dataset.

blocks of raw lines ─ row stages ─→ one result file per block      (resumable, one or more processes)
keys of all rows    ─ set stages ─→ verdicts, sides                (a few dozen bytes a row)
result files        ─ verdicts ──→ splits, audit, card, manifest   (renamed into place at the end)
"""

import platform
import time
from collections.abc import Iterator

import polars as pl
import polars.selectors as cs

from zephyr_core import manifest, this_code
from zephyr_core.console import Advance, say
from zephyr_core.disk import clear_disk_errors
from zephyr_core.errors import OptionError
from zephyr_core.recipe import Resolved
from zephyr_core.records import DatasetContent, DatasetManifest
from zephyr_data.engine import card
from zephyr_data.engine.audit import RowTally, dropped_table, rewritten_table, spared_table
from zephyr_data.engine.inputs import Inputs, missing_parts
from zephyr_data.engine.output import DatasetWriter
from zephyr_data.engine.step import DataStep, Options
from zephyr_data.engine.work import Work
from zephyr_data.engine.workers import BlockDone, BlockJob, run_blocks
from zephyr_data.errors import SourceError
from zephyr_data.options import StepOptions
from zephyr_data.sources.files import SourceFiles
from zephyr_data.sources.remarks import SHOWN
from zephyr_data.sources.tables import read_table
from zephyr_data.stages.overruling import SPARE_NAMES, row_names
from zephyr_data.stages.verbs import Derive, LookUp, at_hand, split_verdict, with_derived

REMADE = "run the command again: the block is made again"
_INDEX = ("dropped_by", "dropped_turn", "matched", "hits", SPARE_NAMES)
VERSIONED = ("polars", "pyarrow", "truecase", "langdetect")
# The code that every step's block results depend on; a step's own package is added to it.
OF_BLOCKS = (
    "zephyr_core/keys.py",
    "zephyr_core/template.py",  # how rows spell roles
    "zephyr_core/texts.py",
    "zephyr_data/*.py",
    "zephyr_data/sources",
    "zephyr_data/stages",
    "zephyr_data/engine",
)


def make(
    step: DataStep[Options],
    resolved: Resolved[Options],
    sources: SourceFiles,
    work: Work,
    workers: int,
    progress: Advance,
) -> DatasetManifest:
    """Make a dataset directory from raw files and return its manifest; the caller holds the lock of its work.

    Raises:
        NoSpace: the disk is full or the folder cannot be written; a later run continues.
        DataError: the input cannot be read, or none of it was kept.
    """
    started, options = time.time(), resolved.options
    digests = step.digests(options)
    inputs = Inputs(sources.files, options.limit)
    with clear_disk_errors(work.out, hint="give another folder with --out", continues=True):
        say(work.begin(_plan(step, options, digests)))
        done = list(_run_rows(inputs, BlockJob(step, options, work.blocks), workers, progress))
        entries = inputs.record()
        _check_spared(options, done, missing_parts(entries))
        index = _judge_set(step, done, missing_parts(entries), options)
        verdicts, copies = _with_sides(step, index, options), step.writing.copies(index)
        del index  # a few dozen bytes a row
        with DatasetWriter(work.dataset, options, step.writing, copies, in_background=workers > 1) as writer:
            tally = _write(step, done, verdicts, options, writer)
        content: DatasetContent = {
            "kind": step.kind,
            "step": step.name,
            "options": resolved.record(),
            "inputs": entries,
            "passed_over": sources.passed_over,
            "bytes_read": inputs.bytes_read,
            "rules": digests,
            "tables": list(step.writing.tables(options)),
            "stages": stage_names(step, options),
            "counts": tally.counts(),
            "splits": writer.splits_record(),
            "dropped_digest": writer.dropped_digest(),
            "versions": _versions() | {"python": platform.python_version()},
            "seconds": round(time.time() - started, 3),
            "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
        (work.dataset / "README.md").write_text(card.text(content, step.reports, writer.empty()), encoding="utf-8")
        manifest.write(work.dataset, content)
        work.publish()
    return manifest.read_as(work.out, DatasetManifest)


def stage_names(step: DataStep[Options], options: Options) -> list[str]:
    """Return the names of the stages in the order a row passes them, reading first."""
    stages = (*step.stages(options), *step.stages(options, at_hand))
    return list(dict.fromkeys(["read", *(stage.name for stage in stages)]))


def _plan(step: DataStep[Options], options: Options, digests: dict[str, str]) -> dict[str, object]:
    """Return what a block's result depends on, besides its content; of the code, only the engine's and its step's."""
    packages = this_code.installed(*VERSIONED)
    code = this_code.digest_of(OF_BLOCKS, step.package)
    return {"step": step.name, **step.plan(options), "rule files": digests, "code": code, "packages": packages}


def _versions() -> dict[str, str]:
    return this_code.versions(*VERSIONED)


def _run_rows(inputs: Inputs, job: BlockJob, workers: int, progress: Advance) -> Iterator[BlockDone]:
    rows = 0
    for done in run_blocks(inputs.blocks(), job, workers):
        inputs.add(done)
        rows += done.rows
        progress(inputs.bytes_read, f"{rows:,} rows")
        yield done


def _check_spared(options: StepOptions, done: list[BlockDone], missing: list[str]) -> None:
    """Raise if the sources were read whole, and a row that is to be spared is not among their rows."""
    names = row_names(options.spare)
    columns = (read_table(block.path, [SPARE_NAMES], hint=REMADE)[SPARE_NAMES] for block in done if names)
    present = {name for column in columns for name in column.drop_nulls().explode()}
    unknown = [name for name in names if name not in present]
    if not unknown:
        return
    others = [f"and {len(unknown) - SHOWN:,} more"] if len(unknown) > SHOWN else []
    listed = ", ".join([*map(repr, unknown[:SHOWN]), *others])
    if options.limit is None:
        raise OptionError(
            "; ".join([f"spare names rows that the sources do not hold: {listed}", *missing]),
            "a row is named by its raw id, its row_key or FILE:LINE, as `zephyr data why` shows them",
        )
    say(f"{len(unknown):,} rows to spare are not among those that were read: {listed}")


def _judge_set(step: DataStep[Options], done: list[BlockDone], missing: list[str], options: Options) -> pl.DataFrame:
    """Return the place, index columns and verdict of each row that the set stages look at."""
    index = _index(step, done, missing, options)
    for stage in step.stages(options, _look_up(done)):
        index = stage(index)
    _refuse_empty(index, done, missing, step.reports.sought(options))
    notice = step.reports.notice(index["dropped_by"].null_count(), options)
    if notice:
        say(notice)
    return index


def _index(step: DataStep[Options], done: list[BlockDone], missing: list[str], options: Options) -> pl.DataFrame:
    """Return the key, place and verdict of each row that set stages look at, without texts."""
    parts, columns = [], dict.fromkeys([*_INDEX, *step.whole_set.index(options), step.whole_set.key])
    for number, block in enumerate(done):
        rows = read_table(block.path, columns, hint=REMADE).with_row_index("row_in_block")
        visible = rows.filter(pl.col(step.whole_set.key).is_not_null())
        parts.append(visible.with_columns(pl.lit(number, pl.UInt32).alias("block")))
    if not parts:
        raise SourceError(
            "; ".join(["the sources hold no rows", *missing]),
            "give a file with one row per line",
        )
    return pl.concat(parts)


def _look_up(done: list[BlockDone]) -> LookUp:
    """Return a function that reads columns of some rows of the index from the block results."""

    def look_up(rows: pl.DataFrame, columns: tuple[str, ...], derive: Derive | None = None, /) -> pl.DataFrame:
        if rows.is_empty():
            return rows.with_columns(pl.lit(None).alias(name) for name in columns)
        parts = []
        for (number,), part in rows.partition_by("block", as_dict=True).items():
            values = read_table(done[number].path, columns, hint=REMADE)[part["row_in_block"]]
            values = values if derive is None else derive(values)
            copied = pl.DataFrame(
                values.rows(), schema=values.schema, orient="row"
            )  # else the whole column stays in memory
            parts.append(with_derived(part, copied))
        return pl.concat(parts, how="vertical_relaxed")

    return look_up


def _refuse_empty(index: pl.DataFrame, done: list[BlockDone], missing: list[str], sought: str) -> None:
    """Raise, with the reasons, if no row is left."""
    if index["dropped_by"].null_count():
        return
    verdicts = index.select("block", "row_in_block", late="dropped_by")
    places = [
        read_table(block.path, ["dropped_by"], hint=REMADE)
        .with_row_index("row_in_block")
        .with_columns(pl.lit(number, pl.UInt32).alias("block"))
        for number, block in enumerate(done)
    ]
    reasons = pl.concat(places).join(verdicts, on=["block", "row_in_block"], how="left")
    counts = (
        reasons.select(pl.coalesce("dropped_by", "late").value_counts(sort=True)).to_series().struct.unnest().rows()
    )
    listed = ", ".join(f"{reason} {rows:,}" for reason, rows in counts)
    raise SourceError(
        "; ".join([f"nothing was kept: of {reasons.height:,} rows all were dropped, by {listed}", *missing]),
        "; ".join(filter(None, ["is it the right kind of file? `--dry-run` shows its rows", sought])),
    )


def _with_sides(step: DataStep[Options], index: pl.DataFrame, options: Options) -> pl.DataFrame:
    """Return the place, set-stage verdict and side of each row of the index."""
    is_kept = index["dropped_by"].is_null()
    sides = pl.repeat(None, index.height, dtype=pl.String, eager=True)
    sides = sides.scatter(is_kept.arg_true(), step.whole_set.sides(index.filter(is_kept), options))
    return index.select("block", "row_in_block", "dropped_by", "matched", set_hits="hits", side=sides)


def _write(
    step: DataStep[Options], done: list[BlockDone], verdicts: pl.DataFrame, options: Options, writer: DatasetWriter
) -> RowTally:
    tally, ends = RowTally(), verdicts["block"].search_sorted(pl.Series(range(len(done))), side="right").to_list()
    for number, block in enumerate(done):
        table = read_table(block.path, hint=REMADE)
        start = ends[number - 1] if number else 0
        table = _with_verdicts(table, verdicts.slice(start, ends[number] - start).drop("block"))
        tally.add(table, step.reports.measure(table))
        kept_rows, dropped = split_verdict(table)
        for part in step.writing.rows(kept_rows, options):
            writer.write_split(part)
        for name, rows in step.writing.table_rows(table):
            writer.write_table(name, rows)
        writer.write_audit(rewritten_table(kept_rows), spared_table(table), dropped, dropped_table(dropped))
    writer.finish(tally.rules(step.rules(options)))
    return tally


def _with_verdicts(table: pl.DataFrame, verdicts: pl.DataFrame) -> pl.DataFrame:
    """Return the block's rows with the verdicts of the set stages and the side of each kept row."""
    late = verdicts.rename({"dropped_by": "set_dropped_by", "matched": "set_matched"})
    joined = table.with_row_index("row_in_block").join(late, on="row_in_block", how="left", maintain_order="left")
    return joined.with_columns(
        dropped_by=pl.coalesce("dropped_by", "set_dropped_by"),
        matched=pl.coalesce("matched", "set_matched"),
        hits=pl.coalesce("set_hits", "hits"),
    ).drop("row_in_block", cs.starts_with("set_"))
