"""What a run's model was made of, back through the runs and datasets that are still here, to the Hub."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from zephyr_core import manifest, paths
from zephyr_core.records import ModelManifest

_ON_HUB = re.compile(r"([\w.-]+/[\w.-]+) at [0-9a-f]{40}")


@dataclass(frozen=True)
class Origins:
    """Names of what a model was made of."""

    base_model: str | None  # on the Hub; None: trained from random weights, or not known
    datasets: tuple[str, ...]  # on the Hub
    sources: tuple[str, ...]  # all: the base model, and what every dataset was made of


def origins_of(run: Path) -> Origins:
    """Return the origins of a finished run."""
    chain = list(_runs(run, set()))
    model = chain[-1]["inputs"]["model"]
    on_hub = _ON_HUB.fullmatch(model)
    base = on_hub[1] if on_hub else None
    rows = dict.fromkeys(name for content in chain for name in _rows(content))
    datasets = [name.partition("@")[0] for name in rows if "@" in name]
    begun = [] if model == "a new student" else [base or model]
    return Origins(base, tuple(datasets), (*begun, *rows))


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
        on_hub = _ON_HUB.match(name)
        place = paths.expanded(name)
        dataset = manifest.as_dataset(manifest.find(place)) if place.is_dir() else None
        if dataset is not None:
            yield from (entry["source"] for entry in dataset["inputs"])
        else:
            yield on_hub[0].replace(" at ", "@") if on_hub else name
