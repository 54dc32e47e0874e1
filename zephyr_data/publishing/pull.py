"""Entry point of `zephyr data pull`: a published dataset as a directory, checked like one made here."""

from pathlib import Path
from typing import Any

from zephyr_core import hub, manifest
from zephyr_core.records import DatasetManifest
from zephyr_data.engine import store


def answer(typed: str, directory: Path | None) -> tuple[dict[str, Any], str]:
    """Return where a published dataset is now, as a record and for people.

    Args:
        typed: OWNER/NAME, or OWNER/NAME@REVISION.
        directory: where to; by default a folder of the repository's name.

    Raises:
        ZephyrError: with what to do; the directory is whole or absent.
    """
    repository, _, revision = typed.partition("@")
    target = hub.Target(repository, "dataset", revision or hub.MAIN)
    out = directory or Path(repository.split("/")[1])
    commit = hub.pull(target.request, out, store.verify)
    splits = manifest.read_as(out, DatasetManifest)["splits"]
    record = {"repository": repository, "commit": commit, "directory": str(out), "splits": splits}
    return record, f"{out}: {repository} at {commit}, whole: files, sums and digests match its manifest"
