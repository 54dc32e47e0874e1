"""The plain form of a text: as patterns expect it, whatever white space, emphasis or apostrophes its writer used.

Runs of white space become one space, one line break, or `PARAGRAPH` where one ends; zero-width and format characters
and emphasis marks vanish; typographic apostrophes become `'`. A text with none of these is its own plain form, and
`place_in` leads from each character of a plain form to the one that it stands for.
"""

import re

import polars as pl

from zephyr_core.texts import UNSEEN

# Character classes of both Python's and Rust's regexes.
_WIDE = "\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"  # white space, apart from that of ASCII
_APOSTROPHES = "\u2019\u2018\u201b\u02bc\u02b9\u2032\uff07"
PARAGRAPH = "\x1e\x1e"  # what ends one, in plain forms
_BETWEEN = rf"\s{_WIDE}{UNSEEN}*_"
_CHANGED = re.compile(  # not the single spaces and line breaks that most texts are full of
    rf"[{_BETWEEN}]{{2,}}|[\t\r\v\f\x1c-\x1f*_{_WIDE}{UNSEEN}{_APOSTROPHES}]"
)
_RARE = _WIDE + UNSEEN + _APOSTROPHES.removeprefix("\u2019")  # characters that no gate allows for
_MAY_CHANGE = rf"[*_\t\r\v\f\x1c-\x1f]|  | \n|\n |\n\n\n|[{_RARE}]"
_EASY = dict.fromkeys("*\ufe0f", "") | dict.fromkeys("’‘", "'")  # common marks, each a step of its own
_IS_HARD = re.compile(rf"(?![\ufe0f‘])[_\t\r\v\f\x1c-\x1f{_RARE}]")
_RARE_ONES = [chr(code) for a, b in re.findall("(.)(?:-(.))?", _RARE) for code in range(ord(a), ord(b or a) + 1)]
_BREAKS = re.compile("\r\n?|[\n\v\f\x85\u2028\u2029]")


def plain_forms(texts: pl.Series) -> pl.Series:
    """Return the plain form of each text."""
    usual = texts.str.replace_all("’", "'", literal=True).str.replace_all(" \n", "\n", literal=True)
    places = usual.str.contains(_MAY_CHANGE).arg_true()
    usual = usual.str.replace_all("\n\n", PARAGRAPH, literal=True)
    return usual.scatter(places, list(map(plain, texts.gather(places)))) if len(places) else usual


def plain(text: str) -> str:
    """Return the plain form of a text."""
    return _CHANGED.sub(_plain_run, text) if _IS_HARD.search(text) else _plain_easily(text)


def _plain_easily(text: str) -> str:
    """Return the plain form of a text that has spaces, line breaks and the marks of `_EASY` at most."""
    for mark, replacement in _EASY.items():
        text = text.replace(mark, replacement)
    while "  " in text:
        text = text.replace("  ", " ")
    text = text.replace("\n ", "\n").replace(" \n", "\n")
    while "\n\n\n" in text:
        text = text.replace("\n\n\n", "\n\n")
    return text.replace("\n\n", PARAGRAPH)


def is_rare(texts: pl.Series) -> pl.Series:
    """Return whether each text has a character that no gate allows for."""
    is_found = texts.str.len_bytes() != texts.str.len_chars()
    places = is_found.arg_true()
    return is_found.scatter(places, texts.gather(places).str.contains_any(_RARE_ONES))


def place_in(text: str, index: int) -> int:
    """Return the index in a text of the character that stands at `index` of its plain form."""
    reached, last = 0, 0  # characters of the plain form so far, and where the text goes on
    for run in _CHANGED.finditer(text):
        if reached + run.start() - last > index:
            break
        reached += run.start() - last
        replacement = _plain_run(run)
        if reached + len(replacement) > index:
            return run.start()
        reached, last = reached + len(replacement), run.end()
    return last + index - reached


def _plain_run(run: re.Match[str]) -> str:
    characters = run[0]
    if characters in _APOSTROPHES:
        return "'"
    if any(character.isspace() for character in characters):
        return (" ", "\n", PARAGRAPH)[min(2, len(_BREAKS.findall(characters)))]
    return characters if _joins(run) else ""


def _joins(run: re.Match[str]) -> bool:
    """Return whether a run is the underscore of a name such as `max_size`."""
    text, before, after = run.string, run.start() - 1, run.end()
    is_inside = before >= 0 and after < len(text) and text[before].isalnum() and text[after].isalnum()
    return is_inside and set(run[0]) == {"_"}
