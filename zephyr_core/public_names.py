"""Paths of this machine as names that can be published: `/home/ann/raw` is `raw`.

A path that begins at the root, at a home folder or above the working folder says where somebody keeps their files;
only its last part is published. One below the working folder stays as it is, and so does everything that is not a path.
"""

import re
from pathlib import Path, PurePosixPath
from typing import Any

from zephyr_core import paths
from zephyr_core.errors import DataError

_PRIVATE = re.compile(r"(?:~[\w.-]*)?/[^/].*|~|\.\.(?:/.*)?|.+/\.\.(?:/.*)?", re.DOTALL)
_PREFIXES = ("file ", "@")  # of the origin of an option's value; of a list of rows
_INSIDE = re.compile(r"(?<![^\s\"'`(=@,;|])(?:~[\w.-]*|\.\.)?/[\w.~-][^\s\"'`),;|]*")  # in a sentence


class PublicNames:
    """The names under which the paths in some records are published, each path under a name of its own."""

    def __init__(self, *records: Any) -> None:
        self._names = dict[str, str]()
        for record in records:
            self._collect(record)

    def content(self, record: Any) -> Any:
        """Return a JSON record with its paths as names, keys among them."""
        if isinstance(record, dict):
            return {self.text(key): self.content(value) for key, value in record.items()}
        if isinstance(record, list):
            return [self.content(value) for value in record]
        return self.text(record) if isinstance(record, str) else record

    def text(self, text: str) -> str:
        """Return a path as a name, or a text with the paths in it as names."""
        if _PRIVATE.fullmatch(text):
            return self._name(text)
        for path in sorted(self._names, key=len, reverse=True):
            if len(path) > len("../"):
                text = re.sub(rf"{re.escape(path)}(?![\w~/-]|\.\w)", self._names[path].replace("\\", r"\\"), text)
        return _INSIDE.sub(lambda match: self._name(match[0]), text)

    def _collect(self, record: Any) -> None:
        """Learn the paths that are whole texts: in a sentence their ends would have to be guessed."""
        if isinstance(record, dict):
            record = [*record, *record.values()]
        if isinstance(record, list):
            for value in record:
                self._collect(value)
        elif isinstance(record, str):
            prefix = next((prefix for prefix in _PREFIXES if record.startswith(prefix)), "")
            if _PRIVATE.fullmatch(record.removeprefix(prefix)):
                self._name(record.removeprefix(prefix))

    def _name(self, path: str) -> str:
        if path not in self._names:
            last = PurePosixPath(path).name.replace("..", "").lstrip("~") or "folder"
            number = sum(1 for name in self._names.values() if name == last or name.startswith(f"{last}-"))
            self._names[path] = f"{last}-{number + 1}" if number else last
        return self._names[path]


def refuse_paths(name: str, text: str, *folders: Path) -> None:
    """Raise if a text that is to be published holds a path of this machine.

    Args:
        name: of the file.
        text: its content.
        folders: that must not be named, besides the home folder and the working folder.

    Raises:
        DataError: naming the file and the path.
    """
    own = (paths.expanded("~"), Path.cwd(), *(folder.absolute() for folder in folders))
    for path in map(str, own):
        if path != "/" and re.search(rf"(?<![\w.-]){re.escape(path)}(?![\w-])", text):
            raise DataError(
                f"{name} would publish {path}, a path of this machine", "report it: this is a fault of zephyr"
            )
