"""What of a text can be seen, and the form in which two texts are compared.

Invisible are white space, control and format characters, and those that Unicode lets a font ignore or leaves blank:
variation selectors, the grapheme joiner, the fillers of Hangul, the empty Braille cell. NUL is a fault of its own.
"""

import re
import unicodedata

# A character class of both Python's and Rust's regexes.
INVISIBLE = (
    "\x01-\x20\x7f-\xa0\xad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u1680\u17b4\u17b5"
    "\u180b-\u180f\u2000-\u200f\u2028-\u202f\u205f-\u206f\u2800\u3000\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
    "\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
VISIBLE = f"[^{INVISIBLE}]"  # a pattern
# Format characters that may stand inside a word and do not part it; a class too.
UNSEEN = "\xad\u034f\u061c\u180b-\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff"
_HAS_VISIBLE = re.compile(VISIBLE)
# What texts are compared without, as a Rust regex: punctuation, separators, controls but for that between records.
IGNORED = rf"[\p{{P}}\p{{Z}}\p{{C}}{INVISIBLE}&&[^\x1e]]+"
# Characters that folding leaves alone next to each other, also a regex class: most of what texts without capitals have.
STEADY = (
    "\x00-\x7f\xa1-\xa7\xa9\xab\xac\xae\xb0\xb1\xb6\xb7\xbb\xbf\xd7\xe0-\xff\u03ac-\u03c1\u03c3-\u03ce\u0430-\u045f"
    "\u2010\u2012-\u2016\u2018-\u2023\u20ac\u2190-\u21ff\u3041-\u3096\u30a1-\u30fa\u4e00-\u9fff\uac00-\ud7a3\U0001f300-\U0001f64f"
)


SEPARATOR = "\x1e"  # between the parts of a text; the only control character that is compared
# For texts of ASCII as bytes, many times faster: what becomes of each byte, and which ones are ignored.
ASCII_LOWER = bytes(ord(chr(code).lower()) if code < 128 else code for code in range(256))
ASCII_IGNORED = bytes(
    code for code in range(128) if unicodedata.category(chr(code))[0] in "PZC" and chr(code) != SEPARATOR
)
# Of UTF-8, ignored as well: – — ‘ ’ “ ” • …
QUOTES_AND_DASHES = re.compile(rb"\xe2\x80[\x93\x94\x98\x99\x9c\x9d\xa2\xa6]")


def is_empty(text: str) -> bool:
    """Return whether a text has no visible character."""
    return _HAS_VISIBLE.search(text) is None


def folded(text: str) -> str:
    """Return a text after NFKC and casefold: one form of full width, of é in one or two characters, of ß and ss."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


class _Cut(dict[int, int | None]):
    """What becomes of each character: nothing of those that are ignored, as `IGNORED` says in Rust."""

    def __missing__(self, code: int) -> int | None:
        letter = chr(code)
        is_ignored = unicodedata.category(letter)[0] in "PZC" or not _HAS_VISIBLE.match(letter)
        self[code] = None if is_ignored and letter != SEPARATOR else code
        return self[code]


_CUT = _Cut()


def normal_form(text: str) -> str:
    """Return the form in which a text is compared: folded, without what is ignored; itself if nothing is left."""
    if text.isascii():
        cut = text.encode().translate(ASCII_LOWER, ASCII_IGNORED).decode()
    else:
        cut = folded(text.lower().translate(_CUT)).translate(_CUT)
    return cut if cut.strip(SEPARATOR) else text
