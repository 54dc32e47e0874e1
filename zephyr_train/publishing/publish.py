"""Entry point of `zephyr train publish`: a finished run's model, in one commit on the Hub, opened there afterwards."""

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from zephyr_core import credits, folder, hub, kinds, manifest
from zephyr_core.disk import clear_disk_errors
from zephyr_core.errors import DataError
from zephyr_core.records import ModelManifest
from zephyr_train.job import AGAIN
from zephyr_train.publishing.copy import CARD, build, public
from zephyr_train.publishing.origins import origins_of

RUN = kinds.Requirement("a finished run of `zephyr train sft` or `dpo`", ("sft-run", "dpo-run"))
WEIGHTS = ".safetensors"


def answer(
    run: Path,
    target: hub.Target,
    licence: str | None,
    base_model: str | None,
    datasets: Sequence[str] | None,
    *,
    dry_run: bool,
) -> tuple[dict[str, Any], str]:
    """Return what was published, or would be, as a record and for people.

    Args:
        run: a finished run.
        target: where to.
        licence: as the Hub spells it; None if it follows from what the model was made of.
        base_model: for the card; None: the Hub model that training began with.
        datasets: for the card; None or empty: those of the Hub.
        dry_run: whether to send nothing.

    Raises:
        ZephyrError: with what to do; the run is not changed, and nothing is half published.
    """
    content = _verified(run)
    _, names = public(run, content)
    origins = origins_of(run)
    origins = replace(
        origins,
        base_model=base_model or origins.base_model,
        datasets=tuple(datasets or origins.datasets),
        sources=tuple(map(names.text, origins.sources)),
    )
    licence = credits.resolve(licence, origins.sources)
    with tempfile.TemporaryDirectory(prefix="zephyr-") as place, clear_disk_errors(Path(place), hint="set TMPDIR"):
        copy = Path(place)
        entries = build(run, content, target.repository, licence, origins, copy)
        publication = hub.Publication(target, copy, entries, f"Model made by zephyr train {content['step']}")
        if dry_run:
            return publication.planned(CARD)
        published = hub.publish(publication)
        return published.report(_opened(publication, published.commit))


def _verified(run: Path) -> ModelManifest:
    """Return the manifest of a run after comparing every file with it.

    Raises:
        WrongFolder: it is another kind of folder.
        DataError: it is not finished, or damaged.
    """
    kinds.refuse(run, RUN)
    content = manifest.read_as(run, ModelManifest)
    what = folder.damage(run)
    if what:
        raise DataError(f"{run} is damaged: {what}", AGAIN)
    return content


def _opened(publication: hub.Publication, commit: str) -> str:
    """Return what was compared: every file by its digest, and all but the weights as read from the Hub.

    Raises:
        DataError: a file differs.
    """
    target, entries = publication.target, publication.entries
    light = [name for name in entries if not name.endswith(WEIGHTS)]
    snapshot = hub.fetch(target.repository, target.kind, commit, lambda _: light, instead="")
    for name, path in snapshot.files.items():
        if manifest.file_digest(path) != entries[name]["sha256"]:
            raise DataError(f"{target.request} at {commit}: {name} is not the one that was sent")
    return "every file there has the digest of the one here; all but the weights were read"
