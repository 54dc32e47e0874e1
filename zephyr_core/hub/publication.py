"""What is published where: its files, what people see of it before and after."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zephyr_core.console import table
from zephyr_core.errors import UsageError
from zephyr_core.hub.listing import Listing, git_sha1
from zephyr_core.hub.refusals import Kind, Request
from zephyr_core.records import FileEntry

MAIN = "main"
_REPOSITORY = re.compile(r"\w[\w.-]*/\w[\w.-]*")


@dataclass(frozen=True)
class Target:
    """Where something is published: a repository, its branch, and how."""

    repository: str
    kind: Kind
    revision: str = MAIN
    create_pr: bool = False
    public: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be the name of a repository."""
        if _REPOSITORY.fullmatch(self.repository) is None:
            raise UsageError(f"{self.repository!r} is not a repository on the Hub", "give it as OWNER/NAME")

    @property
    def request(self) -> Request:
        """Return what is asked of the Hub."""
        return Request(self.repository, self.kind, self.revision)

    def at(self, commit: str) -> Request:
        """Return what is asked of the Hub about one commit."""
        return Request(self.repository, self.kind, commit)


@dataclass(frozen=True)
class Publication:
    """The files of a folder for a target. `entries` has the size and sha256 of each that is published."""

    target: Target
    folder: Path
    entries: dict[str, FileEntry]
    title: str  # of the commit

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

    def planned(self, card: str) -> tuple[dict[str, Any], str]:
        """Return what would be published, as a record and for people: target, files, sizes, and the card."""
        text = (self.folder / card).read_text(encoding="utf-8")
        record = {**vars(self.target), "title": self.title, "files": self.entries, "card": text}
        return record, "\n".join([*self._lines(), "", f"{card}:", "", text.rstrip()])

    def _lines(self) -> Iterator[str]:
        target = self.target
        visible = "public" if target.public else "private"
        yield f"{target.request}: {visible} if it is new; else it stays as it is"
        what = "a pull request to" if target.create_pr else "one commit on"
        yield f"{what} the branch {target.revision}: {self.title}"
        yield ""
        total = sum(entry["bytes"] for entry in self.entries.values())
        yield from table([*((name, entry["bytes"]) for name, entry in self.entries.items()), ("all bytes", total)])
        yield "nothing was sent"


@dataclass(frozen=True)
class Published:
    """Where a publication is."""

    target: Target
    commit: str
    page: str  # of the commit or of its pull request
    is_new: bool  # False: it was there already

    def report(self, checked: str) -> tuple[dict[str, Any], str]:
        """Return it as a record and for people; `checked` says what was compared with what is here."""
        record = {**vars(self.target), "commit": self.commit, "page": self.page, "is_new": self.is_new}
        what = "published" if self.is_new else "nothing to do: already published"
        return record, f"{what} at {self.commit}: {self.page}\n{checked}"
