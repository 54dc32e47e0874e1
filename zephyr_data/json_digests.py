"""Digests of rows' compact JSON: polars writes the contract's bytes, several times faster than row by row.

tests/zephyr_data/test_store.py checks it against `zephyr_core.keys.canonical_json`, character by character.
"""

import hashlib

import polars as pl

_VIEW, _INLINE = 16, 12  # bytes of a view, and of the longest text that is part of it
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
    """Return each row's JSON where polars wrote it: a copy of all of it would take as long as to encode it."""
    encoded = frame.select(pl.struct(pl.all()).struct.json_encode()).to_series().rechunk()
    array = encoded.to_arrow(compat_level=pl.CompatLevel.newest())  # views: size, start, number and place of the text
    _, views, *buffers = array.buffers()
    texts = [memoryview(buffer) for buffer in buffers]
    inline = memoryview(views)[array.offset * _VIEW : (array.offset + len(array)) * _VIEW]
    fields = inline.cast("i")
    return [
        texts[fields[at + 2]][fields[at + 3] : fields[at + 3] + fields[at]]
        if fields[at] > _INLINE
        else inline[at * 4 + 4 : at * 4 + 4 + fields[at]]
        for at in range(0, len(fields), 4)
    ]
