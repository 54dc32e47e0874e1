"""Raw files → blocks of whole lines, each with a key that depends on the content read so far.

A block is the unit that one worker handles and that a stopped run resumes from. The key is a digest of the file's name
and its content up to the end of the block: the same content is never processed twice, whatever the file's dates.
"""

import hashlib
import itertools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import polars as pl

from zephyr_core.manifest import file_digest
from zephyr_data.errors import SourceError
from zephyr_data.sources import arrays, decoders
from zephyr_data.sources.files import AGAIN, RawFile
from zephyr_data.sources.signatures import ARRAY, AS_LINES, what_it_is
from zephyr_data.sources.tables import column_names, count_rows, read_rows

BOM = b"\xef\xbb\xbf"
_BOMS = re.compile(rb"(?m)^(?:\xef\xbb\xbf)+")
CHANGED = "run the command again when nothing writes to it: finished blocks are kept"
BLOCK_BYTES = 16 * 2**20  # larger ones take more memory and page faults, smaller ones more time for patterns
BLOCK_ROWS = 5_000  # Parquet
STORED_BYTES = 2**16  # read of a compressed file at a time: what a damaged spot costs
LONGEST_LINE = 256 * 2**20
LARGEST_WHOLE = 512 * 2**20  # of a file that is one block, once it is unpacked; of Parquet as stored


@dataclass(frozen=True)
class Block:
    """Whole lines of a raw file (or rows of a Parquet file).

    `data` is None when the worker reads it from the file; what it reads must have the `digest`.
    """

    file: RawFile
    key: str
    first_line: int  # 1-based
    rows: int
    offset: int
    length: int
    stored_end: int  # bytes of the stored file read by then, for progress
    data: bytes | None = None
    is_cut_short: bool = False
    digest: bytes | None = None

    def read(self) -> bytes:
        """Return the block's bytes, without byte-order marks at the beginnings of lines.

        Raises:
            SourceError: the file has changed.
        """
        data = self._stored() if self.data is None else self.data
        has_marks = data.startswith(BOM) or b"\n" + BOM in data
        return _BOMS.sub(b"", data) if has_marks else data

    def _stored(self) -> bytes:
        with self.file.path.open("rb") as stream:
            stream.seek(self.offset)
            data = stream.read(self.length)
        if self.digest is not None and hashlib.sha256(data).digest() != self.digest:
            raise SourceError(f"{self.file.path} changed while it was read", CHANGED)
        return data

    def columns(self) -> list[str]:
        """Return the names of the columns; the file is Parquet.

        Raises:
            SourceError: the file is damaged, or the type of a column cannot be read.
        """
        return column_names(self.file.path, error=SourceError, hint=AGAIN)

    def table(self, columns: Iterable[str] | None = None) -> pl.DataFrame:
        """Return columns of the block's rows; the file is Parquet.

        Raises:
            SourceError: the file is damaged, lacks a column, or does not give the rows that its footer counts.
        """
        rows = read_rows(self.file.path, self.offset, self.length, columns, error=SourceError, hint=AGAIN)
        if rows.height != self.length:
            place = f"of the {self.length:,} rows from row {self.first_line:,} on"
            raise SourceError(f"{self.file.path} gives {rows.height:,} {place}", AGAIN)
        return rows

    def lines(self) -> Iterator[tuple[int, bytes, bool]]:
        """Yield each non-blank line's number, bytes and whether it is cut short."""
        lines = self.read().split(b"\n")
        if not lines[-1]:
            lines.pop()
        last = self.first_line + len(lines) - 1
        for number, line in enumerate(lines, start=self.first_line):
            if line.strip():
                yield number, line, self.is_cut_short and number == last


@dataclass(frozen=True)
class FileRead:
    """What is known about a raw file once it has been read to its end."""

    file: RawFile
    bytes: int
    sha256: str
    lines: int
    fault: str | None = None  # why the file ended early
    note: str | None = None  # what else was noticed


def read_blocks(file: RawFile, block_bytes: int = BLOCK_BYTES) -> Iterator[Block | FileRead]:
    """Yield the blocks of a file in order, then what was read.

    Raises:
        SourceError: its byte-order mark is not UTF-8's, a line never ends, a Parquet file is unreadable, or rows that
            belong together are too many.
    """
    items = (
        _parquet_blocks(file) if file.is_table else _line_blocks(file, LARGEST_WHOLE if file.is_whole else block_bytes)
    )
    for item in items:
        if file.is_whole and isinstance(item, Block) and item.first_line > 1:
            raise _too_large(file)
        yield item


def _too_large(file: RawFile) -> SourceError:
    return SourceError(
        f"{file.path} has one answer a row and more than {LARGEST_WHOLE >> 20} MiB: a prompt may have rows anywhere",
        "split it between two prompts; one run can take the parts",
    )


def _line_blocks(file: RawFile, block_bytes: int) -> Iterator[Block | FileRead]:
    stream = _Stream(file)
    content = hashlib.sha256()
    line, offset = 1, 0
    for data in _whole_lines(stream.chunks(block_bytes), file, block_bytes):
        if offset == 0 and data.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise SourceError(f"{file.path} is UTF-16", "convert it: `iconv -f UTF-16 -t UTF-8`")
        if offset == 0 and data.removeprefix(BOM).lstrip().partition(b"\n")[0].rstrip() == b"[":
            raise SourceError(f"{file.path} is {ARRAY.what}", ARRAY.hint)
        content.update(data)
        rows = data.count(b"\n") + (not data.endswith(b"\n"))
        cut = stream.fault is not None and not data.endswith(b"\n")
        key = _key(file, content.hexdigest())
        block = Block(file, key, line, rows, offset, len(data), stream.bytes, data, cut)
        yield block if file.kind != "plain" else replace(block, data=None, digest=hashlib.sha256(data).digest())
        line += rows
        offset += len(data)
    digest = content if file.kind == "plain" else stream.digest
    fault = stream.fault and f"{stream.fault}, after line {line - 1}"
    yield FileRead(file, stream.bytes, digest.hexdigest(), line - 1, fault, stream.note)


def _key(file: RawFile, content: str) -> str:
    return hashlib.sha256(f"{file.source}\n{file.name}\n{content}".encode()).hexdigest()


def _whole_lines(chunks: Iterator[bytes], file: RawFile, block_bytes: int) -> Iterator[bytes]:
    pending: list[bytes] = []
    pending_bytes = 0
    for chunk in chunks:
        end = chunk.rfind(b"\n") + 1
        if end and pending_bytes + len(chunk) >= block_bytes:
            yield b"".join([*pending, chunk[:end]])
            pending, pending_bytes = [chunk[end:]], len(chunk) - end
        else:
            pending.append(chunk)
            pending_bytes += len(chunk)
        if not end and pending_bytes > LONGEST_LINE:
            raise SourceError(
                f"{file.path} has a line of more than {LONGEST_LINE >> 20} MiB",
                "JSON Lines needs one object per line; convert a JSON array with `jq -c '.[]'`",
            )
    if pending_bytes:
        yield b"".join(pending)


class _Stream:
    """A raw file's decompressed bytes, its size and digest as stored, and why it ended early, if it did."""

    def __init__(self, file: RawFile) -> None:
        self.file = file
        self.digest = hashlib.sha256()
        self.bytes = 0
        self.fault: str | None = None
        self.note: str | None = None

    def chunks(self, size: int) -> Iterator[bytes]:
        if self.file.kind == "plain":
            yield from self._stored(size)
        elif self.file.kind == "array":
            yield from self._rows(size)
        else:
            is_gzip = self.file.kind == "gzip"
            decoder: decoders.Decoder = decoders.GzipDecoder() if is_gzip else decoders.ZstdDecoder(str(self.file.path))
            try:
                for stored in self._stored(STORED_BYTES):
                    yield from decoder.decode(stored)
                if not decoder.is_at_end():
                    self.fault = "ends inside a compressed block"
            except decoders.DAMAGE as fault:
                other = what_it_is(self.file.path, self.file.kind)
                self.fault = f"is not {self.file.kind} but {other.what}: {other.hint}" if other else None
                self.fault = self.fault or f"is damaged after {self.bytes:,} bytes: {fault}"
                for _ in self._rest:
                    pass  # the digest covers the whole file
            if decoder.trailing:
                self.note = f"{decoder.trailing:,} bytes after its last gzip member were ignored"

    def _rows(self, size: int) -> Iterator[bytes]:
        """Yield the rows of an array as lines, in pieces of about `size` bytes."""
        parts: list[bytes] = []
        for part in self._stored(size):
            parts.append(part)
            if self.bytes > arrays.LARGEST:
                raise SourceError(f"{self.file.path} is an array of more than {arrays.LARGEST >> 20} MiB", AS_LINES)
        lines, waiting = [], 0
        try:
            for line in arrays.rows_of(b"".join(parts)):
                lines.append(line)
                waiting += len(line)
                if waiting >= size:
                    yield b"".join(lines)
                    lines, waiting = [], 0
        except arrays.BrokenArray as fault:
            self.fault = str(fault)
        yield b"".join(lines)

    def _stored(self, size: int) -> Iterator[bytes]:
        self._rest = self._read(size)
        return self._rest

    def _read(self, size: int) -> Iterator[bytes]:
        with self.file.path.open("rb") as stream:
            while stored := stream.read(size):
                if self.file.kind != "plain":  # a plain file's content is what is stored
                    self.digest.update(stored)
                self.bytes += len(stored)
                yield stored


def _parquet_blocks(file: RawFile) -> Iterator[Block | FileRead]:
    try:
        rows = count_rows(file.path, error=SourceError, hint=AGAIN)
    except SourceError:
        other = what_it_is(file.path, file.kind) if file.path.is_file() else None
        if other is None:
            raise
        raise SourceError(f"{file.path} is not Parquet but {other.what}", other.hint) from None
    digest = file_digest(file.path)
    size = file.path.stat().st_size
    if file.is_whole and size > LARGEST_WHOLE:
        raise _too_large(file)
    block_rows = max(rows, 1) if file.is_whole else BLOCK_ROWS
    for start in range(0, rows, block_rows):
        key = _key(file, f"{digest}\n{start}")
        count = min(block_rows, rows - start)
        yield Block(file, key, start + 1, count, start, count, size * (start + count) // rows)
    yield FileRead(file, size, digest, rows)


def take(items: Iterator[Block | FileRead], rows: int) -> Iterator[Block | FileRead]:
    """Yield blocks until they hold `rows` rows, the last one shortened; blank lines are not rows."""
    for item in items:
        if isinstance(item, FileRead):
            yield item
            continue
        item_rows = item.length if item.file.is_table else sum(1 for _ in item.lines())
        yield item if item_rows <= rows else _shortened(item, rows)
        rows -= item_rows
        if rows <= 0:
            return


def _shortened(block: Block, rows: int) -> Block:
    key = hashlib.sha256(f"{block.key} {rows}".encode()).hexdigest()
    if block.file.is_table:
        return replace(block, key=key, rows=rows, length=rows)
    last = next(itertools.islice(block.lines(), rows - 1, None))[0]
    lines = last - block.first_line + 1
    shorter = b"".join(line + b"\n" for line in block.read().split(b"\n")[:lines])
    stored_end = block.offset + len(shorter) if block.file.kind == "plain" else block.stored_end
    return replace(
        block, key=key, rows=lines, length=len(shorter), stored_end=stored_end, data=shorter, is_cut_short=False
    )
