"""Whether a word inside a sentence is a name, by the counts of its casings."""

import re
from collections.abc import Callable, Iterable, Mapping
from enum import Enum

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
SURE_LOWER = 4  # this many times likelier in lower case, and the dialogue's casing is a title's, not a name's
_SAID = re.compile(r"[A-Z](?<=[a-z] [A-Z])[^\W\d_]+")
NUMERAL = re.compile(r"i{2,3}|iv|vi{1,3}|ix|xi{1,3}")  # of a war, a pope
_ADJECTIVE = re.compile(r"(?:an|ese|ish|ic|ch)\Z")
_ROMAN = re.compile(r"[ivxlcdm]+")


class Names(Enum):
    """How much likelier than lower case a casing must be, and how often an unopposed one must have been seen."""

    CASED = (25, 4)  # the text is cased elsewhere, so lower case is evidence
    ALL_LOWER = (4, 1)  # lower case says nothing

    @property
    def margin(self) -> int:
        """Return the minimum ratio of scores."""
        return self.value[0]

    @property
    def least_count(self) -> int:
        """Return the minimum count for a word never seen in lower case."""
        return self.value[1]


def likely_casing(  # noqa: PLR0911  each return is a reason
    word: str,
    previous: str | None,
    scores: dict[str, int],
    counts: dict[str, int],
    names: Names,
    is_beside_name: Callable[[], bool] = lambda: False,
) -> str:
    """Return the casing of a lower-case word that the statistics support well enough, else the word itself.

    `previous` is the cased token before it, `scores` come from `Statistics.scores`; `is_beside_name` is called only
    for texts all in lower case. Ties go to lower case, then to the first in the alphabet.
    """
    if word in CALENDAR:
        return word.capitalize()
    if names is Names.ALL_LOWER and word == "us" and previous in ("the", "The"):
        return "US"
    if names is Names.ALL_LOWER and word in PARTS_OF_NAMES and is_beside_name():
        return word.capitalize()
    casing = max(sorted(scores), key=lambda candidate: (scores[candidate], candidate == word), default=word)
    if names is Names.ALL_LOWER and casing != word and NUMERAL.fullmatch(word) and is_beside_name():
        return word.upper()
    if casing == word or (casing.isupper() and (len(casing) > 5 or _ROMAN.fullmatch(word))):
        return word
    margin = names.margin
    if word in COMMON_TODAY:  # a name only as part of one: "United States"
        if names is Names.ALL_LOWER:
            return word.capitalize() if is_beside_name() else word
        if previous is None or not previous[0].isupper() or casing.isupper():
            return word
        margin *= 10
    if word not in counts:
        return casing if counts[casing] >= names.least_count and (counts[casing] > 1 or not casing.isupper()) else word
    is_slip = word not in COMMON_TODAY and is_rare_below(word, casing, counts)
    return casing if scores[casing] >= margin * scores[word] or is_slip else word


def surname(word: str, previous: str, casings: Mapping[str, Mapping[str, int]]) -> str:
    """Return an unknown word capitalised if it follows a name that is not an adjective ("Indian"), else as it is."""
    is_after_name = previous.istitle() and not _ADJECTIVE.search(previous)
    return word.capitalize() if is_after_name and is_always_name(casings.get(previous.lower(), {})) else word


def is_always_name(counts: Mapping[str, int]) -> bool:
    """Return whether a word was seen often enough, and hardly ever in lower case."""
    most = max(counts, key=lambda casing: counts[casing], default="")
    return most[:1].isupper() and is_rare_below(most.lower(), most, {most.lower(): 0, **counts})


def is_mostly_name(word: str, casings: Mapping[str, Mapping[str, int]]) -> bool:
    """Return whether a lower-case word is usually a name, or ends names, or is unknown and so capitalised."""
    counts = casings.get(word, {})
    return word in PARTS_OF_NAMES or not max(counts, key=lambda casing: counts[casing], default="X").islower()


def is_rare_below(word: str, casing: str, counts: Mapping[str, int]) -> bool:
    """Return whether the lower-case word is so rare compared with the casing that it is an error in the corpus."""
    return counts[casing] >= SEEN_OFTEN and counts[word] <= RARE_SHARE * counts[casing]


def has_names(text: str) -> bool:
    """Return whether a word has a capital inside a sentence; `names_said` excludes words also seen in lower case."""
    return _SAID.search(text) is not None


def names_said(turns: Iterable[str]) -> dict[str, str]:
    """Return the words capitalised inside a dialogue's sentences and never in lower case in a cased turn."""
    casings: dict[str, str] = {}
    cased = []
    for turn in turns:
        names = _SAID.findall(turn)
        if names:
            cased.append(turn)
            for name in names:
                casings.setdefault(name.lower(), name)
    return {word: name for word, name in casings.items() if not any(_has_word(turn, word) for turn in cased)}


def _has_word(text: str, word: str) -> bool:
    at = text.find(word)
    while at >= 0:
        if not text[at - 1 : at].isalpha() and not text[at + len(word) : at + len(word) + 1].isalpha():
            return True
        at = text.find(word, at + 1)
    return False


def known_casing(word: str, counts: Mapping[str, int], dialogue_names: Mapping[str, str], names: Names) -> str | None:
    """Return the casing that the dialogue or today's names give a word, unless the statistics know it in lower case."""
    if names is Names.ALL_LOWER and word in NAMES_TODAY:
        return NAMES_TODAY[word]
    casing = dialogue_names.get(word)
    if casing is None or counts.get(word, 0) > (SURE_LOWER * counts.get(casing, 0) if names is Names.ALL_LOWER else 0):
        return None
    return casing
