"""What the Hub says of a repository at one revision: its commit, and every file with its digest."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from zephyr_core.hub.refusals import CACHE, Request, explained
from zephyr_core.manifest import file_digest

TIMEOUT = 10.0  # seconds


@dataclass(frozen=True)
class RemoteFile:
    """A file of a repository: sha256 if it is in large file storage, else the sha1 that git gives its content."""

    size: int
    sha256: str | None
    git_sha1: str | None

    def is_equal(self, path: Path) -> bool:
        """Return whether a local file has the same content, as far as the Hub gave a digest."""
        if not path.is_file() or path.stat().st_size != self.size:
            return False
        if self.sha256 is not None:
            return file_digest(path) == self.sha256
        return self.git_sha1 == git_sha1(path)


@dataclass(frozen=True)
class Listing:
    """A repository at one commit."""

    commit: str
    files: dict[str, RemoteFile]


def git_sha1(path: Path) -> str:
    """Return the hex sha1 under which git keeps a file's content."""
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def listing(request: Request, hint: str = CACHE) -> Listing:
    """Return the commit of the revision, and every file.

    `snapshot_download(dry_run=True)` says no more, asks for each file in turn, and waits forever for a silent server.

    Raises:
        Unreachable: with the hint.
    """
    from huggingface_hub import HfApi

    look_up = HfApi().dataset_info if request.kind == "dataset" else HfApi().model_info
    try:
        info = look_up(request.repository, revision=request.revision, files_metadata=True, timeout=TIMEOUT)
    except Exception as fault:  # the client raises its own errors, its HTTP library's and the socket's
        raise explained(fault, request, f"{request} cannot be listed", hint) from fault
    files = {
        file.rfilename: RemoteFile(file.size or 0, file.lfs["sha256"] if file.lfs else None, file.blob_id)
        for file in info.siblings or []
    }
    return Listing(str(info.sha), files)
