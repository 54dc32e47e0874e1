"""Every entry of a folder: a file to read, or passed over for a reason. Links are followed, nothing is met twice."""

import os
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

ENDING, HIDDEN, OF_SPARK, NOWHERE = "another ending", "hidden", "of Spark's own", "a link that leads nowhere"
NO_FILE, UPWARD = "neither a file nor a folder", "a link to the source or a folder that holds it"
# What Spark and Delta Lake write next to their data; other names with an underscore are data.
SPARKS = ("_temporary", "_delta_log", "_spark_metadata", "_SUCCESS", "_metadata", "_common_metadata")
SPARKS_PREFIXES = ("_committed_", "_started_")


@dataclass
class Listing:
    """What is below a folder; names are paths below it, those of folders end with a slash."""

    files: dict[str, Path] = field(default_factory=dict)  # name → path, in order of names
    outside: dict[str, Path] = field(default_factory=dict)  # name of a file that a link leads to → its real path
    passed_over: dict[str, str] = field(default_factory=dict)  # name → why


def list_folder(root: Path, is_wanted: Callable[[str], bool]) -> Listing:
    """Return every entry below a folder; links are looked at last.

    Raises:
        OSError: a folder cannot be listed.
    """
    walk = _Walk(root, is_wanted)
    listing = walk.listing
    listing.files = dict(sorted(listing.files.items()))
    listing.passed_over = dict(sorted(listing.passed_over.items()))
    return listing


def list_matches(root: Path, matches: dict[str, Path]) -> Listing:
    """Return the files among the matches of a pattern, each once; a folder that matches is passed over."""
    listing, real_names = Listing(), dict[Path, str]()
    for name, path in sorted(matches.items(), key=lambda match: (len(Path(match[0]).parts), match[0])):
        if path.is_dir():
            listing.passed_over[f"{name}/"] = "a folder"
        else:
            _take(listing, name, path, root.resolve(), real_names)
    listing.files = dict(sorted(listing.files.items()))
    return listing


def _take(listing: Listing, name: str, path: Path, root: Path, real_names: dict[Path, str]) -> None:
    """Add a file, unless there is none, or it is already listed under another name."""
    if not path.exists():
        listing.passed_over[name] = NOWHERE
    elif not path.is_file():
        listing.passed_over[name] = NO_FILE
    elif (real := path.resolve()) in real_names:
        listing.passed_over[name] = f"the same file as {real_names[real]}"
    else:
        real_names[real] = name
        listing.files[name] = path
        if not real.is_relative_to(root):
            listing.outside[name] = real


class _Walk:
    def __init__(self, root: Path, is_wanted: Callable[[str], bool]) -> None:
        self.listing, self._is_wanted, self._root = Listing(), is_wanted, root.resolve()
        self._folders, self._files = dict[Path, str](), dict[Path, str]()  # real path → name
        self._links = deque[tuple[str, Path]]()
        self._list("", root)
        while self._links:
            self._look_at(*self._links.popleft())

    def _list(self, name: str, folder: Path) -> None:
        """Take all entries of a folder and of those below it, and keep links for later."""
        pending = deque([(name, folder)])
        while pending:
            name, folder = pending.popleft()
            real = folder.resolve()
            if real in self._folders:
                self.listing.passed_over[name] = f"the same folder as {self._folders[real] or 'the source'}"
                continue
            self._folders[real] = name
            with os.scandir(folder) as entries:
                ordered = sorted(entries, key=lambda entry: entry.name)
            for entry in ordered:
                inner, path = name + entry.name, folder / entry.name
                is_folder = entry.is_dir(follow_symlinks=False)
                if (why := why_hidden(entry.name)) is not None:
                    self.listing.passed_over[f"{inner}/" if is_folder else inner] = why
                elif entry.is_symlink():
                    self._links.append((inner, path))
                elif is_folder:
                    pending.append((f"{inner}/", path))
                else:
                    self._file(inner, path)

    def _look_at(self, name: str, link: Path) -> None:
        if not link.is_dir():
            self._file(name, link)
        elif self._root.is_relative_to(link.resolve()):
            self.listing.passed_over[f"{name}/"] = UPWARD
        else:
            self._list(f"{name}/", link)

    def _file(self, name: str, path: Path) -> None:
        if path.exists() and not self._is_wanted(path.name):
            self.listing.passed_over[name] = ENDING
        else:
            _take(self.listing, name, path, self._root, self._files)


def why_hidden(name: str) -> str | None:
    """Return why an entry of that name is never read, or None."""
    if name.startswith("."):
        return HIDDEN
    return OF_SPARK if name in SPARKS or name.startswith(SPARKS_PREFIXES) else None
