"""Whether a word inside a sentence is a name, by the counts of its casings."""

import re
from enum import Enum

# Common nouns of today that the statistics, from older news and official text, know as names or titles.
COMMON_TODAY = frozenset(
    """
    internet web net email online video digital app blog server media data god earth sun moon bible state states
    government congress senate university college school church court president king queen prince princess company
    corporation department committee board federal union party army navy force north south east west northern southern
    eastern western mr mrs treasury exchange commission council minister secretary general chairman director county
    city street avenue road river lake mountain island park museum library hospital hotel center centre
    hi max int fn var hon
    """.split()
)


# Always names.
CALENDAR = frozenset(
    "monday tuesday wednesday thursday friday saturday sunday january february april june july september october "
    "november december".split()
)
SEEN_OFTEN, RARE_SHARE = 20, 0.03  # "Mexico" 146 times, "mexico" 3 times: slips of the corpus
_ROMAN = re.compile(r"[ivxlcdm]+")


class Names(Enum):
    """How much likelier than lower case a casing must be, and how often an unopposed one must have been seen."""

    CASED = (25, 4)  # the text is cased elsewhere, so lower case is evidence
    ALL_LOWER = (6, 2)  # lower case says nothing

    @property
    def margin(self) -> int:
        """Return the least ratio of scores."""
        return self.value[0]

    @property
    def seen(self) -> int:
        """Return the least count of a word never seen in lower case."""
        return self.value[1]


def likely_casing(word: str, previous: str | None, scores: dict[str, int], counts: dict[str, int], names: Names) -> str:
    """Return the casing of a lower-case word that the statistics support well enough, else the word itself.

    `previous` is the cased token before it, `scores` are those of `Statistics.scores`. Ties go to lower case, then to
    the first in the alphabet.
    """
    if word in CALENDAR:
        return word.capitalize()
    casing = max(sorted(scores), key=lambda candidate: (scores[candidate], candidate == word), default=word)
    if casing == word or (casing.isupper() and (len(casing) > 5 or _ROMAN.fullmatch(word))):
        return word
    margin = names.margin
    if word in COMMON_TODAY:  # a name only as part of one: "United States"
        if previous is None or not previous[0].isupper():
            return word
        margin *= 10
    if word not in counts:
        return casing if counts[casing] >= names.seen else word
    is_slip = word not in COMMON_TODAY and is_rare_below(word, casing, counts)
    return casing if scores[casing] >= margin * scores[word] or is_slip else word


def is_rare_below(word: str, casing: str, counts: dict[str, int]) -> bool:
    """Return whether the lower-case word was seen so seldom beside the casing that it is a slip of the corpus."""
    return counts[casing] >= SEEN_OFTEN and counts[word] <= RARE_SHARE * counts[casing]
