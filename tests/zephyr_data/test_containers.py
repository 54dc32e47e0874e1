"""Files as people have them: marks, long windows, trailing bytes, other contents, changes while they are read."""

import gzip
import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import zstandard

from tests.conftest import dialogue
from tests.zephyr_data.conftest import Command
from zephyr_core.errors import PartlyDone
from zephyr_core.manifest import read as read_manifest
from zephyr_data.engine import inputs
from zephyr_data.errors import SourceError
from zephyr_data.sources.blocks import Block, FileRead, read_blocks
from zephyr_data.sources.files import local_files
from zephyr_data.sources.parse import parse

Clean = Callable[..., dict[str, Any]]
Write = Callable[..., Path]
BOM = b"\xef\xbb\xbf"
LINES = [dialogue(f"What is a plum, number {number}?", "A plum is a fruit.").encode() + b"\n" for number in range(3)]
PLAIN = b"".join(LINES)
compressed = partial(gzip.compress, mtime=0)


def items(path: Path) -> list[Block | FileRead]:
    (file,) = local_files(str(path)).files
    return list(read_blocks(file))


def reasons(path: Path) -> list[str | None]:
    blocks = [item for item in items(path) if isinstance(item, Block)]
    return [reason for block in blocks for reason in parse(block)[0]["dropped_by"]]


def long_zstd(window_log: int) -> bytes:
    parameters = zstandard.ZstdCompressionParameters.from_level(3, window_log=window_log)
    frame = zstandard.ZstdCompressor(compression_params=parameters).compressobj()  # of unknown size, as from a pipe
    return frame.compress(PLAIN) + frame.flush()


SOUND: dict[str, bytes] = {
    "marks.jsonl": b"".join(BOM + line for line in LINES),
    "a later mark.jsonl": LINES[0] + BOM + LINES[1] + LINES[2],
    "marks at a joint.jsonl": BOM + LINES[0] + BOM + BOM + LINES[1] + LINES[2],
    "marks, slowly.jsonl": BOM + LINES[0] + BOM + LINES[1].replace(b'"data"', b' "x": NaN, "data"') + BOM + LINES[2],
    "marks.jsonl.gz": b"".join(compressed(BOM + line) for line in LINES),
    "marks.jsonl.zst": b"".join(zstandard.compress(BOM + line) for line in LINES),
    "window.jsonl.zst": long_zstd(29),
    "line end.jsonl.gz": compressed(PLAIN) + b"\n",
    "trailing.jsonl.gz": compressed(PLAIN) + b"signature",
    "one byte.jsonl.gz": compressed(PLAIN) + b"\x1f",
    "padding.jsonl.gz": compressed(PLAIN) + bytes(512),
    "padding between.jsonl.gz": compressed(LINES[0]) + bytes(70_000) + compressed(LINES[1] + LINES[2]),
}


@pytest.mark.parametrize("name", SOUND)
def test_nothing_is_missing(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / name
    path.write_bytes(SOUND[name])
    for stored_bytes in (2**16, 1):
        monkeypatch.setattr("zephyr_data.sources.blocks.STORED_BYTES", stored_bytes)
        if stored_bytes > 1 or len(SOUND[name]) < 1000:
            assert reasons(path) == [None] * 3
            (read,) = (item for item in items(path) if isinstance(item, FileRead))
            assert read.fault is None
            trailing = {"line end.jsonl.gz": 1, "trailing.jsonl.gz": 9, "one byte.jsonl.gz": 1}.get(name)
            expected = trailing and f"{trailing} bytes after its last gzip member were ignored"
            assert read.note == expected


@pytest.mark.parametrize(("log", "size"), [(30, "1,024"), (31, "2,048")])
def test_a_limit_is_named_and_is_not_damage(log: int, size: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl.zst"
    path.write_bytes(long_zstd(log))
    with pytest.raises(SourceError, match=rf"rows\.jsonl\.zst needs a window of {size} MiB") as caught:
        items(path)
    assert "zstd -d --long=31" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl.gz", compressed(LINES[0]) + b"xx" + compressed(LINES[1])),
        ("a.jsonl.gz", compressed(LINES[0]) + compressed(LINES[1])[:-9]),
        ("a.jsonl.zst", zstandard.compress(LINES[0]) + b"trailing bytes"),
    ],
)
def test_what_may_hold_rows_is_damage(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    (read,) = (item for item in items(tmp_path / name) if isinstance(item, FileRead))
    assert read.fault is not None and re.search(
        "is damaged .*, after line 1$|ends inside .*, after line 2$", read.fault
    ), read


# ---- a file that is something else ---------------------------------------------------------------


FOREIGN: dict[str, tuple[str, bytes, str]] = {
    "lfs": (".jsonl", b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n", "Git LFS"),
    "html": (".jsonl", b"<!DOCTYPE html>\n<html><body>secret token 123</body></html>\n", "an HTML page"),
    "xml": (".ndjson", b'<?xml version="1.0"?>\n<Error><Code>AccessDenied</Code></Error>\n', "XML"),
    "gzip": (".jsonl", compressed(PLAIN), "gzip"),
    "zstd": (".jsonl", zstandard.compress(PLAIN), "zstd"),
    "one object": (".jsonl", json.dumps(json.loads(LINES[0]), indent=2).encode(), "not one object per line"),
    "utf16": (".jsonl", PLAIN.decode().encode("utf-16-le"), "UTF-16"),
    "text": (".jsonl", b"some notes\nsecret token 123\n", "holds no JSON object"),
    "plain": (".jsonl.gz", PLAIN, "is not gzip but JSON: name it .jsonl"),
    "zstd as gzip": (".jsonl.gz", zstandard.compress(PLAIN), "is not gzip but zstd"),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_file_without_a_row_is_a_fault_of_the_file(kind: str, tmp_path: Path, clean: Clean) -> None:
    suffix, content, what = FOREIGN[kind]
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows" / "a.jsonl").write_bytes(PLAIN)
    (tmp_path / "rows" / f"b{suffix}").write_bytes(content)
    with pytest.raises(PartlyDone, match=what):
        clean(tmp_path / "rows")
    entry = read_manifest(tmp_path / "out")["inputs"][1]  # type: ignore[typeddict-item]
    assert what in entry["fault"]
    assert "secret" not in str(pl.read_parquet(tmp_path / "out" / "audit" / "dropped.parquet").rows())
    with pytest.raises(SourceError, match=what):
        clean(tmp_path / "rows" / f"b{suffix}", out="alone")


@pytest.mark.parametrize("content", [b"[\n" + b",\n".join(line.strip() for line in LINES) + b"\n]\n", b" [\r\n {}\n]"])
def test_an_array_is_refused(content: bytes, tmp_path: Path, clean: Clean) -> None:
    (tmp_path / "rows.jsonl").write_bytes(BOM + content)
    with pytest.raises(SourceError, match=r"rows\.jsonl is a JSON array") as caught:
        clean(tmp_path / "rows.jsonl")
    assert "jq" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("content", "what"), [(FOREIGN["lfs"][1], "Git LFS"), (PLAIN, "JSON"), (compressed(b"x"), "gzip")]
)
def test_a_parquet_file_that_is_something_else(content: bytes, what: str, tmp_path: Path) -> None:
    (tmp_path / "rows.parquet").write_bytes(content)
    with pytest.raises(SourceError, match=rf"rows\.parquet is not Parquet but .*{what}"):
        items(tmp_path / "rows.parquet")


# ---- what is shown -------------------------------------------------------------------------------


def test_plan_closing_table_and_manifest_name_what_was_passed_over(tmp_path: Path, command: Command) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "far.jsonl").write_bytes(LINES[0])
    rows = tmp_path / "rows"
    rows.mkdir()
    (rows / "a.jsonl").write_bytes(LINES[1])
    (rows / "empty.jsonl").write_bytes(b"")
    (rows / "sub").symlink_to("../real")
    (rows / "gone.jsonl").symlink_to("nowhere")
    (rows / "b.json").write_text("[]")
    shown = (
        f"read through links: sub/far.jsonl → {tmp_path}/real/far.jsonl",
        "noticed: empty.jsonl (it holds no row)",
        "not read: b.json (read only if it is named), gone.jsonl (a link that leads nowhere)",
    )
    for words in (["--dry-run"], [], []):
        ended = command("data", "clean-ultrachat", "rows", "--out=out", *words)
        assert ended.code == 0 and all(line in ended.out for line in shown), ended
    content: Any = read_manifest(tmp_path / "out")
    assert [entry["file"] for entry in content["passed_over"]] == ["b.json", "gone.jsonl"]
    assert [entry["real_path"] for entry in content["inputs"]] == [None, None, f"{tmp_path}/real/far.jsonl"]
    assert command("data", "clean-ultrachat", "rows/gone.jsonl", "--out=o").refuses(2, "a link that leads nowhere")


# ---- changes -------------------------------------------------------------------------------------


def appended(path: Path) -> None:
    with path.open("ab") as stream:
        stream.write(LINES[2])


def replaced(path: Path) -> None:
    other = path.with_suffix(".new")
    other.write_bytes(path.read_bytes())
    other.replace(path)


def touched(path: Path) -> None:
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))


@pytest.mark.parametrize("change", [appended, replaced, touched])
@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz", ".parquet"])
def test_a_file_that_changes_while_it_is_read(
    suffix: str, change: Callable[[Path], None], tmp_path: Path, clean: Clean, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"rows{suffix}"
    if suffix == ".parquet":
        pl.DataFrame({"data": [json.loads(line)["data"] for line in LINES]}).write_parquet(path)
    else:
        path.write_bytes(compressed(PLAIN) if suffix.endswith("gz") else PLAIN)

    def blocks_and_change(file: Any) -> Iterator[Block | FileRead]:
        yield from read_blocks(file)
        change(path)

    with monkeypatch.context() as patch:
        patch.setattr(inputs, "read_blocks", blocks_and_change)
        with pytest.raises(SourceError, match=r"rows\S* changed while it was read"):
            clean(path)
    assert not (tmp_path / "out").exists()
    if change is not appended:
        assert clean(path)["counts"]["kept_rows"] == 3


def test_a_worker_reads_what_was_planned(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(PLAIN)
    (block,) = (item for item in items(path) if isinstance(item, Block))
    status = path.stat()
    path.write_bytes(PLAIN.replace(b"plum", b"pear"))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(SourceError, match="changed while it was read"):
        parse(block)


def test_the_rows_of_a_table_are_those_of_its_footer(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    pl.DataFrame({"data": [["Hi", "Hello"]] * 3}).write_parquet(path)
    (block,) = (item for item in items(path) if isinstance(item, Block))
    with pytest.raises(SourceError, match="gives 3 of the 4 rows from row 1 on"):
        parse(replace(block, length=4))


# ---- the second reader ---------------------------------------------------------------------------


UNUSED = {
    "NaN": b'"x": NaN',
    "a repeated key": b'"x": 1, "x": 2',
    "a repeated key inside": b'"x": {"a": 1, "a": 2}',
    "bytes": b'"x": "\xff"',
    "infinities": b'"x": -Infinity, "y": 1e999',
    "a long number": b'"x": ' + b"7" * 5000,
    "half a pair": b'"x": "\\ud83d"',
    "a repeated id": b'"id": 1, "id": 2',
    "half a pair as id": b'"id": "\\ud83d"',
    "bytes as id": b'"id": "\xff"',
}


@pytest.mark.parametrize("kind", UNUSED)
@pytest.mark.parametrize("step", ["clean-ultrachat", "binarize"])
def test_only_used_columns_are_judged(step: str, kind: str, tmp_path: Path, command: Command) -> None:
    rated = [
        json.dumps(
            {"prompt": f"p{number}", "responses": [{"response": text, "score": len(text)} for text in ("a", "bb")]}
        )
        for number in range(3)
    ]
    lines = LINES if step == "clean-ultrachat" else [line.encode() + b"\n" for line in rated]
    (tmp_path / "rows.jsonl").write_bytes(
        b"".join(b"{" + UNUSED[kind] + b', "id": 1e400, ' + line[1:] for line in lines)
    )
    assert command("data", step, "rows.jsonl", "--out=odd").code == 0
    (tmp_path / "rows.jsonl").write_bytes(b"".join(lines))
    assert command("data", step, "rows.jsonl", "--out=plain").code == 0
    odd, plain = (read_manifest(tmp_path / name) for name in ("odd", "plain"))
    assert odd["splits"] == plain["splits"] and odd["counts"] == plain["counts"]  # type: ignore[typeddict-item]
