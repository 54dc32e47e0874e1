"""Whether a word inside a sentence is a name, by the counts of its casings."""

import re
from collections.abc import Callable, Iterable, Mapping
from enum import Enum

from zephyr_data.cleaning.truecase.statistics import MOST_LOWER, Statistics

# Today's common nouns that the statistics, from older news and official texts, treat as names or titles.
COMMON_TODAY = frozenset(
    """
    internet web net email online video digital app blog server media data god earth sun moon bible state states
    government congress senate university college school church court president king queen prince princess company
    corporation department committee board federal union party army navy force north south east west northern southern
    eastern western mr mrs treasury exchange commission council minister secretary general chairman director county
    city street avenue road river lake mountain island park museum library hospital hotel center centre
    hi max int fn var hon num gte lte wireless telecom stats info magma genetics republicanism ado sol po titan cat
    basil rosemary chia mascot
    """.split()
)


# How names of places and bodies end: capitalised next to a name where lower case says nothing.
PARTS_OF_NAMES = frozenset(
    """
    academy awards award press church war wars school empire revolution library libraries college prize cup road engine
    hotel society borough mountains games court foundation highway cafe festival bridge bay beach coast canyon valley
    forest garden gardens square tower theatre theater gallery stadium airport station institute university county river
    republic kingdom ocean sea desert peninsula islands treaty dynasty league association journal magazine act
    """.split()
)

# Always names.
CALENDAR = frozenset(
    "monday tuesday wednesday thursday friday saturday sunday january february april june july september october "
    "november december".split()
)
SEEN_OFTEN, RARE_SHARE = 20, 0.03  # "Mexico" 146 times, "mexico" 3 times: errors in the corpus
# Names newer than the statistics, in their only casing. Words that are also common nouns or verbs are not here.
NAMES_TODAY = {
    name.lower(): name
    for name in """
    AI ChatGPT GPT OpenAI Google YouTube Facebook Twitter Instagram TikTok WhatsApp LinkedIn Reddit Wikipedia Netflix
    Spotify Airbnb Tesla Microsoft GitHub GitLab JavaScript TypeScript HTML CSS JSON XML SQL MySQL PostgreSQL MongoDB
    SQLite
    PHP API APIs URL URLs PDF CSV CPU CPUs GPU GPUs SSD USB CEO CTO CFO SEO UI UX IoT NLP LLM LLMs COVID NASA NBA
    NFL UEFA FIFA NASDAQ DNA RNA MRI FAQ FAQs DIY iPhone iPad iPod iOS macOS Bluetooth eBay PayPal PlayStation Xbox
    Nintendo Kubernetes Linux Ubuntu WordPress PowerPoint Photoshop Bitcoin Ethereum NumPy Django NVIDIA
    ASCII HTTP HTTPS IDE JVM
    SaaS CRM EU GDP PhD Beyonce Zuckerberg Obama Biden Zelensky Hogwarts Brexit UNESCO GDPR CNN BBC ESPN HBO
    Python Java Pokemon Minecraft Roblox Fortnite Siri Alexa
    """.split()
}
NUMERAL = re.compile(r"i{2,3}|iv|vi{1,3}|ix|xi{1,3}")  # of a war, a pope
_ADJECTIVE = re.compile(r"(?:an|ese|ish|ic|ch)\Z")
_ROMAN = re.compile(r"[ivxlcdm]+")


class Names(Enum):
    """How much likelier than lower case a casing must be, and how often an unopposed one must have been seen."""

    CASED = (25, 4)  # the text is cased elsewhere, so lower case is evidence
    MIXED = (25, 5)  # some names have their capitals, others do not
    LOST = (4, 3)  # sentences begin with capitals, but names of the dialogue do not
    ALL_LOWER = (4, 1)  # lower case says nothing

    @property
    def margin(self) -> int:
        """Return the minimum ratio of scores."""
        return self.value[0]

    @property
    def least_count(self) -> int:
        """Return the minimum count for a word never seen in lower case."""
        return self.value[1]

    @property
    def are_lost(self) -> bool:
        """Return whether names in lower case are to be expected."""
        return self is not Names.CASED


def likely_casing(  # noqa: PLR0911  each return is a reason
    word: str,
    previous: str | None,
    scores: dict[str, int],
    counts: Mapping[str, int],
    names: Names,
    is_beside_name: Callable[[], bool] = lambda: False,
) -> str:
    """Return the casing of a lower-case word that the statistics support well enough, else the word itself.

    `previous` is the cased token before it, `scores` come from `Statistics.scores`; `is_beside_name` is called only
    for texts all in lower case. Ties go to lower case, then to the first in the alphabet.
    """
    if word in CALENDAR:
        return word.capitalize()
    if names.are_lost and word == "us" and previous in ("the", "The"):
        return "US"
    if names.are_lost and word in PARTS_OF_NAMES and is_beside_name():
        return word.capitalize()
    casing = max(sorted(scores), key=lambda candidate: (scores[candidate], candidate == word), default=word)
    if names.are_lost and casing != word and NUMERAL.fullmatch(word) and is_beside_name():
        return word.upper()
    if casing == word or (casing.isupper() and (len(casing) > 5 or _ROMAN.fullmatch(word))):
        return word
    margin = names.margin
    if word in COMMON_TODAY:  # a name only as part of one: "United States"
        if names.are_lost:
            return word.capitalize() if is_beside_name() else word
        if previous is None or not previous[0].isupper() or casing.isupper():
            return word
        margin *= 10
    if word not in counts:
        return casing if counts[casing] >= names.least_count and (counts[casing] > 1 or not casing.isupper()) else word
    is_slip = word not in COMMON_TODAY and is_rare_below(word, casing, counts)
    return casing if scores[casing] >= margin * scores[word] or is_slip else word


def surname(word: str, previous: str, following: str, casings: Mapping[str, Mapping[str, int]]) -> str:
    """Return an unknown word capitalised if it is part of a name, else as it is.

    It is if it follows a name that is not an adjective ("Indian"), or has an accent and stands before a name.
    """
    is_after = (
        previous.istitle() and not _ADJECTIVE.search(previous) and is_always_name(casings.get(previous.lower(), {}))
    )
    is_before = not word.isascii() and _likeliest(casings.get(following, {})).istitle()
    return word.capitalize() if is_after or is_before else word


def _likeliest(counts: Mapping[str, int]) -> str:
    return max(counts, key=lambda casing: counts[casing], default="")


def is_always_name(counts: Mapping[str, int]) -> bool:
    """Return whether a word was seen often enough, and hardly ever in lower case."""
    most = _likeliest(counts)
    return most[:1].isupper() and is_rare_below(most.lower(), most, {most.lower(): 0, **counts})


def names_lost(words: Iterable[str], statistics: Statistics) -> int:
    """Return how many different longer words in lower case are always names."""
    uncommon = set(words) - statistics.common_words(MOST_LOWER)  # these are none
    longer = (word for word in uncommon if len(word) > 3 and word.islower())
    return sum(is_always_name(statistics.casings.get(word, {})) for word in longer)


def is_mostly_name(word: str, casings: Mapping[str, Mapping[str, int]]) -> bool:
    """Return whether a lower-case word is usually a name, or ends names, or is unknown and so capitalised."""
    return word in PARTS_OF_NAMES or not _likeliest(casings.get(word, {})).islower()


def is_rare_below(word: str, casing: str, counts: Mapping[str, int]) -> bool:
    """Return whether the lower-case word is so rare compared with the casing that it is an error in the corpus."""
    return counts[casing] >= SEEN_OFTEN and counts[word] <= RARE_SHARE * counts[casing]
