"""Reference log-probs as an artefact on disk, refused unless complete and computed from these weights and rows.

One row per pair: split, row, key, chosen, rejected (log-probs in nats, summed over completion tokens, of the
frozen dSFT model). Keyed by the digests of the weight files and of the token rows, and by the arithmetic (fp32, bf16,
autocast); so epochs, sweeps over β or the learning rate, resumed runs and other machines share it.
"""

import math
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from zephyr_core import manifest, sealed
from zephyr_core.console import say
from zephyr_core.disk import clear_disk_errors
from zephyr_core.errors import DataError
from zephyr_core.folder import damage, discard, lock, partial_of, publish
from zephyr_core.keys import json_key
from zephyr_core.kinds import JOB
from zephyr_core.reading import table_faults
from zephyr_core.records import ReferenceManifest, TokensManifest
from zephyr_train.errors import ReferenceBroken
from zephyr_train.job import Job
from zephyr_train.pairs.layout import PADDED

FORMAT = 1
FILE = "reference.parquet"
AWAITED = 600.0  # seconds that one machine waits for the others
CHUNK_ROWS = 256  # pairs; a stopped pass keeps its finished chunks
REBUILD = "remove that folder and run the command again, as `zephyr run` does by itself"


def reference_digest(job: Job) -> str:
    """Return the hex sha256 of everything that the log-probs depend on."""
    return json_key(
        {"format": FORMAT, "model": job.model_digest, "tokens": job.tokens_digest, "numerics": job.numerics}
    )


def rows_of(job: Job) -> dict[str, int]:
    """Return the number of token rows in each split of the job."""
    return {
        split: entry["rows"] for split, entry in manifest.read_as(Path(job.tokens), TokensManifest)["splits"].items()
    }


def chunks(rows: dict[str, int]) -> list[tuple[str, int, int]]:
    """Return (split, start, stop) of each chunk, given the number of rows in each split."""
    return [
        (split, start, min(start + CHUNK_ROWS, count))
        for split, count in rows.items()
        for start in range(0, count, CHUNK_ROWS)
    ]


def part_file(folder: Path, chunk: tuple[str, int, int]) -> Path:
    """Return the file that keeps a chunk's log-probs until all chunks are done."""
    return folder / "parts" / f"{chunk[0]}-{chunk[1]:09d}.parquet"


def is_done(folder: Path, chunk: tuple[str, int, int]) -> bool:
    """Return whether a chunk's log-probs are there, as they were written."""
    return sealed.is_sealed(part_file(folder, chunk))


def scoring_job(passes: Job, gpus: int) -> Job:
    """Return the job of the forward passes: no ZeRO, and a process for each copy of the model, which so many GPUs hold.

    A model in pieces scores padded rows: the other layouts expect it on one device.
    """
    copies = passes.world // gpus
    layout = passes.layout if gpus == 1 else PADDED
    return replace(passes, backend="ddp" if copies > 1 else "single", world=copies, layout=layout)


def has_parts(folder: Path) -> bool:
    """Return whether a stopped pass left any chunk's log-probs."""
    return any((folder / "parts").glob("*.parquet"))


def ensure_reference(job: Job, artefacts: Path, start: Callable[[Job], None], *, is_first: bool = True) -> Job:
    """Return the job with its reference: found by its digest, or computed by `start`, which runs the forward passes.

    With several machines, only the first one joins the parts; the others wait for it.

    Raises:
        ReferenceBroken: the reference, found or computed, is not complete.
    """
    digest = reference_digest(job)
    folder = artefacts / f"reference-{digest[:16]}"
    whole = replace(job, reference=str(folder), reference_digest=digest)
    if not manifest.is_whole(folder) and is_first:
        waiting = f"reference log-probs: another run is writing {folder}; waiting for it"
        with lock(artefacts / f".{folder.name}.lock", patience=math.inf, on_wait=lambda: say(waiting)):
            if not manifest.is_whole(folder):
                with clear_disk_errors(folder, continues=True):
                    _compute(whole, folder, start)
                return whole
    elif not manifest.is_whole(folder):
        start(replace(whole, step="reference", out=str(partial_of(folder))))
        _await(lambda: manifest.is_whole(folder), folder)
        return whole
    check_reference(folder, digest)
    say(f"reference log-probs: found in {folder}")
    return whole


def _compute(whole: Job, folder: Path, start: Callable[[Job], None]) -> None:
    rows = rows_of(whole)
    partial = partial_of(folder)
    if manifest.is_whole(partial):  # killed before the rename
        what = damage(partial, digest=whole.reference_digest)
        if what is None:
            publish(partial, folder)
            return
        say(f"{partial} is damaged: {what}; the log-probs are computed again")
        discard(partial)
    done = sum(is_done(partial, chunk) for chunk in chunks(rows))
    say(f"reference log-probs: {sum(rows.values()):,} pairs" + (f", continuing after {done} chunks" if done else ""))
    (partial / "parts").mkdir(parents=True, exist_ok=True)
    start(replace(whole, step="reference", out=str(partial)))
    if whole.options.nodes > 1:
        _await(lambda: all(is_done(partial, chunk) for chunk in chunks(rows)), partial)
    _join(partial, rows, whole)
    publish(partial, folder)


def _await(is_finished: Callable[[], bool], folder: Path) -> None:
    """Wait until the other machines are done.

    Raises:
        ReferenceBroken: they take too long.
    """
    deadline = time.monotonic() + AWAITED
    while not is_finished():
        if time.monotonic() > deadline:
            raise ReferenceBroken(f"{folder} was not finished by the other machines", "see their messages")
        time.sleep(1)


def _join(partial: Path, rows: dict[str, int], whole: Job) -> None:
    """Write the single file and the manifest of a finished pass; remove the parts."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    parts = [part_file(partial, chunk) for chunk in chunks(rows) if is_done(partial, chunk)]
    tables = [_read(part) for part in parts]
    scored, expected = sum(table.num_rows for table in tables), sum(rows.values())
    if scored != expected:
        raise ReferenceBroken(
            f"{partial} holds log-probs of {scored:,} of {expected:,} pairs", "run the command again: it continues"
        )
    table = pa.concat_tables(tables)
    _require_finite(table.column("chosen").to_pylist() + table.column("rejected").to_pylist(), partial)
    pq.write_table(table, partial / FILE)
    shutil.rmtree(partial / "parts")
    for name in (JOB, "log.txt", "launch.yaml"):
        (partial / name).unlink(missing_ok=True)
    content: dict[str, object] = {
        "kind": "reference",
        "digest": whole.reference_digest,
        "rows": rows,
        "model": whole.model_digest,
    }
    content |= {"tokens": whole.tokens_digest, "numerics": whole.numerics, "versions": whole.versions}
    manifest.write(partial, content)


def _read(file: Path) -> Any:
    import pyarrow.parquet as pq

    with table_faults(file, error=ReferenceBroken, hint=REBUILD):
        return pq.read_table(file)


def _require_finite(values: Sequence[float | None], folder: Path) -> None:
    if not all(value is not None and math.isfinite(value) for value in values):
        raise ReferenceBroken(f"{folder} holds a log-prob that is not a number", REBUILD)


def check_reference(folder: Path, digest: str | None) -> None:
    """Raise unless the folder is whole and holds the log-probs with that digest.

    Raises:
        ReferenceBroken: it comes from other weights, rows or arithmetic, or a file or the manifest is damaged.
    """
    try:
        content = manifest.read_as(folder, ReferenceManifest)
    except DataError as fault:
        raise ReferenceBroken(str(fault), REBUILD) from None
    if content["digest"] != digest:
        raise ReferenceBroken(f"{folder} holds log-probs of another model, other rows or other numerics", REBUILD)
    what = damage(folder) if FILE in content["files"] else f"{FILE} is not in the manifest"
    if what:
        raise ReferenceBroken(f"{folder} is damaged: {what}", REBUILD)


def read_reference(
    folder: Path, digest: str | None, split: str, keys: Sequence[str]
) -> tuple[list[float], list[float]]:
    """Return the log-probs of chosen and rejected for the token rows with these keys, in their order.

    Raises:
        ReferenceBroken: a row has no log-probs, or the keys differ.
    """
    import pyarrow.compute as pc

    check_reference(folder, digest)
    table = _read(folder / FILE)
    with table_faults(folder / FILE, error=ReferenceBroken, hint=REBUILD):
        table = table.filter(pc.equal(table["split"], split)).sort_by("row")
        columns = table.select(["key", "chosen", "rejected"]).to_pydict()
    if columns["key"] != list(keys):
        raise ReferenceBroken(
            f"{folder} does not hold exactly the {len(keys):,} rows of {split}: it has {table.num_rows:,}", REBUILD
        )
    _require_finite([*columns["chosen"], *columns["rejected"]], folder)
    return columns["chosen"], columns["rejected"]


def missing_chunks(folder: Path, rows: dict[str, int], rank: int, world: int) -> Iterator[tuple[str, int, int]]:
    """Yield the chunks that this rank has to score: every `world`-th one, unless it is done."""
    yield from (chunk for chunk in chunks(rows)[rank::world] if not is_done(folder, chunk))
