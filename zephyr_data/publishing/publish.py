"""Entry point of `zephyr data publish`: a verified dataset, in one commit on the Hub, opened there afterwards."""

import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

from zephyr_core import credits, hub, manifest
from zephyr_core.disk import clear_disk_errors
from zephyr_core.errors import DataError
from zephyr_core.records import DatasetManifest
from zephyr_data.engine import store
from zephyr_data.engine.card import Edition, source_names
from zephyr_data.publishing.copy import CARD, SPLITS, build, public


def answer(directory: Path, target: hub.Target, licence: str | None, *, dry_run: bool) -> tuple[dict[str, Any], str]:
    """Return what was published, or would be, as a record and for people.

    Raises:
        ZephyrError: with what to do; the dataset is not changed, and nothing is half published.
    """
    content = store.verify(directory)
    edition = Edition(target.repository, credits.resolve(licence, source_names(public(content)[0])))
    with tempfile.TemporaryDirectory(prefix="zephyr-") as place, clear_disk_errors(Path(place), hint="set TMPDIR"):
        copy = Path(place)
        entries = build(directory, content, edition, copy)
        title = f"{content['kind'].capitalize()} made by zephyr data {content['step']}"
        publication = hub.Publication(target, copy, entries, title)
        if dry_run:
            return publication.planned(CARD)
        published = hub.publish(publication)
        return published.report(_opened(target, published.commit, manifest.read_as(copy, DatasetManifest)))


def _opened(target: hub.Target, commit: str, record: DatasetManifest) -> str:
    """Return what was compared: every file by its digest, and the rows of the smallest split, read from the Hub.

    Raises:
        DataError: the rows are not those that the manifest records.
    """
    sizes, shards = defaultdict[str, int](int), defaultdict[str, list[str]](list)
    for name, entry in record["files"].items():
        if name.startswith(SPLITS):
            split = store.split_of(name.removeprefix(SPLITS))
            sizes[split] += entry["bytes"]
            shards[split].append(name)
    split = min(sizes, key=sizes.__getitem__)
    snapshot = hub.fetch(target.repository, target.kind, commit, lambda _: shards[split], instead="")
    if store.split_entry([snapshot.files[name] for name in shards[split]]) != record["splits"][split]:
        raise DataError(f"{target.request} at {commit}: the rows of {split} do not have their digest")
    return f"every file there has the digest of the one here; the rows of {split} were read and have theirs"
