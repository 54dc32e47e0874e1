"""Words in lower case that are no names between any neighbours: most of a text, and not worth a second look."""

from zephyr_data.language import FUNCTION_WORDS
from zephyr_data.truecase.boundaries import ABBREVIATIONS
from zephyr_data.truecase.names import COMMON_TODAY, PARTS_OF_NAMES, Names, is_rare_below, likely_casing
from zephyr_data.truecase.statistics import Statistics


class StaysLower(dict[str, bool]):
    """Whether a lower-case word stays as it is inside a sentence, told once for each word that the statistics know."""

    def __init__(self, statistics: Statistics, names: Names) -> None:
        self.statistics = statistics
        self.names = names

    def __missing__(self, word: str) -> bool:
        """Return the answer, and remember it."""
        counts = self.statistics.casings.get(word)
        if counts is None:
            return (
                word != "i" and self.names is Names.CASED
            )  # a name of today perhaps: beside another, if case says nothing
        self[word] = self._find(word, counts)
        return self[word]

    def _find(self, word: str, counts: dict[str, int]) -> bool:
        if word == "i":
            return False
        if word in FUNCTION_WORDS or not any(casing != word for casing in counts):
            return True
        if word in ABBREVIATIONS or word in COMMON_TODAY:
            return False
        if self.names is Names.ALL_LOWER and word in PARTS_OF_NAMES:
            return False
        if word in self.statistics.needs_context:
            return word in counts and not any(
                self._may_win(casing, word, counts) for casing in counts if casing != word
            )
        return likely_casing(word, None, self.statistics.scores(None, word, None), counts, self.names) == word

    def _may_win(self, casing: str, word: str, counts: dict[str, int]) -> bool:
        least = self.names.margin * self.statistics.at_least(word, word)
        return is_rare_below(word, casing, counts) or self.statistics.at_most(word, casing) >= least
