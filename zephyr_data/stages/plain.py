"""The plain form of a text: as patterns expect it, whatever white space, emphasis or apostrophes its writer used.

Runs of white space become one space, one line break, or two where a paragraph ends; zero-width and format characters
and emphasis marks vanish; typographic apostrophes become `'`. A text with none of these is its own plain form, and
`place_in` leads from each character of a plain form to the one that it stands for.
"""

import re

import polars as pl

# Code points as both engines spell them, `{XX}` for `\x{XX}` or `\uXXXX`.
_WIDE = "{85}{a0}{1680}{2000}-{200a}{2028}{2029}{202f}{205f}{3000}"  # white space, apart from that of ASCII
_INVISIBLE = "{ad}{34f}{61c}{180b}-{180e}{200b}-{200f}{202a}-{202e}{2060}-{206f}{fe00}-{fe0f}{feff}"
_APOSTROPHES = "{2019}{2018}{201b}{2bc}{2b9}{2032}{ff07}"
_BRACED = re.compile(r"\{(\w+)\}")


def _rust(points: str) -> str:
    return _BRACED.sub(r"\\x{\1}", points)


def _python(points: str) -> str:
    return _BRACED.sub(lambda point: chr(int(point[1], 16)), points)


_BETWEEN = rf"\s{_python(_WIDE + _INVISIBLE)}*_"
_CHANGED = re.compile(  # not the single spaces and line breaks that most texts are full of
    rf" ?(?:[^\S\n ]|[{_python(_WIDE + _INVISIBLE)}*_])[{_BETWEEN}]*| [ \n][{_BETWEEN}]*|\n[{_BETWEEN}]+"
    rf"|[{_python(_APOSTROPHES)}]"
)
_NEEDS_IT = rf"[*_\t\r\v\f\x1c-\x1f{_rust(_APOSTROPHES + _WIDE + _INVISIBLE)}]|  | \n|\n |\n\n\n"
_ODD = rf"[{_rust(_APOSTROPHES.removeprefix('{2019}') + _WIDE + _INVISIBLE)}]|(?:^|\W)_+\w"
_BREAKS = re.compile("\r\n?|[\n\v\f\x85\u2028\u2029]")

_ATOM = re.compile(r"\\.|\[\^?\]?(?:\\.|\[:\^?\w+:\]|[^\]\\])*\]|.", re.DOTALL)
# Of ASCII: on other text, Unicode boundaries take the engine's slow path, and Unicode classes are large.
_ASCII = {r"\b": r"(?-u:\b)", r"\w": "[0-9A-Za-z_]", r"\W": "[^0-9A-Za-z_]", r"\d": "[0-9]"}


def of_plain(pattern: str) -> str:
    """Return a pattern for plain forms as the engine takes it: a space in it also matches a line break."""
    return _spread(pattern, _ASCII | {" ": r"[ \n]"}, {" ": r"\n"})


def of_any(gate: str) -> str:
    """Return a gate for texts as they are: a space in it matches any run of white space and emphasis marks."""
    return _spread(gate, _ASCII | {" ": r"(?:[ \n\t\r*_]+)", "'": "['’]"}, {" ": r"\n\t\r*_", "'": "’"})


def _spread(pattern: str, wider: dict[str, str], members: dict[str, str]) -> str:
    """Return the pattern with some characters replaced, and with further members for a class that holds them."""

    def widened(atom: re.Match[str]) -> str:
        if len(atom[0]) < 3:
            return wider.get(atom[0], atom[0])
        added = [more for character, more in members.items() if character in atom[0] and atom[0][1] != "^"]
        return f"{atom[0][:-1]}{''.join(added)}]"

    return _ATOM.sub(widened, pattern)


def is_odd(texts: pl.Series) -> pl.Series:
    """Return whether each text holds characters that a gate, which reads texts as they are, does not allow for."""
    may_be = (texts.str.len_bytes() != texts.str.len_chars()) | texts.str.contains("_", literal=True)
    places = may_be.arg_true()
    return may_be.scatter(places, texts.gather(places).str.contains(_ODD))


def plain_forms(texts: pl.Series) -> pl.Series:
    """Return the plain form of each text."""
    places = texts.str.contains(_NEEDS_IT).arg_true()
    return texts.clone().scatter(places, [plain(text) for text in texts.gather(places)])


def plain(text: str) -> str:
    """Return the plain form of a text."""
    return _CHANGED.sub(_plain_run, text)


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
    if characters in _python(_APOSTROPHES):
        return "'"
    if any(character.isspace() for character in characters):
        return (" ", "\n", "\n\n")[min(2, len(_BREAKS.findall(characters)))]
    return characters if _joins(run) else ""


def _joins(run: re.Match[str]) -> bool:
    """Return whether a run is the underscore of a name such as `max_size`."""
    text, before, after = run.string, run.start() - 1, run.end()
    is_inside = before >= 0 and after < len(text) and text[before].isalnum() and text[after].isalnum()
    return is_inside and set(run[0]) == {"_"}
