"""Files of a folder, published on the Hub in one commit, and compared with what is there afterwards.

What a stopped upload has sent stays on the Hub: the next one sends the rest. A branch that moved meanwhile is refused.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zephyr_core import manifest
from zephyr_core.console import say
from zephyr_core.errors import DataError, Unreachable, UsageError, ZephyrError
from zephyr_core.hub.fetching import fetch
from zephyr_core.hub.listing import TIMEOUT, Listing, git_sha1, listing
from zephyr_core.hub.refusals import Kind, Request, refused
from zephyr_core.reading import json_file
from zephyr_core.records import FileEntry

MAIN = "main"
READ = (".parquet", ".safetensors", ".bin")  # endings of files that others read with ours, whoever put them there
NOTHING_SENT = "nothing was published"


@dataclass(frozen=True)
class Publication:
    """What is published where. `entries` has the size and sha256 of every file below `folder` that is."""

    repository: str
    kind: Kind
    folder: Path
    entries: dict[str, FileEntry]
    title: str  # of the commit
    revision: str = MAIN
    create_pr: bool = False
    public: bool = False

    @property
    def request(self) -> Request:
        """Return what is asked of the Hub."""
        return Request(self.repository, self.kind, self.revision)

    def differing(self, there: Listing) -> list[str]:
        """Return the names of the files that the repository lacks, or has with other content."""
        return [name for name in self.entries if not self._is_there(name, there)]

    def _is_there(self, name: str, there: Listing) -> bool:
        remote, entry = there.files.get(name), self.entries[name]
        if remote is None or remote.size != entry["bytes"]:
            return False
        if remote.sha256 is not None:
            return remote.sha256 == entry["sha256"]
        return remote.git_sha1 == git_sha1(self.folder / name)


@dataclass(frozen=True)
class Published:
    """Where a publication is."""

    commit: str
    page: str  # of the commit or of its pull request
    is_new: bool  # False: it was there already


def publish(publication: Publication) -> Published:
    """Return where the files are once they are on the Hub, in one commit, and equal to those here.

    Raises:
        Unreachable: no network, no token, or the Hub refuses; nothing is half published.
        UsageError: the repository or the branch is not one to publish in.
        DataError: what is on the Hub afterwards is not what is here.
    """
    from huggingface_hub import constants
    from huggingface_hub.utils.tqdm import disable_progress_bars

    request = publication.request
    if constants.is_offline_mode():
        raise Unreachable("the Hub is switched off (HF_HUB_OFFLINE)", "set HF_HUB_OFFLINE=0 to publish")
    if not sys.stderr.isatty():
        disable_progress_bars()
    _make_ready(publication)
    head = listing(request, "run the command again")
    for there in (head, *_pull_requests(publication)):
        if _is_published(publication, there):
            return Published(there.commit, f"{request.page}/tree/{there.commit}", is_new=False)
    removed = _removed(publication, head)
    info = _commit(publication, head, removed)
    there = listing(Request(publication.repository, publication.kind, info.oid), "run the command again")
    if wrong := publication.differing(there):
        raise DataError(
            f"{request} at {info.oid} differs from what was sent: {', '.join(wrong)}",
            "look at the repository, for a .gitignore perhaps, then run the command again",
        )
    return Published(info.oid, info.pr_url or f"{request.page}/tree/{info.oid}", is_new=True)


@contextmanager
def _asking(request: Request, failure: str = NOTHING_SENT, unanswered: str = "") -> Iterator[Any]:
    """Yield the client; what the Hub refuses becomes one error. `unanswered`: what to say if no clear answer came."""
    from huggingface_hub import HfApi

    try:
        yield HfApi()
    except ZephyrError:
        raise
    except Exception as fault:  # the client raises its own errors, its HTTP library's and the socket's
        raise refused(fault, request, failure, unanswered or failure) from fault


def _make_ready(publication: Publication) -> None:
    """Create what is missing of the repository and its branch.

    Raises:
        UsageError: the repository is private and was asked to be public, or the revision is not a branch.
    """
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    request, repository, kind = publication.request, publication.repository, publication.kind
    with _asking(request) as api:
        say(f"publishing {repository} as {api.whoami()['name']}")
        try:
            info = api.repo_info(repository, repo_type=kind, timeout=TIMEOUT)
        except RepositoryNotFoundError as fault:
            if isinstance(fault, GatedRepoError):
                raise
            api.create_repo(repository, repo_type=kind, private=not publication.public)
            say(f"created {request}, {'public' if publication.public else 'private'}")
        else:
            if info.private and publication.public:
                hint = "leave --public out, and change that in the repository's settings"
                raise UsageError(f"{request} exists and is private; --public is for new repositories", hint)
            say(f"{request} exists and stays {'private' if info.private else 'PUBLIC'}")
        if publication.revision != MAIN:
            _make_branch(api, publication)


def _make_branch(api: Any, publication: Publication) -> None:
    request, revision = publication.request, publication.revision
    refs = api.list_repo_refs(publication.repository, repo_type=publication.kind)
    if revision in (branch.name for branch in refs.branches):
        return
    if revision in (tag.name for tag in refs.tags) or (len(revision) == 40 and not revision.strip("0123456789abcdef")):
        raise UsageError(f"{revision} is a tag or commit of {request}", "give a branch with --revision")
    api.create_branch(publication.repository, branch=revision, repo_type=publication.kind)
    say(f"created the branch {revision} from {MAIN}")


def _pull_requests(publication: Publication) -> Iterator[Listing]:
    """Yield the repository at each of its pull requests, if this is to become one, newest first."""
    if not publication.create_pr:
        return
    with _asking(publication.request) as api:
        kind = publication.kind
        refs = api.list_repo_refs(publication.repository, repo_type=kind, include_pull_requests=True)
    for pull_request in reversed(refs.pull_requests or []):
        yield listing(Request(publication.repository, kind, pull_request.ref), "run the command again")


def _is_published(publication: Publication, there: Listing) -> bool:
    return not publication.differing(there) and not _removed(publication, there)


def _removed(publication: Publication, there: Listing) -> list[str]:
    """Return the files of an earlier publication that this one does not have.

    Raises:
        UsageError: there are files of somebody else that would be read with ours.
    """
    others = [name for name in there.files if name not in publication.entries]
    if not others:
        return []
    earlier: set[str] = set()
    if manifest.NAME in there.files:
        repository, kind = publication.repository, publication.kind
        got = fetch(repository, kind, there.commit, lambda _: [manifest.NAME], instead="")
        recorded = json_file(got.files[manifest.NAME]).get("files")
        earlier = set(recorded) if isinstance(recorded, dict) else set()
    folders = {name.split("/")[0] for name in publication.entries if "/" in name}
    strays = [name for name in others if name not in earlier]
    mixed = [name for name in strays if name.split("/")[0] in folders or name.endswith(READ)]
    if mixed:
        raise UsageError(
            f"{publication.request} holds files that zephyr did not publish, which would be read with these: "
            f"{', '.join(mixed[:5])}",
            "remove them there, or publish in another repository",
        )
    return [name for name in others if name in earlier]


def _commit(publication: Publication, head: Listing, removed: list[str]) -> Any:
    """Send the files that are not there, and commit them all at once on top of `head`."""
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    repository, kind, entries = publication.repository, publication.kind, publication.entries
    target = {"repo_type": kind, "revision": publication.revision, "create_pr": publication.create_pr}
    names = publication.differing(head)
    size = sum(entries[name]["bytes"] for name in names)
    say(f"{len(entries)} files, {len(names)} to send ({size / 1e9:.2f} GB), {len(removed)} to remove; at {head.commit}")
    operations = [CommitOperationAdd(name, publication.folder / name) for name in names]
    for number, (name, operation) in enumerate(zip(names, operations, strict=True), start=1):
        say(f"sending {number} of {len(names)}: {name}, {entries[name]['bytes'] / 1e9:.2f} GB")
        operation.upload_info.sha256 = bytes.fromhex(entries[name]["sha256"])
        with _asking(publication.request, f"{name} was not sent, and {NOTHING_SENT}") as api:
            api.preupload_lfs_files(repository, [operation], free_memory=False, **target)
    with _asking(publication.request, unanswered="the commit was not confirmed, it may be there") as api:
        return api.create_commit(
            repository,
            [*operations, *(CommitOperationDelete(name) for name in removed)],
            commit_message=publication.title,
            parent_commit=head.commit,
            **target,
        )
