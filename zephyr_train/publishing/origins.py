"""What a run's model was made of, back through the runs and datasets that are still here, to the Hub."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from zephyr_core import credits, manifest, paths
from zephyr_core.records import ModelManifest

_AT_COMMIT = re.compile(r"([\w.-]+/[\w.-]+) at ([0-9a-f]{40})")  # how a run names what it took from the Hub


@dataclass(frozen=True)
class Origins:
    """Names of what a model was made of."""

    base_model: str | None  # on the Hub; None: trained from random weights, or not known
    datasets: tuple[str, ...]  # on the Hub
    sources: tuple[str, ...]  # all: the base model, and what every dataset was made of; repository@commit for the Hub's


def origins_of(run: Path) -> Origins:
    """Return the origins of a finished run."""
    chain = list(_runs(run, set()))
    model = _source(chain[-1]["inputs"]["model"])
    rows = dict.fromkeys(name for content in chain for name in _rows(content))
    datasets = [repository for name in rows if (repository := credits.on_hub(name))]
    begun = [] if model == "a new student" else [model]
    return Origins(credits.on_hub(model), tuple(datasets), (*begun, *rows))


def _source(name: str) -> str:
    """Return the name of a source, of the Hub's as repository@commit."""
    match = _AT_COMMIT.match(name)
    return f"{match[1]}@{match[2]}" if match else name


def _runs(run: Path, visited: set[Path]) -> Iterator[ModelManifest]:
    """Yield the manifest of a run, then of the run whose model it began with, as long as there is one."""
    content = manifest.read_as(run, ModelManifest)
    yield content
    start = paths.expanded(content["inputs"]["model"])
    earlier = manifest.find(start) if start.is_dir() and start.resolve() not in visited else None
    if earlier is not None and earlier["kind"] == "model":
        yield from _runs(start, {*visited, start.resolve()})


def _rows(content: ModelManifest) -> Iterator[str]:
    """Yield what the rows of a run are of: the sources of a dataset of ours, a Hub dataset with @commit, or a name."""
    planned = content["plan"].get("rows")
    mixed = [part["source"] for part in planned.get("mixture", [])] if planned else []
    for name in mixed or [content["inputs"]["rows"]]:
        place = paths.expanded(name)
        dataset = manifest.as_dataset(manifest.find(place)) if place.is_dir() else None
        if dataset is not None:
            yield from (entry["source"] for entry in dataset["inputs"])
        else:
            yield _source(name)
