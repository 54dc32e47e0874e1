"""Digests of rows' compact JSON: polars writes the contract's bytes, several times faster than row by row.

tests/zephyr_data/test_store.py checks it against `zephyr_core.keys.canonical_json`, character by character.
"""

import hashlib
import itertools

import polars as pl
import pyarrow as pa

_FIRST_MESSAGE, _NEXT_MESSAGE = b'[{"content":"', b',{"content":"'


def row_digests_of(frame: pl.DataFrame) -> list[bytes]:
    """Return the sha256 of each row's compact JSON object, columns in order."""
    return [hashlib.sha256(line).digest() for line in _lines(frame)]


def message_digests(frame: pl.DataFrame) -> tuple[list[bytes], list[bytes]]:
    """Return the digests of rows that end with the list `messages`, and of the rows without their last message.

    The part they share is encoded and hashed once. JSON escapes quotation marks inside a text, so the start of the last
    message can be found in the bytes.
    """
    whole, shorter = [], []
    for line in _lines(frame):
        text = bytes(line)
        end = text.rfind(_NEXT_MESSAGE)
        if end < 0:  # there is only one
            end = text.rfind(_FIRST_MESSAGE) + 1
        common = hashlib.sha256(text[:end])
        without = common.copy()
        without.update(b"]}")
        common.update(text[end:])
        whole.append(common.digest())
        shorter.append(without.digest())
    return whole, shorter


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
