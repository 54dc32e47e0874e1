"""The names that a turn without capitals has in lower case, by what the cased turns of its dialogue show."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import compress, pairwise

from zephyr_data.cleaning.language import FUNCTION_WORDS
from zephyr_data.cleaning.truecase.boundaries import INTERJECTIONS
from zephyr_data.cleaning.truecase.evidence import (
    CAPITALS,
    LINKS,
    Evidence,
    Run,
    lost_capitals,
    places_of,
    without_addresses,
)
from zephyr_data.cleaning.truecase.statistics import MOST_LOWER, Casings, Statistics

NO_NAMES: Mapping[int, str] = {}
# A word of a turn all in lower case that was also said apart from other names is a name by itself unless the statistics
# have it in lower case this many times as often as with a capital; of other turns, and otherwise, MOST_LOWER times.
MOST_LOWER_OF_ALL_LOWER = 4
_WORD = re.compile(r"[^\W\d_]+")
_BETWEEN = re.compile(r"[ '’&-]{1,3}|\. ")  # words of one name
_BEFORE_KIND = frozenset("a an any each every no other some such your my our their his her another".split())
_QUOTES = frozenset("\"“‘'")
_SEEN_TWICE = 2
_BLANKS = str.maketrans(dict.fromkeys("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~“”‘’…—–", " "))
_NO_PARTS = FUNCTION_WORDS | LINKS | INTERJECTIONS


class DialogueNames:
    """The names that the cased turns of a dialogue show.

    `cased` has one value for each turn: whether a word inside a sentence has a capital. `capitals` are what CAPITALS
    finds in the cased turns.
    """

    def __init__(
        self, turns: Sequence[str], cased: Sequence[bool], capitals: Iterable[str], statistics: Statistics
    ) -> None:
        self._turns, self._cased, self._capitals, self._statistics = turns, cased, capitals, statistics

    @classmethod
    def of(cls, turns: Sequence[str], statistics: Statistics) -> "DialogueNames":
        """Return the names of a dialogue."""
        cased = [not lost_capitals(turn) for turn in turns]
        capitals = [run for turn in compress(turns, cased) for run in re.findall(CAPITALS, turn)]
        return cls(turns, cased, capitals, statistics)

    def lost_in(self, turn: int) -> Mapping[int, str]:
        """Return the names that a turn has in lower case, offset in characters → casing; none of a cased turn."""
        if self._cased[turn]:
            return NO_NAMES
        text = self._turns[turn]
        common = self._statistics.common_words(MOST_LOWER_OF_ALL_LOWER if text.islower() else MOST_LOWER)
        if not self._may_be_lost(text, common):
            return NO_NAMES
        words = self._words.intersection(_words_of(text))
        lone = {word for word in words - common if self._is_only_capitalised(word)}
        candidates = lone.union(*self._proper_pairs(words, text)) if len(words) > 1 else lone
        if not candidates:
            return NO_NAMES
        evidence = Evidence(self._text, self._lower_text, candidates)
        sure = lone - self._statistics.common_words(MOST_LOWER)
        lone = {word for word in lone if word in sure or evidence.stands_alone(word)}
        return dict(_Finder(evidence, self._statistics.casings, lone, _Words(text)).names())

    @cached_property
    def _runs(self) -> set[str]:
        """Return the capitalised words inside sentences, those next to each other together, in lower case."""
        return {run[2:].lower() for run in self._capitals}

    @cached_property
    def _words(self) -> set[str]:
        return {*_words_of(" ".join(self._runs))} - _NO_PARTS

    @cached_property
    def _long_runs(self) -> list[list[str]]:
        """Return the words of the runs that have several."""
        runs = [[*filter(self._words.__contains__, _WORD.findall(run))] for run in self._runs if " " in run]
        return [run for run in runs if len(run) > 1]

    def _may_be_lost(self, text: str, common: frozenset[str]) -> bool:
        """Return whether a text has a word that is not common or two words of one run, as such or inside longer ones.

        That is sooner known than the words of a text.
        """
        words = {word for word in self._words if word in text}
        if not words <= common:
            return True
        return len(words) > 1 and any(sum(map(words.__contains__, run)) > 1 for run in self._long_runs)

    def _proper_pairs(self, words: set[str], text: str) -> Iterator[list[str]]:
        """Yield each two of the words that are capitalised next to each other as in a name of common words."""
        for run in self._runs:
            spans = [match.span() for match in _WORD.finditer(run) if match[0] in words] if " " in run else []
            for (start, _), (_, end) in pairwise(spans):
                pair = run[start:end]
                if pair in text and self._may_be_proper(pair, text):
                    yield _WORD.findall(pair)

    def _may_be_proper(self, pair: str, text: str) -> bool:
        """Return whether words are capitalised together twice and never in lower case, or begin a title in both."""
        is_title = any(mark + pair in text and mark + pair in self._lower_text for mark in _QUOTES)
        return is_title or (pair not in self._text and self._lower_text.count(pair) >= _SEEN_TWICE)

    @cached_property
    def _text(self) -> str:
        return without_addresses("\n".join(compress(self._turns, self._cased)))

    @cached_property
    def _lower_text(self) -> str:
        lower = self._text.lower()
        if len(lower) == len(self._text):
            return lower
        return "".join(letter.lower()[0] for letter in self._text)  # of İ, two characters

    def _is_only_capitalised(self, word: str) -> bool:
        """Return whether a word is in the cased turns, and never in lower case."""
        places = [*places_of(word, self._lower_text)]
        return bool(places) and not any(self._text[at].islower() for at in places)


def _words_of(text: str) -> list[str]:
    """Return the words of a text, quickly; those next to odd signs may hold them."""
    return text.translate(_BLANKS).split()


class _Words:
    """The words of a text and where they stand."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.words = _WORD.findall(text)

    @cached_property
    def spans(self) -> list[tuple[int, int]]:
        return [match.span() for match in _WORD.finditer(self.text)]

    def are_together(self, first: int, last: int) -> bool:
        """Return whether nothing parts the words from one place to another."""
        return all(_BETWEEN.fullmatch(self.text, a[1], b[0]) for a, b in pairwise(self.spans[first : last + 1]))

    def is_quoted(self, at: int) -> bool:
        """Return whether a word follows a quotation mark."""
        start = self.spans[at][0]
        return start > 0 and self.text[start - 1] in _QUOTES


@dataclass(frozen=True)
class _Finder:
    evidence: Evidence
    casings: Casings
    lone: set[str]  # what may be a name by itself
    text: _Words

    def names(self) -> Iterator[tuple[int, str]]:
        """Yield offset and casing of each word to change."""
        end = 0
        firsts = {title[0].lower() for title in self.evidence.titles}
        first_words = firsts.union(self.evidence.runs_with)
        for at in [at for at, word in enumerate(self.text.words) if word in first_words]:
            if at >= end:
                run = self._title(at) or self._name(at)
                end = at + len(run)
                for place, casing in enumerate(run, at):
                    if casing != self.text.words[place]:
                        yield self.text.spans[place][0], casing

    def _title(self, at: int) -> Run:
        if self.text.is_quoted(at):
            for title in self.evidence.titles:
                end = at + len(title)
                lower = [word.lower() for word in title]
                if self.text.words[at:end] == lower and self.text.are_together(at, end - 1):
                    return title
        return ()

    def _name(self, at: int) -> Run:
        word = self.text.words[at]
        if not word.islower() or word in FUNCTION_WORDS or len(word) == 1:
            return ()
        run, is_whole = self._longest_run(at)
        while len(run) > 1 and not self._is_name(run[-1].lower()) and self._continues_in_lower_case(run):
            run = run[:-1]
        has_name = any(self._is_name(part.lower()) for part in run)
        if len(run) > 1 and (has_name or (is_whole and self._is_proper(run, at))):
            return run
        return (self.evidence.casing(word),) if self._is_name(word) else ()

    def _longest_run(self, at: int) -> tuple[Run, bool]:
        """Return the longest part of a name that the words from `at` on spell, and whether the name begins there."""
        best: Run = ()
        is_whole = False
        for run, place in self.evidence.runs_with.get(self.text.words[at], ()):
            part = self._common(run[place:], at)
            begins = all(word.lower() in FUNCTION_WORDS or word in LINKS for word in run[:place])
            if (len(part), begins) > (len(best), is_whole):
                best, is_whole = part, begins
        return best, is_whole

    def _common(self, run: Run, at: int) -> Run:
        length = 1
        while length < len(run) and self.text.words[at + length : at + length + 1] == [run[length].lower()]:
            if not self.text.are_together(at + length - 1, at + length):
                break
            length += 1
        while run[length - 1] in LINKS:
            length -= 1
        return run[:length]

    def _continues_in_lower_case(self, run: Run) -> bool:
        """Return whether a cased turn has the last word of a name in lower case: "OGRE documentation"."""
        return f"{run[-2]} {run[-1].lower()}" in self.evidence.text

    def _is_proper(self, run: Run, at: int) -> bool:
        """Return whether common words make a name: seen twice, never in lower case, and not one of a kind."""
        name = " ".join(run)
        return (
            (at == 0 or self.text.words[at - 1] not in _BEFORE_KIND)
            and self.evidence.text.count(name) >= _SEEN_TWICE
            and name.lower() not in self.evidence.text
            and all(word in LINKS or self._can_be_part(word.lower()) for word in run)
        )

    def _can_be_part(self, word: str) -> bool:
        """Return whether the statistics have a word capitalised, or not at all."""
        counts = self.casings.get(word)
        return counts is None or any(casing[0].isupper() and not casing.isupper() for casing in counts)

    def _is_name(self, word: str) -> bool:
        """Return whether a word is a name by itself: inside a sentence with a capital, and nowhere without."""
        return word in self.lone and word in self.evidence.alone
