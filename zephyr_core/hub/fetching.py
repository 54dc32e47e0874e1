"""The Hugging Face Hub: a revision is resolved once to its commit, and files are fetched into the Hub's own cache."""

import contextlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from zephyr_core.console import say
from zephyr_core.disk import require_space
from zephyr_core.errors import Unreachable
from zephyr_core.hub.listing import listing
from zephyr_core.hub.refusals import AGAIN, Kind, Request, cache_folder, explained
from zephyr_core.manifest import write_text_whole
from zephyr_core.reading import json_file

Choose = Callable[[list[str]], Iterable[str]]  # the names of all files of a repository → those that are needed

LISTINGS = "zephyr"  # folder of a cached repository: the names of all its files at each commit that was fetched
_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*")
_FILES = (".json", ".jsonl", ".ndjson", ".parquet", ".gz", ".zst", ".safetensors")  # an id that ends so is a file


@dataclass(frozen=True)
class Snapshot:
    """Files of a repository at one commit: their names in it → where they are here."""

    repository: str
    commit: str
    files: dict[str, Path]


def with_commit(name: str, commit: str | None) -> str:
    """Return the name of a dataset or model, for people, with its commit on the Hub if it has one."""
    return name if commit is None else f"{name} at {commit}"


def is_hub_id(text: str) -> bool:
    """Return whether the text names a dataset or model on the Hub, owner/name, and nothing on this machine.

    A data file's name is never an id, and neither is the name of an output that was interrupted.
    """
    if _ID.fullmatch(text) is None or text.lower().endswith(_FILES):
        return False
    return not Path(text).exists() and not Path(f"{text}.partial").exists()


def fetch(repository: str, kind: Kind, revision: str, choose: Choose, *, instead: str) -> Snapshot:
    """Return the chosen files of a repository, downloaded if need be; with HF_HUB_OFFLINE from the cache alone.

    Args:
        repository: owner/name.
        kind: dataset | model.
        revision: branch, tag or commit; resolved once.
        choose: names the files that are needed; all must be there.
        instead: what the reader can do without the Hub, as the end of a hint: "give a local folder with --model".

    Raises:
        Unreachable: no network, no such repository or revision, no access, or not in the cache.
        NoSpace: the disk cannot take the files.
    """
    from huggingface_hub import constants

    request = Request(repository, kind, revision, instead)
    if constants.is_offline_mode():
        return _offline(request, choose)
    listed = listing(request)
    commit, sizes = listed.commit, {name: file.size for name, file in listed.files.items()}
    names = list(choose(sorted(sizes)))
    absent = [name for name in names if name not in sizes]
    if absent:
        raise Unreachable(f"{request} has no {absent[0]}", instead)
    stored = _stored(repository, kind)
    _keep(stored / LISTINGS / f"{commit}.json", json.dumps({"files": sorted(sizes)}))
    missing = [name for name in names if cached_file(repository, kind, commit, name) is None]
    if missing:
        size = sum(sizes[name] for name in missing)
        require_space(cache_folder(), size, "point HF_HOME to a larger disk", what=repository)
        say(f"{repository} at {commit}: {len(names)} files, {size / 1e9:.2f} GB to fetch")
    for number, name in enumerate(missing, start=1):
        say(f"fetching {number} of {len(missing)}: {name}, {sizes[name] / 1e9:.2f} GB")
        _download(request, commit, name)
    if revision != commit:
        _keep(stored / "refs" / revision, commit)  # where the Hub's own client looks for it too
    return Snapshot(repository, commit, {name: stored / "snapshots" / commit / name for name in names})


def cached(repository: str, kind: Kind, revision: str, choose: Choose) -> Snapshot | None:
    """Return the chosen files from the Hub's cache; None unless it holds all of them. No network is used."""
    folder = _folder(repository, kind, revision)
    if not folder.is_dir():
        return None
    files = {name: folder / name for name in choose(sorted(_names(repository, kind, folder)))}
    return Snapshot(repository, folder.name, files) if all(path.is_file() for path in files.values()) else None


def cached_file(repository: str, kind: Kind, revision: str, name: str) -> Path | None:
    """Return a file from the Hub's cache, or None. No network is used."""
    path = _folder(repository, kind, revision) / name
    return path if path.is_file() else None


def _offline(request: Request, choose: Choose) -> Snapshot:
    snapshot = cached(request.repository, request.kind, request.revision, choose)
    if snapshot is None:
        raise Unreachable(
            f"{request.repository} is on the Hub, which is switched off (HF_HUB_OFFLINE), "
            f"and the cache does not hold revision {request.revision}",
            f"fetch it once with HF_HUB_OFFLINE=0, or {request.instead}",
        )
    return snapshot


def _download(request: Request, commit: str, name: str) -> None:
    """Download one file. `snapshot_download` does so in threads, which ctrl-c has to wait for."""
    from huggingface_hub import hf_hub_download

    try:
        hf_hub_download(request.repository, name, repo_type=request.kind, revision=commit)
    except Exception as fault:  # as above
        raise explained(fault, request, f"{name} of {request} was not fetched", AGAIN) from fault


def _folder(repository: str, kind: Kind, revision: str) -> Path:
    """Return where the Hub's cache keeps the files of a revision, if it has them."""
    stored = _stored(repository, kind)
    reference = stored / "refs" / revision
    commit = reference.read_text(encoding="utf-8") if reference.is_file() else revision
    return stored / "snapshots" / commit


def _stored(repository: str, kind: Kind) -> Path:
    return cache_folder() / "--".join([f"{kind}s", *repository.split("/")])


def _keep(path: Path, text: str) -> None:
    """Write a file of the cache, unless the cache cannot be written: it may still hold everything needed."""
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text_whole(path, text)


def _names(repository: str, kind: Kind, folder: Path) -> list[str]:
    """Return the names of all files of a commit, here or not: as zephyr or `hf download` listed them.

    Without a listing, only those that are here.
    """
    from huggingface_hub import get_cached_repo_tree
    from huggingface_hub.errors import CachedRepoTreeNotFoundError

    listing: Mapping[str, list[str]] = json_file(folder.parents[1] / LISTINGS / f"{folder.name}.json")
    if "files" in listing:
        return listing["files"]
    try:
        return [file.path for file in get_cached_repo_tree(repository, repo_type=kind, revision=folder.name)]
    except CachedRepoTreeNotFoundError:
        return [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
