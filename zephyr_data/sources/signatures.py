"""What a file holds that is not what its name says, by its first bytes."""

from pathlib import Path
from typing import NamedTuple

import polars as pl

from zephyr_data.sources.lines import UNREADABLE

HEAD = 512  # bytes to look at
NO_ROW = "it holds no row"


class Content(NamedTuple):
    """What a file is, after "is", and what to do about it."""

    what: str
    hint: str


AS_LINES = "write one JSON object per line: `jq -c '.[]' FILE > FILE.jsonl`"
ARRAY = Content("a JSON array", f"name it .json, or {AS_LINES}")
_UNPACK = "unpack it, and write one JSON object per line"
_SIGNATURES: tuple[tuple[bytes, str, Content], ...] = (  # first bytes in lower case, the kind they fit, content
    (b"version https://git-lfs", "", Content("a pointer of Git LFS", "fetch the file itself: `git lfs pull`")),
    (b"\x1f\x8b", "gzip", Content("gzip", "name it .jsonl.gz")),
    (b"\x28\xb5\x2f\xfd", "zstd", Content("zstd", "name it .jsonl.zst")),
    (b"par1", "parquet", Content("Parquet", "name it .parquet")),
    (b"bzh", "", Content("bzip2", _UNPACK)),
    (b"\xfd7zxz", "", Content("xz", _UNPACK)),
    (b"pk\x03\x04", "", Content("a zip archive", _UNPACK)),
    (b"<!doctype html", "", Content("an HTML page, perhaps an error of the server", "fetch it again")),
    (b"<html", "", Content("an HTML page, perhaps an error of the server", "fetch it again")),
    (b"<?xml", "", Content("XML, perhaps an error of the server", "fetch it again")),
)


def what_it_is(path: Path, kind: str) -> Content | None:
    """Return what a file of that kind is instead, or None if that cannot be seen."""
    with path.open("rb") as stream:
        stored = stream.read(HEAD)
    head = stored.removeprefix(b"\xef\xbb\xbf").lstrip()
    for first, own, content in _SIGNATURES:
        if head.lower().startswith(first) and own != kind:
            return content
    if stored[:64].count(b"\0") >= len(stored[:64]) // 3 > 0 and kind == "plain":
        return Content("UTF-16 without a byte-order mark, or no text at all", "convert it to UTF-8: `iconv`")
    if kind == "array" or head[:1] not in (b"[", b"{"):
        return None
    if kind != "plain":
        return Content("JSON", "name it .jsonl")
    if head.startswith(b"["):
        return ARRAY
    return Content("JSON that is not one object per line", "write one per line: `jq -c . FILE > FILE.jsonl`")


def count_objects(table: pl.DataFrame) -> int:
    """Return how many rows of a table that was read are objects of JSON or rows of a table, sound or not."""
    return table.height - int(table["dropped_by"].is_in([f"read/{fault}" for fault in UNREADABLE]).sum())


def fault_without_rows(path: Path, kind: str) -> str:
    """Return the fault of a file that has lines, but none that can be read."""
    other = what_it_is(path, kind)
    return f"holds no row that can be read: it is {other.what} ({other.hint})" if other else "holds no JSON object"
