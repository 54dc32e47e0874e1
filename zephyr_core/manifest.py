"""The manifest of a finished folder: written last, so that its presence means the folder is whole.

It lists every file with its digest and ends with a digest of itself.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from zephyr_core import keys
from zephyr_core.errors import DataError
from zephyr_core.reading import checked
from zephyr_core.records import (
    AnyManifest,
    DatasetManifest,
    FileEntry,
    Manifest,
    ModelManifest,
    ReferenceManifest,
    StudentManifest,
    TokensManifest,
)
from zephyr_core.shape import misfit
from zephyr_core.temporary import whole_file

NAME = "manifest.json"
FORMAT = 2
UNSEALED = 1  # the format before the manifest had a digest of itself
RESTORE = "restore it from a copy, or run the command that made the folder again"


_TYPES: dict[str, type[AnyManifest]] = {
    "dialogues": DatasetManifest,
    "pairs": DatasetManifest,
    "model": ModelManifest,
    "reference": ReferenceManifest,
    "tokens": TokensManifest,
    "student": StudentManifest,
}
Type = TypeVar("Type", bound=Mapping[str, object])


def file_digest(path: Path) -> str:
    """Return the hex sha256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def file_names(directory: Path) -> list[str]:
    """Return the relative path of every file below `directory` except the manifest."""
    files = sorted(path for path in directory.rglob("*") if path.is_file() and path != directory / NAME)
    return [path.relative_to(directory).as_posix() for path in files]


def list_files(directory: Path) -> dict[str, FileEntry]:
    """Return every file below `directory` except the manifest: relative path → bytes, sha256 and time of change."""
    paths = {name: directory / name for name in file_names(directory)}
    return {name: file_entry(path) for name, path in paths.items()}


def file_entry(path: Path) -> FileEntry:
    """Return what is recorded of a file: bytes, sha256 and time of change."""
    status = path.stat()
    return {"bytes": status.st_size, "sha256": file_digest(path), "mtime_ns": status.st_mtime_ns}


def write_text_whole(path: Path, text: str) -> None:
    """Write `text` under a temporary name, flush it to the disk, then rename it into place."""
    with whole_file(path) as temporary, temporary.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())


def write_json(path: Path, content: object) -> None:
    """Write `content` as JSON that people can read, whole or not at all."""
    write_text_whole(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def write(directory: Path, content: Mapping[str, object], files: Mapping[str, FileEntry] | None = None) -> None:
    """Write the manifest of a finished directory, with the digest of itself and of its files: those given, or all."""
    whole = {"format": FORMAT, **content, "files": list_files(directory) if files is None else dict(files)}
    write_json(directory / NAME, {**whole, "self_digest": self_digest(whole)})


def self_digest(content: Mapping[str, object]) -> str:
    """Return the hex sha256 of a manifest's content but for the digest itself, keys in order of their names."""
    own = {name: value for name, value in content.items() if name != "self_digest"}
    return keys.text_key(json.dumps(own, sort_keys=True))  # ASCII: a damaged text may hold half a surrogate pair


def is_whole(directory: Path) -> bool:
    """Return whether the directory has a manifest, so was finished."""
    return (directory / NAME).is_file()


def read(directory: Path) -> Manifest:
    """Return the part of a finished folder's manifest that every kind has.

    Raises:
        DataError: there is none, it is damaged (the key is named), or a later version of zephyr wrote it.
    """
    return read_as(directory, Manifest)


def read_any(directory: Path) -> AnyManifest:
    """Return the manifest of a finished folder, by its kind.

    Raises:
        DataError: as `read`; or this version does not know the kind.
    """
    kind = read(directory)["kind"]
    if kind not in _TYPES:
        raise DataError(f"{directory / NAME}: kind is {kind!r}, not {', '.join(_TYPES)}", RESTORE)
    return read_as(directory, _TYPES[kind])


def find(directory: Path) -> AnyManifest | None:
    """Return the manifest of a finished folder, by its kind; None if there is no readable one."""
    try:
        return read_any(directory)
    except DataError:
        return None


def as_dataset(content: AnyManifest | None) -> DatasetManifest | None:
    """Return the manifest if it is a dataset's, else None."""
    return content if content and (content["kind"] == "dialogues" or content["kind"] == "pairs") else None


def read_as(directory: Path, kind: type[Type]) -> Type:
    """Return the manifest of a finished folder, every key checked against its type.

    Raises:
        DataError: there is none, it is of another kind or damaged (the key is named), or a later version wrote it.
    """
    path = directory / NAME
    if not path.is_file():
        raise DataError(
            f"{directory} is not a finished dataset: it has no {NAME}",
            "give a finished one, or run the command that makes it: a stopped one continues",
        )
    content = checked(path, hint=RESTORE)
    if not isinstance(content, dict):
        raise DataError(f"{path} does not hold a JSON object", RESTORE)
    if content.get("format") not in (UNSEALED, FORMAT):
        raise DataError(
            f"{path} has format {content.get('format')!r}; this version reads {FORMAT}", "upgrade zephyr to read it"
        )
    wrong = misfit(content, kind)
    if not wrong and content["format"] == FORMAT and content.get("self_digest") != self_digest(content):
        wrong = "its content does not have the digest that it records"
    if wrong:
        raise DataError(f"{path} is damaged: {wrong}", RESTORE)
    fitted: Type = content  # type: ignore[assignment]
    return fitted
