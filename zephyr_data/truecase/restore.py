"""Restore the case of one badly cased text. Case only: the folded text is equal before and after."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import accumulate

from zephyr_data.language import FUNCTION_WORDS, looks_english
from zephyr_data.truecase.boundaries import ABBREVIATIONS, starts_sentence
from zephyr_data.truecase.layout import LONGEST_VERSE, continues_letters, is_punctuated, starts_line
from zephyr_data.truecase.masks import HOLE, blank_protected, blank_quotations
from zephyr_data.truecase.names import (
    NAMES_TODAY,
    Names,
    is_always_name,
    is_mostly_name,
    known_casing,
    likely_casing,
    surname,
)
from zephyr_data.truecase.settled import StaysLower
from zephyr_data.truecase.statistics import Statistics

_WORD = re.compile(r"[^\W\d_]+")
_TOKEN = re.compile(rf"[^\W\d_]+|\d+|[^\w\s{HOLE}]")
_GLUE_BEFORE = re.compile(r"[\w@#/\\_=<>~|$%^+.-]")
_GLUE_AFTER = re.compile(r"[\w@#/\\_=<>~|$%^+]|\.\w|:\w|-\d")
_SHOUTED = re.compile(r"\b(?:THE|AND|OF|TO|IS|ARE|IN|YOU|FOR|THAT|THIS|IT|WITH|NOT|WAS|YOUR|CAN|HAVE|ON|AS|A|I)\b")
# Written in lower case by those who named them, also at a sentence start.
LOWER_BY_NAME = frozenset(
    "npm pip git sudo numpy pandas scipy ls cd grep awk sed curl ssh bash zsh vim apt yarn nginx iphone ipad ipod imac "
    "ebay itunes icloud macos ios ipados watchos adidas eslint webpack jquery systemd cron def var const "
    "ii iii iv vi vii viii ix xi xii xiii xiv xv xvi".split()
)
_WITHOUT_LOWER = dict.fromkeys(range(ord("a"), ord("z") + 1))
NEARBY = 12  # tokens on either side in which a word of English must stand
_OPENERS = "\"“‘'«([*_ \t\r\n"
_ENDERS = frozenset(".!?\"”’'»)]*_")
_BEFORE_I = frozenset(
    "and but if when that what can should do did would could how where why may am was have so because then than as or "
    "said think will while since until before after whether sometimes which though although maybe must might".split()
)
# i as a variable, an index, a unit, a numeral.
_VARIABLE_I = re.compile(
    r"\b(?:loops?|variables?|index(?:es)?|indices|arrays?|iterat\w+|subscripts?|imaginary|counters?|exponents?|summation)\b"
    r"|\d ?i\b|\bi ?[=×*+/^<>\[]|[=×*+/^<\[] ?i\b|\(i\)|\bi, ?(?:ii|j)\b|\bi (?:is|takes|reaches|equals|becomes)\b"
)
_SPEAKS_OF_CODE = re.compile(r"(?i)\b(?:code|files?|functions?|methods?|class|module|script|folder|variables?)\b")
_AFTER_I = frozenset("in th j k n and or is of for to from".split())


NOTHING_KNOWN: Mapping[str, str] = {}


@dataclass(frozen=True)
class Recased:
    """A word whose case changed: its span in characters, and why."""

    start: int
    end: int
    rule: str


def restore(
    text: str, statistics: Statistics, said: str = "", known: Mapping[str, str] = NOTHING_KNOWN
) -> tuple[str, list[Recased]]:
    """Return the text with its case restored, and the words that changed.

    Words in lower case are raised where a sentence starts, as the pronoun I, and as names; a text all in capitals is
    lowered first. Protected spans, quotations of `said` (the user's words) and texts that do not look English stay.
    `known` are the names of the dialogue, from lower case to their casing.
    """
    free = blank_quotations(blank_protected(text), said)
    words = [word for word in _WORD.findall(free) if word[0].isalpha()]
    if not words or not looks_english([word.lower() for word in words]):
        return text, []
    tokens = list(_TOKEN.finditer(free))
    is_all_caps = shouts(free, words)
    plain = text
    if is_all_caps:
        free, plain = "".join(map(lower_letter, free)), "".join(map(lower_letter, text))
    is_all_lower = is_all_caps or (len(words) >= 3 and all(word == word.lower() for word in words))
    return _Text(text, plain, free, tokens, statistics, is_all_lower, known).restored(
        "all-caps" if is_all_caps else None
    )


def shouts(text: str, words: list[str]) -> bool:
    """Return whether whole sentences stand in capitals: not an acronym, a heading or a query."""
    letters = "".join(words)
    lower = len(letters) - len(letters.translate(_WITHOUT_LOWER))
    if len(words) < 5 or lower > 0.1 * len(letters):
        return False
    upper = sum(map(str.isupper, letters))
    return upper >= 0.9 * len(letters) and len(_SHOUTED.findall(text)) >= max(2, len(words) // 8)


def raise_letter(letter: str) -> str:
    """Return the capital of a letter, or the letter itself where that would change more than its case."""
    upper = letter.upper()
    return upper if len(upper) == 1 and upper.lower() == letter and upper.casefold() == letter.casefold() else letter


def lower_letter(letter: str) -> str:
    """Return the small letter of a capital, or the letter itself where that would change more than its case."""
    lower = letter.lower()
    return lower if len(lower) == 1 and lower.upper() == letter and lower.casefold() == letter.casefold() else letter


class _Text:
    """One text under restoration: `plain` is it, lowered if it shouts; `free` the same with protected parts blanked."""

    def __init__(
        self,
        text: str,
        plain: str,
        free: str,
        tokens: list[re.Match[str]],
        statistics: Statistics,
        is_all_lower: bool,
        known: Mapping[str, str],
    ) -> None:
        self.text = text
        self.plain = plain
        self.free = free
        self.tokens = tokens
        self.cased = [free[token.start() : token.end()] for token in tokens]
        self.names = Names.ALL_LOWER if is_all_lower else Names.CASED
        self.statistics = statistics
        self.known = known
        self.has_lines = is_all_lower and is_punctuated(plain)

    @cached_property
    def _is_prose(self) -> bool:
        return "`" not in self.plain and not _SPEAKS_OF_CODE.search(self.plain)

    @cached_property
    def _is_i_variable(self) -> bool:
        return bool(_VARIABLE_I.search(self.plain))

    @cached_property
    def _english(self) -> list[int]:
        return _running_counts(token[0].lower() in FUNCTION_WORDS for token in self.tokens)

    @cached_property
    def _words(self) -> list[int]:
        return _running_counts(token[0].isalpha() for token in self.tokens)

    def restored(self, reason: str | None) -> tuple[str, list[Recased]]:
        """Return the restored text and its changes; all words of a text that was lowered are changes."""
        rules = {at: self._decide(at) for at in self._open_places()}
        if reason:
            rules = dict.fromkeys(range(len(self.tokens)), reason)
        changes, pieces, done = [], [], 0
        for at, rule in rules.items():
            start, end = self.tokens[at].span()
            if self.cased[at] != self.text[start:end]:
                changes.append(Recased(start, end, rule))
                pieces += [self.text[done:start], self.cased[at]]
                done = end
        return "".join([*pieces, self.text[done:]]), changes

    def _open_places(self) -> Iterator[int]:
        """Yield the tokens in lower case that may be raised: possible names, and what may begin a sentence.

        A word surely goes on a sentence after one space and a letter, digit or comma.
        """
        plain, stays = self.plain, stays_lower(self.statistics, self.names)
        for at, word in enumerate(self.cased):
            if word.islower():
                if stays[word] and word not in self.known and word not in NAMES_TODAY:
                    start = self.tokens[at].start()
                    if (
                        start > 1
                        and plain[start - 1] == " "
                        and (plain[start - 2].isalnum() or plain[start - 2] == ",")
                    ):
                        continue
                yield at

    def _decide(self, at: int) -> str:
        """Set the casing of the token at that place; return the reason."""
        word, (start, end) = self.cased[at], self.tokens[at].span()
        if not word.isalpha():
            return ""
        casing, rule = self._propose(at, start, end, word)
        if casing != word and not self._is_glued(start, end) and self._is_in_english(at):
            self.cased[at] = casing
        return rule

    def _propose(self, at: int, start: int, end: int, word: str) -> tuple[str, str]:
        if word == "i":
            return ("I" if self._is_pronoun(at, end) else "i"), "lone-i"
        if len(word) == 1 and not (word == "a" and self.free[end : end + 1] == " "):
            if continues_letters(self.plain, start, end):
                return raise_letter(word), "line-start"
            return word, ""  # a list marker, a variable
        name = self._name(at, word)
        place = self._place(at, start, word, is_name=name != word)
        if place and word not in LOWER_BY_NAME:
            return (name if name != word else raise_letter(word[0]) + word[1:]), place
        return name, "name"

    def _name(self, at: int, word: str) -> str:
        counts = self.statistics.casings.get(word, {})
        known = known_casing(word, counts, self.known, self.names)
        if known:
            return known
        if word in ABBREVIATIONS and self._neighbour(at + 1) == ".":
            return word
        if not counts and self.names is Names.ALL_LOWER:
            return surname(word, self._neighbour(at - 1) or "", self.statistics.casings)
        if word in FUNCTION_WORDS or not any(casing != word for casing in counts):
            return word
        scores = self.statistics.scores(self._neighbour(at - 1), word, self._neighbour(at + 1, lower=True))
        return likely_casing(
            word, self._neighbour(at - 1), scores, counts, self.names, lambda: self._is_beside_name(at)
        )

    def _is_beside_name(self, at: int) -> bool:
        previous, following = self._neighbour(at - 1) or "", self._neighbour(at + 1, lower=True) or ""
        is_after = previous[:1].isupper() and is_mostly_name(previous.lower(), self.statistics.casings)
        return is_after or is_always_name(self.statistics.casings.get(following, {}))

    def _is_glued(self, start: int, end: int) -> bool:
        before, after = self.free[start - 1 : start], self.free[end : end + 2]
        if before in ("'", "’") and self.free[start - 2 : start - 1].isalnum():
            return True  # the s of it's
        return bool(before and (before == HOLE or _GLUE_BEFORE.match(before)) and before.strip()) or bool(
            after[:1] == HOLE or _GLUE_AFTER.match(after)
        )

    def _neighbour(self, at: int, *, lower: bool = False) -> str | None:
        if not 0 <= at < len(self.cased):
            return None
        return self.cased[at].lower() if lower else self.cased[at]

    def _is_pronoun(self, at: int, end: int) -> bool:
        after = self.free[end : end + 3].lower()
        if after[:1] in "'’" and after[1:2] in ("m", "v", "l", "d"):
            return True
        if self._is_i_variable or after[:1] in (")", ".", ":"):
            return False
        following, previous = self._neighbour(at + 1, lower=True), (self._neighbour(at - 1) or "").lower()
        if previous in ("for", "index", "where", "variable", "element", "let", "item", "step", "(", "="):
            return False
        return previous in _BEFORE_I or bool(following and following.isalpha() and following not in _AFTER_I)

    def _place(self, at: int, start: int, word: str, *, is_name: bool) -> str:
        if self.has_lines and starts_line(self.plain, start):
            return "line-start"
        near = self.plain[max(0, start - 8) : start].rstrip(_OPENERS)
        if near and near[-1] not in _ENDERS:
            return ""
        before = self.plain[:start]
        if not before.strip("\"“‘'«*_ \t\r\n"):
            return "turn-start" if self._reads_as_sentence() else ""
        if self._is_verse(start):
            return ""
        is_start = starts_sentence(before, word, is_name=is_name or word in self.known, is_prose=self._is_prose)
        return "sentence-start" if is_start else ""

    def _is_in_english(self, at: int) -> bool:
        first, last = max(0, at - NEARBY), min(len(self.cased), at + NEARBY + 1)
        return self._words[last] - self._words[first] < 8 or self._english[last] > self._english[first]

    def _is_verse(self, start: int) -> bool:
        """Return whether the word begins a line of several that follow each other and begin in lower case."""
        previous = re.search(r"(?:\A|\n)([^\n]+)\n[ \t]*\Z", self.plain[max(0, start - 100) : start])
        if not previous or len(previous[1]) > LONGEST_VERSE:
            return False
        following = re.match(rf"[^\n:?]{{,{LONGEST_VERSE}}}\n[ \t]*([^\s])", self.plain[start : start + 100])
        return bool(following and following[1].islower())

    def _reads_as_sentence(self) -> bool:
        first_line = self.free.strip().split("\n", 1)[0].rstrip("\"”’')*_ ")
        return len(first_line.split()) >= 4 and first_line[-1:] in ".!?:,;" and HOLE not in first_line[:12]


@lru_cache(maxsize=8)
def stays_lower(statistics: Statistics, names: Names) -> StaysLower:
    """Return the memory of words that stay as they are, one for each table and kind of text."""
    return StaysLower(statistics, names)


def _running_counts(flags: Iterable[bool]) -> list[int]:
    """Return how many of the flags before each place are set, and at the end of all."""
    return [0, *accumulate(flags)]
