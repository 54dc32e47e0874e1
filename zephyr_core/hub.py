"""The Hugging Face Hub: a revision is resolved once to its commit, and files are fetched into the Hub's own cache."""

import contextlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from zephyr_core.console import say
from zephyr_core.disk import FORBIDDEN, is_full, require_space
from zephyr_core.errors import EnvironmentLack, NoSpace, Unreachable, first_line
from zephyr_core.manifest import write_text_whole
from zephyr_core.reading import json_file

Kind = Literal["dataset", "model"]
Choose = Callable[[list[str]], Iterable[str]]  # the names of all files of a repository → those that are needed

TIMEOUT = 10.0  # seconds for the listing
LISTINGS = "zephyr"  # folder of a cached repository: the names of all its files at each commit that was fetched
CACHE = "set HF_HUB_OFFLINE=1 to use what the Hub's cache holds"
AGAIN = "run the command again: complete files are kept, the rest is fetched"  # the client keeps no partial files
_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*")
_FILES = (".json", ".jsonl", ".ndjson", ".parquet", ".gz", ".zst", ".safetensors")  # an id that ends so is a file


@dataclass(frozen=True)
class Snapshot:
    """Files of a repository at one commit: their names in it → where they are here."""

    repository: str
    commit: str
    files: dict[str, Path]


@dataclass(frozen=True)
class _Request:
    """What is asked of the Hub, and what the caller can do without it."""

    repository: str
    kind: Kind
    revision: str
    instead: str

    def __str__(self) -> str:
        return f"the Hub {self.kind} {self.repository}"

    @property
    def page(self) -> str:
        """Return the address of its page."""
        from huggingface_hub import constants

        return f"{constants.ENDPOINT}/{'datasets/' if self.kind == 'dataset' else ''}{self.repository}"


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

    request = _Request(repository, kind, revision, instead)
    if constants.is_offline_mode():
        return _offline(request, choose)
    commit, sizes = _listing(request)
    names = list(choose(sorted(sizes)))
    absent = [name for name in names if name not in sizes]
    if absent:
        raise Unreachable(f"{request} has no {absent[0]}", instead)
    stored = _stored(repository, kind)
    _keep(stored / LISTINGS / f"{commit}.json", json.dumps({"files": sorted(sizes)}))
    missing = [name for name in names if cached_file(repository, kind, commit, name) is None]
    if missing:
        size = sum(sizes[name] for name in missing)
        require_space(_cache(), size, "point HF_HOME to a larger disk", what=repository)
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


def _offline(request: _Request, choose: Choose) -> Snapshot:
    snapshot = cached(request.repository, request.kind, request.revision, choose)
    if snapshot is None:
        raise Unreachable(
            f"{request.repository} is on the Hub, which is switched off (HF_HUB_OFFLINE), "
            f"and the cache does not hold revision {request.revision}",
            f"fetch it once with HF_HUB_OFFLINE=0, or {request.instead}",
        )
    return snapshot


def _listing(request: _Request) -> tuple[str, dict[str, int]]:
    """Return the commit of the revision, and name → bytes of every file.

    `snapshot_download(dry_run=True)` says no more, asks for each file in turn, and waits forever for a silent server.
    """
    from huggingface_hub import HfApi

    look_up = HfApi().dataset_info if request.kind == "dataset" else HfApi().model_info
    try:
        info = look_up(request.repository, revision=request.revision, files_metadata=True, timeout=TIMEOUT)
    except Exception as fault:  # the client raises its own errors, its HTTP library's and the socket's
        raise _explained(fault, request, f"{request} cannot be listed", CACHE) from fault
    return str(info.sha), {file.rfilename: file.size or 0 for file in info.siblings or []}


def _download(request: _Request, commit: str, name: str) -> None:
    """Download one file. `snapshot_download` does so in threads, which ctrl-c has to wait for."""
    from huggingface_hub import hf_hub_download

    try:
        hf_hub_download(request.repository, name, repo_type=request.kind, revision=commit)
    except Exception as fault:  # as above
        raise _explained(fault, request, f"{name} of {request} was not fetched", AGAIN) from fault


def _explained(fault: BaseException, request: _Request, failure: str, hint: str) -> EnvironmentLack:
    """Return one of our errors: what the Hub answered, in one line, and what to do about it."""
    from huggingface_hub import errors

    while isinstance(fault, errors.LocalEntryNotFoundError) and fault.__cause__ is not None:
        fault = fault.__cause__  # "not in the cache either" hides what went wrong
    status = getattr(getattr(fault, "response", None), "status_code", None)
    missing = isinstance(fault, errors.RepositoryNotFoundError)  # GatedRepoError is one too; 401 may mean either
    if isinstance(fault, OSError) and (is_full(fault) or fault.errno in FORBIDDEN):
        return NoSpace(
            f"{failure}: {_cache()} cannot be written: {fault.strerror}",
            "free some space, or point HF_HOME to a folder that can be written",
        )
    if isinstance(fault, errors.RevisionNotFoundError):
        failure, hint = f"{request} has no revision {request.revision}", "give a branch, tag or commit of it"
    elif isinstance(fault, errors.GatedRepoError) or (status in (401, 403) and not missing):
        failure = f"{request} is gated: the Hub refuses access ({status})"
        hint = f"accept its terms at {request.page} and run `hf auth login`"
    elif missing:
        failure = f"{request} does not exist, or is private"
        hint = "check its name, run `hf auth login` if it is private"
    elif status == 429:
        failure = f"{failure}: the Hub limits the rate of requests (429)"
        hint = "run the command again in a few minutes (`hf auth login` raises the limit)"
    else:
        failure = f"{failure}: {first_line(fault)}"
    return Unreachable(failure, f"{hint}, or {request.instead}")


def _cache() -> Path:
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE).absolute()


def _folder(repository: str, kind: Kind, revision: str) -> Path:
    """Return where the Hub's cache keeps the files of a revision, if it has them."""
    stored = _stored(repository, kind)
    reference = stored / "refs" / revision
    commit = reference.read_text(encoding="utf-8") if reference.is_file() else revision
    return stored / "snapshots" / commit


def _stored(repository: str, kind: Kind) -> Path:
    return _cache() / "--".join([f"{kind}s", *repository.split("/")])


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
