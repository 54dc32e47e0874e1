"""The bytes inside a gzip or zstd file: several members or frames are one stream; a limit is not damage."""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import suppress
from typing import Protocol

import zstandard

from zephyr_data.errors import SourceError

DAMAGE = (zlib.error, gzip.BadGzipFile, zstandard.ZstdError)  # what decoding raises
WINDOW = 2**29  # bytes: of zstd's windows, the largest that is decoded; it takes as much memory
_MEMBER = b"\x1f\x8b"
_PIECE = 8 * 2**20
_FRAME_HEADER = 18  # bytes, at most


class Decoder(Protocol):
    """Decodes a file of one or more members, in bounded pieces."""

    trailing: int  # bytes after the last member, which are ignored

    def decode(self, stored: bytes) -> Iterator[bytes]:
        """Yield what the next stored bytes hold."""

    def is_at_end(self) -> bool:
        """Return whether the last member is whole."""


class GzipDecoder:
    """Decodes gzip. Like `gzip -d`, it stops at bytes after a member that begin no other; zeros are padding."""

    def __init__(self) -> None:
        self.trailing = 0
        self._member = zlib.decompressobj(wbits=31)
        self._is_fresh, self._between = True, b""

    def decode(self, stored: bytes) -> Iterator[bytes]:
        """Yield what the next stored bytes hold.

        Raises:
            zlib.error: they are damaged.
        """
        stored, self._between = self._between + stored, b""
        while stored:
            if self._member.eof:
                stored = self._start(stored)
                continue
            piece = self._member.decompress(stored, _PIECE)
            self._is_fresh = False
            if piece:
                yield piece
            stored = self._member.unused_data if self._member.eof else self._member.unconsumed_tail

    def _start(self, stored: bytes) -> bytes:
        """Return the bytes of the member that begins here; none if no member does, or it cannot be seen yet."""
        stored = stored if self.trailing else stored.lstrip(b"\0")
        if not self.trailing and stored.startswith(_MEMBER):
            self._member, self._is_fresh = zlib.decompressobj(wbits=31), True
            return stored
        if not self.trailing and stored == _MEMBER[:1]:
            self._between = stored
        elif _MEMBER + b"\x08" in stored:
            raise gzip.BadGzipFile("bytes between two members are not of gzip")
        else:
            self.trailing += len(stored)
        return b""

    def is_at_end(self) -> bool:
        """Return whether the last member is whole."""
        self.trailing += len(self._between)
        return self._member.eof or self._is_fresh


class ZstdDecoder:
    """Decodes zstd, with windows of up to 512 MiB."""

    def __init__(self, name: str) -> None:
        self.trailing = 0
        self._name = name
        self._head, self._is_fresh = b"", True
        self._frame = self._next_frame()

    def decode(self, stored: bytes) -> Iterator[bytes]:
        """Yield what the next stored bytes hold.

        Raises:
            SourceError: a frame needs a larger window.
            zstandard.ZstdError: they are damaged.
        """
        while stored:
            if self._frame.eof:
                self._frame = self._next_frame()
            self._is_fresh = False
            self._head += stored[: _FRAME_HEADER - len(self._head)]
            try:
                piece = self._frame.decompress(stored)
            except zstandard.ZstdError:
                self._refuse_large_window()
                raise
            if piece:
                yield piece
            stored = self._frame.unused_data if self._frame.eof else b""

    def _next_frame(self) -> "zstandard.ZstdDecompressionObj":
        self._head = b""
        return zstandard.ZstdDecompressor(max_window_size=WINDOW).decompressobj()

    def _refuse_large_window(self) -> None:
        window = 0
        with suppress(zstandard.ZstdError):  # no frame begins here
            window = zstandard.get_frame_parameters(self._head).window_size
        if window > WINDOW:
            raise SourceError(
                f"{self._name} needs a window of {window >> 20:,} MiB to be decompressed, more than {WINDOW >> 20} MiB",
                f"decompress it first: `zstd -d --long=31 {self._name}`",
            )

    def is_at_end(self) -> bool:
        """Return whether the last frame is whole."""
        return self._frame.eof or self._is_fresh
