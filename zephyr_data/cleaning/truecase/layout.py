"""Where a line, a list entry or the text after a label begins, in a text all in lower case."""

import re

_PUNCTUATED = re.compile(r"[a-z)][.!?](?:\s|\Z)")
_LINE_START = re.compile(
    r"(?:\A|\n)[ \t>]*(?P<marker>(?:[-*•+]|#+|\(?\d+[.):]|\(?[a-z][.)]|[ivx]+\.)[ \t]+)?[\"“(\[*_]*\Z"
)
_LABEL = re.compile(r"[\w'’-]+(?: [\w'’-]+){0,3}[*_]*:")
_BEHIND_LABEL = re.compile(
    r"(?:\A|\n)[ \t>]*(?:(?:[-*•+]|#+|\(?\d+[.):]|\(?[a-z][.)])[ \t]+)?[*_]*\w[^\n:.]{0,40}:[ \t*_\"“]*\Z"
)
_SENTENCE = re.compile(r"(?:[^.!?\n]|[.!?]\w){12,}[.!?](?:[\s\"”]|\Z)")
_LETTER_START = re.compile(r"(?:\A|\n)[ \t]*[(\[*-]?\Z")
_LETTERED = {mark: re.compile(rf"(?:\A|\n)[ \t]*[(\[*-]?([A-Z])\{mark}") for mark in ":.)]"}
LONGEST_VERSE = 60  # characters of a line
_SEEN = 200  # a word's line must begin within this many characters before it


def is_punctuated(text: str) -> bool:
    """Return whether sentences end in marks: a writer who uses them would also have begun lines with capitals."""
    return bool(_PUNCTUATED.search(text))


def starts_line(text: str, start: int) -> bool:
    """Return whether the word at `start` begins an entry, a paragraph, a label or the sentence after one."""
    if text[start - 1 : start] == " " and text[max(0, start - 2) : start - 1].isalnum():
        return False  # most words
    before = text[max(0, start - _SEEN) : start]
    line = _LINE_START.search(before)
    if line is None:
        return bool(_BEHIND_LABEL.search(before)) and (_words(text, start) > 2 or bool(_SENTENCE.match(text, start)))
    previous = before[: line.start()].rstrip(" \t").rpartition("\n")[2]
    is_wrapped = len(previous) > LONGEST_VERSE and previous[-1] not in '.!?:,;"”'
    return bool(line["marker"]) or not is_wrapped or bool(_LABEL.match(text, start))


def continues_letters(text: str, start: int, end: int) -> bool:
    """Return whether the letter begins a line the way capitals elsewhere do: "a:" after "Q:", "b." after "A.".

    The letters of one list follow each other; "a." after "A." is of another list.
    """
    mark = text[end : end + 1]
    if mark not in _LETTERED or not _LETTER_START.search(text[max(0, start - 20) : start]):
        return False
    letter, letters = text[start].upper(), _LETTERED[mark]
    if mark == ":":
        return text.islower() or letters.search(text) is not None
    before, after = letters.findall(text, 0, start), letters.search(text, end)
    last, following = before[-1] if before else "", after[1] if after else ""
    return ord(letter) - 1 in map(ord, last) or (not last and letter < following)


def _words(text: str, start: int) -> int:
    end = text.find("\n", start)
    return len(text[start : end if end >= 0 else len(text)].split(None, 3))
