"""Datasets on the Hugging Face Hub: a revision is resolved once to its commit; only the needed files are fetched."""

import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zephyr_core.errors import NoSpace
from zephyr_train.errors import ModelUnreachable

TIMEOUT = 10.0  # seconds for the listing
HINT = "give a local copy of the dataset, or set HF_HUB_OFFLINE=1 to train on what the Hub's cache holds"


@dataclass(frozen=True)
class Fetched:
    """Files of a dataset at one commit: their names in it → where they lie."""

    commit: str
    files: dict[str, Path]


def fetch(repository: str, revision: str, choose: Callable[[list[str]], Iterable[str]]) -> Fetched:
    """Return the files of a dataset that `choose` picks from its file names.

    With HF_HUB_OFFLINE nothing is asked: the cache must hold that revision.

    Raises:
        ModelUnreachable: no such dataset or revision, no network, or not in the cache.
        NoSpace: the disk cannot take the files.
    """
    from huggingface_hub import constants

    if constants.is_offline_mode():
        return _from_cache(repository, revision, choose)
    listing = _listing(repository, revision)
    sizes = {item.rfilename: item.size or 0 for item in listing.siblings or []}
    wanted = list(choose(sorted(sizes)))
    missing = [name for name in wanted if _cached(repository, name, listing.sha) is None]
    _check_space(sum(sizes[name] for name in missing), repository)
    return Fetched(str(listing.sha), {name: _file(repository, name, listing.sha) for name in wanted})


def _listing(repository: str, revision: str) -> Any:
    from huggingface_hub import HfApi

    try:
        return HfApi().dataset_info(repository, revision=revision, files_metadata=True, timeout=TIMEOUT)
    except Exception as fault:  # the client raises its own, its HTTP library's and the socket's errors
        reason = (str(fault).strip() or type(fault).__name__).splitlines()[0]
        raise ModelUnreachable(
            f"{repository} is no local path, and the Hub cannot list such a dataset (revision {revision}): {reason}",
            HINT,
        ) from None


def _from_cache(repository: str, revision: str, choose: Callable[[list[str]], Iterable[str]]) -> Fetched:
    from huggingface_hub import snapshot_download

    try:
        folder = Path(snapshot_download(repository, repo_type="dataset", revision=revision, local_files_only=True))
    except (OSError, ValueError):
        raise ModelUnreachable(
            f"{repository} is no local path; the Hub is switched off (HF_HUB_OFFLINE), "
            f"and its cache does not hold revision {revision}",
            "fetch it once with a network, or give a local copy",
        ) from None
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return Fetched(folder.name, {name: folder / name for name in choose(names)})


def _cached(repository: str, name: str, commit: str) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repository, name, repo_type="dataset", revision=commit)
    return Path(found) if isinstance(found, str) else None


def _check_space(needed: int, repository: str) -> None:
    from huggingface_hub import constants

    folder = Path(constants.HF_HUB_CACHE)
    existing = next(parent for parent in (folder, *folder.parents) if parent.is_dir())
    free = shutil.disk_usage(existing).free
    if needed > free:
        raise NoSpace(
            f"{repository} needs {needed / 1e9:.1f} GB in {folder}, {free / 1e9:.1f} GB are free",
            "free some, or point HF_HOME to a larger disk",
        )


def _file(repository: str, name: str, commit: str) -> Path:
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(repository, name, repo_type="dataset", revision=commit))
    except Exception as fault:  # as above
        raise ModelUnreachable(
            f"{name} of {repository} was not fetched: {fault}",
            "run the command again: what is fetched stays, the rest resumes",
        ) from fault
