"""What the statistics say about a lower-case word; most are never names, whatever their neighbours, and are skipped."""

from collections.abc import Iterable, Mapping
from functools import lru_cache

from zephyr_data.cleaning.language import FUNCTION_WORDS
from zephyr_data.cleaning.truecase.boundaries import ABBREVIATIONS
from zephyr_data.cleaning.truecase.build import PSEUDO_COUNT
from zephyr_data.cleaning.truecase.names import (
    CALENDAR,
    COMMON_TODAY,
    NAMES_TODAY,
    NUMERAL,
    PARTS_OF_NAMES,
    Names,
    is_always_name,
    is_mostly_name,
    is_rare_below,
    likely_casing,
    surname,
)
from zephyr_data.cleaning.truecase.statistics import Statistics

REMEMBERED = 100_000  # tokens known not to be names; the limit keeps memory flat


class Words:
    """The words of one kind of text: which may be names, and which casing is likely between its neighbours."""

    def __init__(self, statistics: Statistics, names: Names) -> None:
        self.statistics = statistics
        self.names = names
        self.casing = lru_cache(maxsize=20_000)(self._casing)
        self._rivals = lru_cache(maxsize=20_000)(self._find_rivals)
        only_here = PARTS_OF_NAMES | {"us"} if names.are_lost else frozenset[str]()
        self._contextual = ABBREVIATIONS | COMMON_TODAY | only_here
        self._closed: set[str] = set()
        self._open: set[str] = set()

    def open_ones(self, tokens: Iterable[str]) -> set[str]:
        """Return the lower-case tokens that may be names."""
        words = set(tokens)
        new = words - self._closed - self._open
        candidates = {token for token in new if token.islower() and not self._stays_lower(token)}
        if len(self._closed) < REMEMBERED:
            self._closed |= new - candidates
        self._open |= {word for word in candidates if word in self.statistics.casings}
        return candidates | (words & self._open) | (words & NAMES_TODAY.keys())

    def name(self, previous: str | None, word: str, following: str | None) -> str:
        """Return the likely casing of a lower-case word after `previous`, cased, and before `following`, lower case."""
        if self.names.are_lost and word in NAMES_TODAY:
            return NAMES_TODAY[word]
        return self.casing(previous, word, following)

    def is_english(self, word: str) -> bool:
        """Return whether the statistics have a word in lower case."""
        return word in self.statistics.casings.get(word, {})

    def may_be_inside(self, previous: str | None, word: str) -> bool:
        """Return whether a lower-case word inside a sentence may be a name: in cased texts, only as part of one."""
        if self.names.are_lost or word in CALENDAR:
            return True
        return self._is_name(previous or "")

    def _is_name(self, before: str) -> bool:
        return before[:1].isupper() and is_mostly_name(before.lower(), self.statistics.casings)

    def _casing(self, previous: str | None, word: str, following: str | None) -> str:
        casings = self.statistics.casings
        counts, rivals = casings.get(word, {}), self._rivals(word)
        if not counts and self.names.are_lost:
            return surname(word, previous or "", following or "", casings)
        if not rivals and word not in CALENDAR:
            return word
        scores = self.statistics.scores(previous, word, following, (word, *rivals) if word in counts else rivals)

        def is_beside_name() -> bool:
            return self._is_name(previous or "") or is_always_name(casings.get(following or "", {}))

        return likely_casing(word, previous, scores, counts, self.names, is_beside_name)

    def _stays_lower(self, word: str) -> bool:
        """Return whether a lower-case word stays as it is inside a sentence, whatever its neighbours."""
        if len(word) == 1:
            return word != "i"
        if word not in self.statistics.casings:
            return not self.names.are_lost  # perhaps a recent name: next to another, if case says nothing
        if word in self._contextual:
            return False
        if word in self.statistics.needs_context:
            return not self._rivals(word)
        return self._casing(None, word, None) == word

    def _find_rivals(self, word: str) -> tuple[str, ...]:
        """Return the casings that may beat lower case between some neighbours; all if lower case was never seen."""
        counts = self.statistics.casings.get(word, {})
        if word in FUNCTION_WORDS:
            return ()
        if word not in counts:
            return tuple(counts)
        others = tuple(casing for casing in counts if casing != word)
        if (
            word in self._contextual
            or NUMERAL.fullmatch(word)
            or any(is_rare_below(word, casing, counts) for casing in others)
        ):
            return others
        return tuple(casing for casing in others if self._may_win(casing, word, counts))

    def _may_win(self, casing: str, word: str, counts: Mapping[str, int]) -> bool:
        if word in self.statistics.needs_context:
            return self.statistics.at_most(word, casing) >= self.names.margin * self.statistics.at_least(word, word)
        return counts[casing] + PSEUDO_COUNT >= self.names.margin * (counts[word] + PSEUDO_COUNT)


@lru_cache(maxsize=8)
def words_at(statistics: Statistics, names: Names) -> Words:
    """Return the cached `Words`, one for each table and kind of text."""
    return Words(statistics, names)
