"""Whether a word inside a sentence is a name, by the counts of its casings."""

from enum import Enum

# Common nouns of today that the statistics, from older news and official text, know as names or titles.
COMMON_TODAY = frozenset(
    """
    internet web net email online video digital app blog server media data god earth sun moon bible state states
    government congress senate university college school church court president king queen prince princess company
    corporation department committee board federal union party army navy force north south east west northern southern
    eastern western mr mrs treasury exchange commission council minister secretary general chairman director county
    city street avenue road river lake mountain island park museum library hospital hotel center centre
    """.split()
)


class Names(Enum):
    """How much likelier than lower case a casing must be, and how often an unopposed one must have been seen."""

    CASED = (60, 4)  # the text is cased elsewhere, so lower case is evidence
    ALL_LOWER = (6, 2)  # lower case says nothing

    @property
    def margin(self) -> int:
        """Return the least ratio of scores."""
        return self.value[0]

    @property
    def seen(self) -> int:
        """Return the least count of a word never seen in lower case."""
        return self.value[1]


def likely_casing(word: str, scores: dict[str, int], counts: dict[str, int], names: Names) -> str:
    """Return the casing of a lower-case word that the statistics support well enough, else the word itself.

    `scores` are those of `Statistics.scores`; ties go to lower case, then to the first in the alphabet.
    """
    if not scores or word in COMMON_TODAY:
        return word
    casing = max(sorted(scores), key=lambda candidate: (scores[candidate], candidate == word))
    if casing == word or (casing.isupper() and len(casing) > 5):
        return word
    if word not in counts:
        return casing if counts[casing] >= names.seen else word
    return casing if scores[casing] >= names.margin * scores[word] else word
