"""The copy of a folder of ours that goes to the Hub: what stays as it is is a link, the manifest is written again."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zephyr_core import manifest
from zephyr_core.records import FileEntry


def bare(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return a manifest without its files and its own digest."""
    return {key: value for key, value in content.items() if key not in ("files", "self_digest")}


class PublishedCopy:
    """An empty folder that is filled, and the bytes and digests of what is in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.entries = dict[str, FileEntry]()

    def place(self, name: str) -> Path:
        """Return the path of a file in the copy; its folder is there."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def link(self, name: str, original: Path, entry: FileEntry) -> None:
        """Take over a file as it is; `entry` is what the original's manifest says of it."""
        self.place(name).symlink_to(original.resolve())
        self.entries[name] = {"bytes": entry["bytes"], "sha256": entry["sha256"]}

    def add(self, name: str) -> None:
        """Count a file that was written to its place, without a time: the same copy is the same file each time."""
        path = self.folder / name
        self.entries[name] = {"bytes": path.stat().st_size, "sha256": manifest.file_digest(path)}

    def write(self, name: str, text: str) -> None:
        """Write a text to its place, and count it."""
        self.place(name).write_text(text, encoding="utf-8")
        self.add(name)

    def finish(self, record: Mapping[str, Any]) -> dict[str, FileEntry]:
        """Write the manifest; return what is in the copy, the manifest too."""
        manifest.write(self.folder, record, dict(sorted(self.entries.items())))
        self.add(manifest.NAME)
        return self.entries
