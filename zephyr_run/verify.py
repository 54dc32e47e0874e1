"""Entry point of `zephyr verify`: every file of a folder of ours against what was recorded when it was made."""

import itertools
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from zephyr_core import kinds, manifest, process
from zephyr_core.console import table
from zephyr_core.errors import DataError, UsageError
from zephyr_core.folder import faults
from zephyr_core.kinds import JOB
from zephyr_core.reading import json_file
from zephyr_run import invocation, outputs, record
from zephyr_run.steps import BY_NAME, CHAIN

DATASETS = kinds.DATASET.kinds
SHARED = ("tokens", "reference")  # keys of a training run's job: artefacts that runs share


@dataclass(frozen=True)
class Verified:
    """A folder, and what in it is not as recorded."""

    folder: str
    kind: str
    files: int
    faults: tuple[str, ...]


def verify(folder: Path) -> tuple[dict[str, Any], str]:
    """Return what was compared, JSON-ready and as text: every sha256, and a dataset's sums and digests of rows.

    Of a run directory: its steps, the token rows and log-probs that they used, and the files that the run itself keeps.

    Raises:
        UsageError: nothing there was made by zephyr, or nothing is finished.
        DataError: something is not as recorded; every fault is listed.
    """
    results = list(_folders(folder))
    if not results:
        raise UsageError(
            f"{folder} is {kinds.describe(folder)}: it holds nothing finished to verify",
            "give a dataset, a training run, a student, an artefact, or a run directory such as runs/tiny",
        )
    broken = [f"{one.folder}: {fault}" for one in results for fault in one.faults]
    if broken:
        listed = "\n  ".join(broken)
        raise DataError(
            f"not as recorded:\n  {listed}", "`zephyr run` with the run's recipe rebuilds damaged steps of a run"
        )
    head = ("whole", "files", "what")
    rows = [(one.folder, f"{one.files:,}", one.kind) for one in results]
    return {"folder": str(folder), "verified": [asdict(one) for one in results]}, "\n".join(
        table([head, *rows], align="lrl")
    )


def _folders(folder: Path) -> Iterator[Verified]:
    """Yield the folder itself if it is finished, else each finished folder that a run directory holds or names."""
    if manifest.is_whole(folder):
        yield _folder(folder)
        return
    own = [path.parent for pattern in ("*", "*/*") for path in sorted(folder.glob(f"{pattern}/{manifest.NAME}"))]
    entries = record.entries(folder)
    shared = [outputs.find(step, folder, entries.get(step.name, {})).folder for step in CHAIN if step.folder is None]
    used = [place for step in own for place in _used(step, outputs.artefacts(folder))]
    places: dict[Path, Path] = {}  # absolute → as it is named first
    for path in (*own, *filter(None, shared), *used):
        places.setdefault(path.absolute(), path)
    yield from map(_folder, places.values())
    for name, entry in entries.items():
        place = folder / name
        if entry.get("state") == "whole" and place not in own and name in BY_NAME and BY_NAME[name].folder:
            yield Verified(str(place), name, 0, (f"{manifest.NAME} is missing",))
    if (folder / kinds.RECORD).is_file():
        yield Verified(
            str(folder), "the run's own files", len(record.kept_files(folder)), tuple(map(str, record.faults(folder)))
        )


def _used(step: Path, shared: Path) -> Iterator[Path]:
    """Yield the shared artefacts that a training run names: next to the run if they were moved with it."""
    job = json_file(step / JOB)
    for place in (Path(str(job[key])) for key in SHARED if job.get(key)):
        here = (path for path in (shared / place.name, place) if manifest.is_whole(path))
        yield from itertools.islice(here, 1)


def _folder(folder: Path) -> Verified:
    content, kind = manifest.find(folder), kinds.kind_of(folder)
    files = len(content["files"]) if content else 0
    broken = tuple(map(str, faults(folder, strays=content is None or content["kind"] != "model")))
    if not broken and kind in DATASETS:
        broken = _dataset_faults(folder)
    return Verified(str(folder), kinds.WORDS[kind][0].removeprefix("a ").removeprefix("an "), files, broken)


def _dataset_faults(folder: Path) -> tuple[str, ...]:
    """Return what `zephyr data verify` finds in a dataset whose files are all as recorded."""
    words = ["zephyr", "data", "verify", str(folder.absolute())]
    ended = process.start(invocation.argv(words), catch=("out", "err"))
    if not ended.code:
        return ()
    lines = ended.err.strip().splitlines() or [f"`{invocation.typed(words)}` ended with {ended.code}"]
    return tuple(line.strip() for line in lines if not line.startswith("hint:"))
