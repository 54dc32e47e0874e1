"""What cased turns show of the names in a dialogue: words capitalised inside sentences, and words that are not.

Capitals that show nothing are left out: those of sentence starts, headings, list entries and lines in capitals. A title
in quotation marks counts as a whole only.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from functools import cached_property, lru_cache

from zephyr_data.cleaning.language import FUNCTION_WORDS

# A capital inside a sentence, I apart; both engines read it.
INSIDE = r"[a-z,;'’] [\"“‘'(*_]*(?:[A-HJ-Z]|I[A-Za-z])"
_LINKS = "of the and de la du von van for in on at y del da di le"  # in lower case inside names
LINKS = frozenset([*_LINKS.split(), "s"])
# A name inside a sentence and the two characters before it; both engines read it.
CAPITALS = (
    rf"[A-Za-z0-9,;'’] [(*_\"“]*[A-ZÀ-Þ][0-9A-Za-zß-ÿ]*(?:['’]s)?"
    rf"(?:[ -](?:(?:{'|'.join(_LINKS.split())}) )*[A-ZÀ-Þ][0-9A-Za-zß-ÿ]*(?:['’]s)?)*"
)
_INSIDE = re.compile(INSIDE)
_LONG_LINE = 300  # characters; of longer lines the sentence is enough
# Words in lower case that a space parts are one token: most of a sentence.
_TOKEN = re.compile(r"[a-z]+(?: [a-z]+)*(?![^\W\d_])|[^\W\d_]+|\d+|[^\w\s]")
_ENDS = frozenset('.!?:"“”•|…*#>;(')  # the next word begins something
_SIGNS = ("://", "www.", "@")  # of addresses
_ADDRESS = re.compile(r"\bhttps?://\S+|\bwww\.\S+|[\w.+-]+@[\w-]\S*")
_QUOTES = frozenset('"“”')
_JOINS = frozenset("-'’&")
_HEADING_SHARE, _HEADING_WORDS = 0.75, 3  # of the longer words of a line, and how many at least

_SMALL_WORDS = FUNCTION_WORDS | LINKS

Run = tuple[str, ...]  # the words of a name, as cased
_Phrase = tuple[Run, bool, bool, bool]  # and whether it begins a sentence, is a title, and is one of a kind


class Evidence:
    """Evidence for and against some words, in lower case, being names: what the lines that capitalise them say."""

    def __init__(self, text: str, lower: str, words: Iterable[str]) -> None:
        self.text = text
        self.runs: Counter[Run] = Counter()  # how often inside sentences
        self.titles: dict[Run, None] = {}  # in quotation marks, in order
        self.alone: defaultdict[str, Counter[str]] = defaultdict(Counter)  # lower case → casings inside sentences
        for start, end in sorted({_sentence(text, at) for word in words for at in places_of(word, lower)}):
            self._read(_phrases(text[start:end].strip()))

    @cached_property
    def runs_with(self) -> dict[str, list[tuple[Run, int]]]:
        """Return for a word in lower case the runs that have it capitalised, and where; most frequent first."""
        places: dict[str, list[tuple[Run, int]]] = {}
        for run, times in sorted(self.runs.items(), key=lambda item: (-item[1], item[0])):
            words = run
            if not times and next(places_of(run[0].lower(), self.text), None) is not None:
                words = run[1:]  # a capital of the sentence
            for place, word in enumerate(words):
                if word[0].isupper():
                    places.setdefault(word.lower(), []).append((words, place))
        return places

    def stands_alone(self, word: str) -> bool:
        """Return whether a word in lower case is once capitalised with no other next to it."""
        return any((casing,) in self.runs for casing in self.alone.get(word, ()))

    def casing(self, word: str) -> str:
        """Return the casing that a word in lower case has most often inside sentences."""
        casings = self.alone[word]
        return max(sorted(casings), key=lambda casing: (casings[casing], not casing.isupper()))

    def _read(self, phrases: tuple[_Phrase, ...]) -> None:
        for words, is_first, is_title, is_kind in phrases:
            if is_title:
                self.titles.setdefault(words)
                continue
            self.runs[words] += not is_first
            names = [word for word in words if word[0].isupper()]
            for word in names[is_first or is_kind :]:
                self.alone[word.lower()][word] += 1


def without_addresses(text: str) -> str:
    """Return the text with a full stop for every address."""
    return _ADDRESS.sub(".", text) if any(sign in text for sign in _SIGNS) else text


def _sentence(text: str, at: int) -> tuple[int, int]:
    """Return the span of the line with a character, or of its sentence if the line is long."""
    start, end = text.rfind("\n", 0, at) + 1, text.find("\n", at)
    end = end if end >= 0 else len(text)
    if end - start > _LONG_LINE:
        first, last = text.rfind(". ", start, at), text.find(". ", at, end)
        start, end = first + 2 if first >= 0 else start, last + 1 if last >= 0 else end
    return start, end


def places_of(word: str, text: str) -> Iterator[int]:
    """Yield where a word stands in a text, cased so."""
    at = text.find(word)
    while at >= 0:
        end = at + len(word)
        if not text[at - 1 : at].isalpha() and not text[end : end + 1].isalpha():
            yield at
        at = text.find(word, end)


def lost_capitals(turn: str) -> bool:
    """Return whether no word inside a sentence has a capital."""
    return _INSIDE.search(turn) is None


@lru_cache(maxsize=256)  # each turn of a dialogue asks for the same sentences
def _phrases(sentence: str) -> tuple[_Phrase, ...]:
    """Return the runs of capitalised words of a line or sentence; of a heading none."""
    tokens = _TOKEN.findall(sentence)
    if _is_heading(sentence, tokens):
        return ()
    phrases = []
    for start, end, is_first, is_title in _runs(tokens):
        words = _words_of(tokens[start:end])
        names = [word for word in words if word[0].isupper()]
        is_kind = len(names) == 1 and names[0].istitle() and start > 0 and _last_word(tokens[start - 1]) in ("a", "an")
        phrases.append((words, is_first, is_title, is_kind))
    return tuple(phrases)


def _words_of(tokens: Iterable[str]) -> Run:
    return tuple(word for token in tokens if token[0].isalpha() for word in token.split(" "))


def _last_word(token: str) -> str:
    return token.rpartition(" ")[2]


def _is_heading(line: str, tokens: list[str]) -> bool:
    """Return whether a line is in capitals, or not a sentence and nearly all its longer words begin with one."""
    is_sentence = line.rstrip()[-1:] in ".!?"
    if is_sentence and not any(len(token) > 1 and token.isupper() for token in tokens):
        return False
    longer = [word for word in _words_of(tokens) if len(word) > 1 and word.lower() not in _SMALL_WORDS]
    if len(longer) < _HEADING_WORDS:
        return False
    upper = sum(word.isupper() for word in longer)
    begun = sum(word[0].isupper() for word in longer)
    return 2 * upper > len(longer) or (begun >= _HEADING_SHARE * len(longer) and not is_sentence)


def _runs(tokens: list[str]) -> Iterator[tuple[int, int, bool, bool]]:
    """Yield start and end of each run of capitalised words, whether it begins a sentence, and whether it is a title."""
    end = 0
    for at in [at for at, token in enumerate(tokens) if _is_name(token)]:
        if at < end:
            continue
        begins = _begins(tokens, end, at)
        end = _end_of_run(tokens, at)
        is_quoted = at > 0 and tokens[at - 1] in _QUOTES
        is_title = is_quoted and _closes(tokens[end : end + 2])
        is_entry = begins and (end == len(tokens) or tokens[end] in ":-–—") and _opens_line(tokens[:at])
        if is_title or not (is_quoted or is_entry):
            yield at, end, begins, is_title


def _begins(tokens: list[str], last: int, at: int) -> bool:
    """Return whether a word begins a sentence, by the tokens between it and the end of the last run, 0 if none."""
    for token in reversed(tokens[last:at]):
        if token in _ENDS:
            return True
        if token[0].isalpha():
            return False
    return last == 0


def _closes(tokens: list[str]) -> bool:
    return bool(tokens) and (tokens[0] in _QUOTES or (tokens[0] in ".,!?" and tokens[-1] in _QUOTES))


def _is_name(token: str) -> bool:
    return token[0].isupper() and token != "I"


def _opens_line(before: list[str]) -> bool:
    return not any(token[0].isalpha() for token in before)


def _end_of_run(tokens: list[str], start: int) -> int:
    end = at = start + 1
    while at < len(tokens):
        token = tokens[at]
        if _is_name(token):
            end = at + 1
        elif not (token in _JOINS or (token == "." and len(_last_word(tokens[at - 1])) == 1) or _are_links(token)):
            break
        at += 1
    return end


def _are_links(token: str) -> bool:
    return token in LINKS or (" " in token and LINKS.issuperset(token.split(" ")))
