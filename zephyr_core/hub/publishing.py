"""Files of a folder, published on the Hub in one commit, and compared with what is there afterwards.

What a stopped upload has sent stays on the Hub: the next one sends the rest. A branch that moved meanwhile is refused.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any

from zephyr_core import manifest
from zephyr_core.console import say
from zephyr_core.errors import DataError, Unreachable, UsageError, ZephyrError
from zephyr_core.hub.fetching import fetch
from zephyr_core.hub.listing import TIMEOUT, Listing, listing
from zephyr_core.hub.publication import MAIN, Publication, Published, Target
from zephyr_core.hub.refusals import Request, refused
from zephyr_core.reading import json_file

READ = (".parquet", ".safetensors", ".bin")  # endings of files that others read with ours, whoever put them there
NOTHING_SENT = "nothing was published"


def publish(publication: Publication) -> Published:
    """Return where the files are once they are on the Hub, in one commit, and equal to those here.

    Raises:
        Unreachable: no network, no token, or the Hub refuses; nothing is half published.
        UsageError: the repository or the branch is not one to publish in.
        DataError: what is on the Hub afterwards is not what is here.
    """
    from huggingface_hub import constants
    from huggingface_hub.utils.tqdm import disable_progress_bars

    target, request = publication.target, publication.target.request
    if constants.is_offline_mode():
        raise Unreachable("the Hub is switched off (HF_HUB_OFFLINE)", "set HF_HUB_OFFLINE=0 to publish")
    if not sys.stderr.isatty():
        disable_progress_bars()
    _make_ready(target)
    head = listing(request, "run the command again")
    for there in chain([head], _pull_requests(target)):
        if _is_published(publication, there):
            return Published(target, there.commit, f"{request.page}/tree/{there.commit}", is_new=False)
    removed = _removed(publication, head)
    info = _commit(publication, head, removed)
    there = listing(target.at(info.oid), "run the command again")
    if wrong := publication.differing(there):
        raise DataError(
            f"{request} at {info.oid} differs from what was sent: {', '.join(wrong)}",
            "look at the repository, for a .gitignore perhaps, then run the command again",
        )
    return Published(target, info.oid, info.pr_url or f"{request.page}/tree/{info.oid}", is_new=True)


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


def _make_ready(target: Target) -> None:
    """Create what is missing of the repository and its branch.

    Raises:
        UsageError: the repository is private and was asked to be public, or the revision is not a branch.
    """
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    request, repository, kind = target.request, target.repository, target.kind
    with _asking(request) as api:
        say(f"publishing {repository} as {api.whoami()['name']}")
        try:
            info = api.repo_info(repository, repo_type=kind, timeout=TIMEOUT)
        except RepositoryNotFoundError as fault:
            if isinstance(fault, GatedRepoError):
                raise
            api.create_repo(repository, repo_type=kind, private=not target.public)
            say(f"created {request}, {'public' if target.public else 'private'}")
        else:
            if info.private and target.public:
                hint = "leave --public out, and change that in the repository's settings"
                raise UsageError(f"{request} exists and is private; --public is for new repositories", hint)
            say(f"{request} exists and stays {'private' if info.private else 'PUBLIC'}")
        if target.revision != MAIN:
            _make_branch(api, target)


def _make_branch(api: Any, target: Target) -> None:
    request, revision = target.request, target.revision
    refs = api.list_repo_refs(target.repository, repo_type=target.kind)
    if revision in (branch.name for branch in refs.branches):
        return
    if revision in (tag.name for tag in refs.tags) or (len(revision) == 40 and not revision.strip("0123456789abcdef")):
        raise UsageError(f"{revision} is a tag or commit of {request}", "give a branch with --revision")
    api.create_branch(target.repository, branch=revision, repo_type=target.kind)
    say(f"created the branch {revision} from {MAIN}")


def _pull_requests(target: Target) -> Iterator[Listing]:
    """Yield the repository at each of its pull requests, if this is to become one, newest first."""
    if not target.create_pr:
        return
    with _asking(target.request) as api:
        kind = target.kind
        refs = api.list_repo_refs(target.repository, repo_type=kind, include_pull_requests=True)
    for pull_request in reversed(refs.pull_requests or []):
        yield listing(target.at(pull_request.ref), "run the command again")


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
        repository, kind = publication.target.repository, publication.target.kind
        got = fetch(repository, kind, there.commit, lambda _: [manifest.NAME], instead="")
        recorded = json_file(got.files[manifest.NAME]).get("files")
        earlier = set(recorded) if isinstance(recorded, dict) else set()
    folders = {name.split("/")[0] for name in publication.entries if "/" in name}
    strays = [name for name in others if name not in earlier]
    mixed = [name for name in strays if name.split("/")[0] in folders or name.endswith(READ)]
    if mixed:
        raise UsageError(
            f"{publication.target.request} holds files that zephyr did not publish, which would be read with these: "
            f"{', '.join(mixed[:5])}",
            "remove them there, or publish in another repository",
        )
    return [name for name in others if name in earlier]


def _commit(publication: Publication, head: Listing, removed: list[str]) -> Any:
    """Send the files that are not there, and commit them all at once on top of `head`."""
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    target, entries, request = publication.target, publication.entries, publication.target.request
    where = {"repo_type": target.kind, "revision": target.revision, "create_pr": target.create_pr}
    names = publication.differing(head)
    size = sum(entries[name]["bytes"] for name in names)
    say(f"{len(entries)} files, {len(names)} to send ({size / 1e9:.2f} GB), {len(removed)} to remove; at {head.commit}")
    operations = [CommitOperationAdd(name, publication.folder / name) for name in names]
    for number, (name, operation) in enumerate(zip(names, operations, strict=True), start=1):
        say(f"sending {number} of {len(names)}: {name}, {entries[name]['bytes'] / 1e9:.2f} GB")
        operation.upload_info.sha256 = bytes.fromhex(entries[name]["sha256"])
        with _asking(request, f"{name} was not sent, and {NOTHING_SENT}") as api:
            api.preupload_lfs_files(target.repository, [operation], free_memory=False, **where)
    with _asking(request, unanswered="the commit was not confirmed, it may be there") as api:
        return api.create_commit(
            target.repository,
            [*operations, *(CommitOperationDelete(name) for name in removed)],
            commit_message=publication.title,
            parent_commit=head.commit,
            **where,
        )
