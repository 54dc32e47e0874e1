"""The bare form of a text: accents in one character and nothing invisible inside words, so that a word is one word."""

import re
import unicodedata
from functools import cached_property

from zephyr_core.texts import UNSEEN

_MARKS = "\u0300-\u036f\u0483-\u0487\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"  # combining ones
_ODD = re.compile(f"[{_MARKS}{UNSEEN}]")
_ODD_CLUSTER = re.compile(f"(?s)[^{_MARKS}{UNSEEN}]?[{_MARKS}{UNSEEN}]+")
_CLUSTER = re.compile(f"(?s).[{_MARKS}{UNSEEN}]*")


def is_bare(text: str) -> bool:
    """Return whether a text is its own bare form."""
    return text.isascii() or _ODD.search(text) is None


class Bare:
    """A text without them, and the way back for its letters."""

    def __init__(self, text: str) -> None:
        self._whole = text
        self.text = _ODD_CLUSTER.sub(_bare_letter, text)

    @cached_property
    def _starts(self) -> list[int]:
        clusters = [match for match in _CLUSTER.finditer(self._whole) if not _ODD.match(match[0])]
        return [match.start() for match in clusters]

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Return the span in the whole text of one in the bare text."""
        return self._starts[start], self._starts[end] if end < len(self._starts) else len(self._whole)

    def recased(self, restored: str) -> str:
        """Return the whole text with the case of the bare one after it was restored."""
        letters = list(self._whole)
        for index, (before, after) in enumerate(zip(self.text, restored, strict=True)):
            if before != after:
                at = self._starts[index]
                letters[at] = after if letters[at] == before else unicodedata.normalize("NFD", after)[0]
        return "".join(letters)


def _bare_letter(cluster: re.Match[str]) -> str:
    """Return the letter of a cluster with its marks; none if it has none."""
    first = cluster[0][0]
    return "" if _ODD.match(first) else unicodedata.normalize("NFC", _ODD.sub(_kept, cluster[0]))[0]


def _kept(odd: re.Match[str]) -> str:
    return odd[0] if unicodedata.combining(odd[0]) else ""
