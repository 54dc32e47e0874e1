"""The manifest of a dataset directory: written last, so that its presence means the directory is whole."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from zephyr_core.errors import DataError

NAME = "manifest.json"
FORMAT = 1


def file_digest(path: Path) -> str:
    """Return the hex sha256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def file_names(directory: Path) -> list[str]:
    """Return the relative path of every file below `directory` but the manifest."""
    files = sorted(path for path in directory.rglob("*") if path.is_file() and path != directory / NAME)
    return [path.relative_to(directory).as_posix() for path in files]


def list_files(directory: Path) -> dict[str, dict[str, Any]]:
    """Return every file below `directory` but the manifest: relative path → bytes and sha256."""
    paths = {name: directory / name for name in file_names(directory)}
    return {name: {"bytes": path.stat().st_size, "sha256": file_digest(path)} for name, path in paths.items()}


def write_text_whole(path: Path, text: str) -> None:
    """Write `text` under a temporary name, flush it to the disk, then rename it into place."""
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)


def write(directory: Path, content: dict[str, Any]) -> None:
    """Write the manifest of a finished directory, with the digest of every file in it."""
    whole = {"format": FORMAT, **content, "files": list_files(directory)}
    write_text_whole(directory / NAME, json.dumps(whole, indent=2, ensure_ascii=False) + "\n")


def is_whole(directory: Path) -> bool:
    """Return whether the directory carries a manifest, hence was finished."""
    return (directory / NAME).is_file()


def read(directory: Path) -> dict[str, Any]:
    """Return the manifest of a dataset directory.

    Raises:
        DataError: there is none, it is no JSON object, or a later version of zephyr wrote it.
    """
    path = directory / NAME
    if not path.is_file():
        raise DataError(
            f"{directory} is not a finished dataset: it has no {NAME}",
            "run the command that makes it again; it continues where it stopped",
        )
    mend = "restore it from a copy or rebuild the dataset"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as fault:
        raise DataError(f"{path} is not valid JSON: {fault}", mend) from None
    if not isinstance(content, dict):
        raise DataError(f"{path} holds no JSON object", mend)
    if content.get("format") != FORMAT:
        raise DataError(
            f"{path} has format {content.get('format')!r}; this version reads {FORMAT}", "upgrade zephyr to read it"
        )
    return content
