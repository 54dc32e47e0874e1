"""Texts as a terminal can show them: what it would obey, or hide, is written out as its code."""

import re
import unicodedata

_JOINERS = "\u200c\u200d"  # letters and emoji are written with them
_CONTROLS = {"Cc", "Cf", "Zl", "Zp", "Cs"}
_PLAIN = re.compile(r"[\n\t\x20-\x7e\xa0-\xac\xae-\u05ff]*")  # what most texts are made of


def visible(text: str) -> str:
    r"""Return a text in which control and format characters, those that turn its direction too, are `\x1b`, `\u202e`.

    Line breaks and tabs stay.
    """
    if _PLAIN.fullmatch(text):
        return text
    return "".join(_code(char) if _is_hidden(char) else char for char in text)


def _is_hidden(char: str) -> bool:
    return char not in "\n\t" and char not in _JOINERS and unicodedata.category(char) in _CONTROLS


def _code(char: str) -> str:
    number = ord(char)
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
