"""Digests of rows' compact JSON: polars writes the bytes of the contract, several times faster than row by row.

tests/zephyr_data/test_store.py holds it to `zephyr_core.keys.canonical_json`, character by character.
"""

import hashlib
import itertools

import polars as pl
import pyarrow as pa


def row_digests_of(frame: pl.DataFrame) -> list[bytes]:
    """Return the sha256 of each row's compact JSON object, its columns in their order."""
    return [hashlib.sha256(line).digest() for line in _lines(frame)]


def list_keys(texts: pl.Series) -> list[str | None]:
    """Return `zephyr_core.keys.row_key` of each list of texts, null for null."""
    lines = _lines(pl.DataFrame({"t": texts}))
    before, after = len(b'{"t":'), len(b"}")
    keys = [hashlib.sha256(line[before : len(line) - after]).hexdigest() for line in lines]
    return [None if is_null else key for key, is_null in zip(keys, texts.is_null(), strict=True)]


def _lines(frame: pl.DataFrame) -> list[memoryview]:
    lines = frame.select(pl.struct(pl.all()).struct.json_encode()).to_series().to_arrow().cast(pa.large_string())
    if not len(lines):
        return []
    ends = memoryview(lines.buffers()[1]).cast("q")[lines.offset : lines.offset + len(lines) + 1]
    text = memoryview(lines.buffers()[2])
    return [text[start:end] for start, end in itertools.pairwise(ends)]
