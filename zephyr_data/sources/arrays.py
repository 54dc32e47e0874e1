"""A JSON array → the JSON Lines that say the same: row N of the array is line N, with its text as it was written."""

import json
import re
from collections.abc import Iterator

LARGEST = 512 * 2**20  # bytes of an array, which is read at once
_SPACE = re.compile(r"[ \t\r\n]*")
_BREAKS = str.maketrans("\r\n", "  ")  # inside a text they are written otherwise
_DECODER = json.JSONDecoder(parse_int=float)  # whole numbers of any length


class BrokenArray(ValueError):
    """An array is damaged; `row` is the first that cannot be read."""

    def __init__(self, row: int, why: str) -> None:
        super().__init__(f"is broken at row {row} of its array: {why}")


def is_array(head: bytes) -> bool:
    """Return whether a file that begins so holds an array."""
    return head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"[")


def rows_of(content: bytes) -> Iterator[bytes]:
    """Yield each row of an array as a line, with its end.

    Raises:
        BrokenArray: after the last row that can be read.
    """
    text = content.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
    row, place = 1, _after_space(text, _after_space(text, 0) + 1)
    is_at_end = text[place : place + 1] == "]"
    while not is_at_end:
        try:
            _, end = _DECODER.raw_decode(text, place)
        except json.JSONDecodeError as fault:
            raise BrokenArray(row, f"{fault.msg} at character {fault.pos + 1:,} of the file") from None
        except RecursionError:
            raise BrokenArray(row, "it is nested too deeply") from None
        yield text[place:end].translate(_BREAKS).encode("utf-8", "surrogateescape") + b"\n"
        row, place = row + 1, _after_space(text, end)
        is_at_end = text[place : place + 1] == "]"
        if not is_at_end and text[place : place + 1] != ",":
            raise BrokenArray(row, "the array does not end" if place == len(text) else "no comma stands before it")
        place = place if is_at_end else _after_space(text, place + 1)
    if _after_space(text, place + 1) != len(text):
        raise BrokenArray(row, "the array has ended, but the file goes on")


def _after_space(text: str, place: int) -> int:
    match = _SPACE.match(text, place)
    return place if match is None else match.end()
