"""A plan that writes nothing: what would be read, which stages would run, and a sample projected to the whole."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypedDict, final

from zephyr_core import paths
from zephyr_core.recipe import Resolved
from zephyr_core.records import Counts, OptionsRecord, PassedOver
from zephyr_data.engine.audit import RowTally
from zephyr_data.engine.step import DataStep, Options
from zephyr_data.sources.blocks import Block, FileRead, read_blocks, take
from zephyr_data.sources.files import RawFile, SourceFiles
from zephyr_data.sources.remarks import remarks
from zephyr_data.sources.signatures import NO_ROW, count_objects, fault_without_rows
from zephyr_data.stages.verbs import Stage, at_hand

SAMPLE_ROWS = 1_000
PLACES = 20  # in a plain file to take rows from


class ProjectedFile(TypedDict):
    """A file that would be read."""

    file: str
    bytes: int
    shape: str | None


@final
class Projection(TypedDict):
    """What a run would do, JSON-ready."""

    out: str
    files: list[ProjectedFile]
    passed_over: list[PassedOver]
    stages: list[str]
    columns: dict[str, str]
    sample: Counts
    projected_rows: int
    options: OptionsRecord


def project(
    step: DataStep[Options], resolved: Resolved[Options], sources: SourceFiles, out: Path
) -> tuple[Projection, str]:
    """Return the plan as a record and as text. Rows come from places spread over each file, if its kind allows."""
    options, files = resolved.options, sources.files
    row_stages = step.stages(options)
    shapes, tally, bytes_read, notes = _run_sample(step, options, row_stages, files)
    total = sum(file.path.stat().st_size for file in files)
    rows = round(tally.rows_read * total / bytes_read) if bytes_read else 0
    stages = (*row_stages, *step.stages(options, at_hand))
    schema = next(iter(step.writing.splits(options).values()))
    plan: Projection = {
        "out": paths.readable(str(out)),
        "files": [
            {"file": paths.readable(str(file.path)), "bytes": file.path.stat().st_size, "shape": shapes.get(file)}
            for file in files
        ],
        "passed_over": sources.passed_over,
        "stages": [f"{stage.verb} {stage.name}" for stage in stages],
        "columns": {field.name: str(field.type) for field in schema},
        "sample": tally.counts(),
        "projected_rows": rows,
        "options": resolved.record(),
    }
    linked = {file.name: file.real_path for file in files if file.real_path}
    lines = [_as_text(plan, total, step.reports.sampled), *remarks(linked, notes, sources.passed_over)]
    lines += step.reports.cautions(options)
    return plan, "\n".join(lines)


def _run_sample(
    step: DataStep[Options], options: Options, stages: tuple[Stage, ...], files: list[RawFile]
) -> tuple[dict[RawFile, str | None], RowTally, int, dict[str, str]]:
    tally, bytes_read = RowTally(), 0
    shapes: dict[RawFile, str | None] = {}
    notes: dict[str, str] = {}
    for file in files:
        read, objects = tally.rows_read, 0
        for block, stored in _sample(file, max(1, SAMPLE_ROWS // len(files))):
            table, shapes[file] = step.read(block, options)
            objects += count_objects(table)
            for stage in stages:
                table = stage(table)
            tally.add(table, step.reports.measure(table))
            bytes_read += stored
        if not objects:
            notes[file.name] = fault_without_rows(file.path, file.kind) if tally.rows_read > read else NO_ROW
    return shapes, tally, bytes_read, notes


def _sample(file: RawFile, rows: int) -> Iterator[tuple[Block, int]]:
    """Yield blocks of about `rows` rows in all, each with the number of stored bytes it represents."""
    size = file.path.stat().st_size
    if file.kind != "plain" or file.is_whole or size < PLACES * 2**20:
        read = 0
        for item in take(read_blocks(file, block_bytes=2**20), rows):
            if not isinstance(item, FileRead):
                share = item.length if file.kind in ("plain", "array") else item.stored_end - read
                read = item.stored_end
                yield item, share
        return
    for place in range(PLACES):
        data, offset = _lines_at(file.path, size * place // PLACES, max(1, rows // PLACES))
        yield Block(file, "", 0, data.count(b"\n"), offset, len(data), offset, data), len(data)


def _lines_at(path: Path, offset: int, rows: int) -> tuple[bytes, int]:
    with path.open("rb") as stream:
        stream.seek(offset)
        if offset:
            stream.readline()  # skip the rest of a line
        start = stream.tell()
        return b"".join(stream.readline() for _ in range(rows)), start


def _as_text(plan: Projection, total: int, sampled: Mapping[str, str]) -> str:
    counts, rows = plan["sample"], plan["projected_rows"]
    read = counts["rows_read"] or 1
    lines = [f"would write {plan['out']}, from {len(plan['files'])} files of {total / 1e6:,.1f} MB:"]
    lines += [f"  {entry['file']}  {entry['bytes'] / 1e6:,.1f} MB, {entry['shape']}" for entry in plan["files"]]
    lines += ["stages: " + " → ".join(plan["stages"])]
    lines += ["columns: " + ", ".join(f"{name} {kind}" for name, kind in plan["columns"].items())]
    lines += [f"sample of {counts['rows_read']:,} rows, projected to about {rows:,}:"]
    figures = [("kept by the row stages", counts["kept_rows"])]
    figures += [(label, number) for name, label in sampled.items() if isinstance(number := counts.get(name), int)]
    figures += [(f"dropped: {reason}", count) for reason, count in counts["dropped"].items()]
    lines += [
        f"  {name:<44} {count:>6,}  {100 * count / read:6.2f} %  ≈ {round(rows * count / read):>10,}"
        for name, count in figures
    ]
    return "\n".join([*lines, "stages that need the whole set were not run; nothing was written"])
