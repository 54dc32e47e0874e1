"""Whether the files of a finished folder are those that its manifest names."""

from pathlib import Path

from zephyr_core import manifest
from zephyr_core.errors import DataError


def damage(folder: Path, *, hashed: bool = True) -> str | None:
    """Return which file of a finished folder is damaged, and how; None when all are as they were made.

    By size alone where not `hashed`. Files that the manifest does not name are nobody's concern.
    """
    try:
        files = {name: (entry["bytes"], entry["sha256"]) for name, entry in manifest.read(folder)["files"].items()}
    except (DataError, KeyError, TypeError, AttributeError):
        return f"{manifest.NAME} is damaged"
    for name, (stored, digest) in files.items():
        path = folder / name
        if not path.is_file():
            return f"{name} is missing"
        size = path.stat().st_size
        if size != stored:
            return f"{name} has {size:,} bytes, not {stored:,}"
        if hashed and manifest.file_digest(path) != digest:
            return f"{name} has changed: another sha256"
    return None
