"""Datasets on the Hugging Face Hub: `main` is resolved once to its commit, files come one by one into its cache."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from zephyr_core.errors import NoSpace
from zephyr_data.errors import SourceUnreachable
from zephyr_data.sources.files import RawFile, kind_of

HINT = "give local files (`zephyr data … FILE.jsonl`), or try the embedded samples with `--recipe tiny`"
TIMEOUT = 10.0  # seconds for the listing


def hub_files(repository: str, revision: str, say: Callable[[str], None]) -> tuple[list[RawFile], str]:
    """Return the raw files of a Hub dataset, fetched if need be, and the commit that they belong to.

    Raises:
        SourceUnreachable: offline, no such dataset or revision, or no readable file in it.
        NoSpace: the disk cannot take the files.
    """
    listing = _listing(repository, revision)
    wanted = {item.rfilename: item.size or 0 for item in listing.siblings or [] if kind_of(Path(item.rfilename))}
    if not wanted:
        raise SourceUnreachable(
            f"{repository} holds no file that can be read", "name files inside a local copy instead"
        )
    missing = {name: size for name, size in wanted.items() if _cached(repository, name, listing.sha) is None}
    _check_space(sum(missing.values()), repository)
    source, files = f"{repository}@{listing.sha}", []
    say(f"{repository} at {listing.sha}: {len(wanted)} files, {sum(missing.values()) / 1e9:.2f} GB to fetch")
    for number, name in enumerate(sorted(wanted), start=1):
        if name in missing:
            say(f"fetching {number} of {len(wanted)}: {name}, {wanted[name] / 1e9:.2f} GB")
        path = _fetch(repository, name, listing.sha)
        files.append(RawFile(source, name, path, kind_of(path) or "plain"))
    return files, str(listing.sha)


def _listing(repository: str, revision: str) -> Any:
    from huggingface_hub import HfApi, constants

    if constants.is_offline_mode():
        raise SourceUnreachable(f"{repository} is on the Hub, and the Hub is switched off (HF_HUB_OFFLINE)", HINT)
    try:
        return HfApi().dataset_info(repository, revision=revision, files_metadata=True, timeout=TIMEOUT)
    except Exception as fault:  # the client raises its own, its HTTP library's and the socket's errors
        reason = str(fault).strip().splitlines()[0] if str(fault).strip() else type(fault).__name__
        raise SourceUnreachable(
            f"the Hub dataset {repository} (revision {revision}) cannot be listed: {reason}", HINT
        ) from None


def cached_file(source: str, name: str) -> RawFile | None:
    """Return the raw file of a recorded source ("repository@commit") from the Hub's cache, or None."""
    repository, _, commit = source.partition("@")
    path = _cached(repository, name, commit) if commit else None
    return None if path is None else RawFile(source, name, path, kind_of(path) or "plain")


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


def _fetch(repository: str, name: str, commit: str) -> Path:
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(repository, name, repo_type="dataset", revision=commit))
    except OSError as fault:
        raise SourceUnreachable(
            f"{name} of {repository} was not fetched: {fault}",
            "run the command again: what is fetched stays, the rest resumes",
        ) from fault
