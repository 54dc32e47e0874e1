"""Restore the case of one badly cased text. Case only: the folded text is equal before and after."""

import re
from dataclasses import dataclass

from zephyr_data.language import FUNCTION_WORDS, looks_english
from zephyr_data.truecase.boundaries import starts_sentence
from zephyr_data.truecase.masks import HOLE, blank_protected
from zephyr_data.truecase.names import Names, likely_casing
from zephyr_data.truecase.statistics import Statistics

_TOKEN = re.compile(r"[^\W\d_]+|\d+|[^\w\s]")
_GLUE_BEFORE = re.compile(r"[\w@#/\\_=<>~|$%^+.-]")
_GLUE_AFTER = re.compile(r"[\w@#/\\_=<>~|$%^+]|\.\w|:\w|-\d")
_SHOUTED = re.compile(r"\b(?:THE|AND|OF|TO|IS|ARE|IN|YOU|FOR|THAT|THIS|IT|WITH|NOT|WAS|YOUR|CAN|HAVE|ON|AS|A|I)\b")
# Written in lower case by those who named them, also at a sentence start.
LOWER_BY_NAME = frozenset(
    "npm pip git sudo numpy pandas scipy ls cd grep awk sed curl ssh bash zsh vim apt yarn nginx iphone ipad ipod imac "
    "ebay itunes icloud macos ios ipados watchos adidas eslint webpack jquery systemd cron def var let const".split()
)
_BEFORE_I = frozenset(
    "and but if when that what can should do did would could how where why may am was have so because then than as or "
    "said think will while since until before after whether sometimes which though although maybe must might".split()
)
_AFTER_I = frozenset("in th j k n and or is of for to from".split())


@dataclass(frozen=True)
class Recased:
    """A word whose case changed: its span in characters, and why."""

    start: int
    end: int
    rule: str


def restore(text: str, statistics: Statistics) -> tuple[str, list[Recased]]:
    """Return the text with its case restored, and the words that changed.

    Words in lower case are raised where a sentence starts, as the pronoun I, and as names; a text all in capitals is
    lowered first. Protected spans and texts that do not look English stay as they are.
    """
    free = blank_protected(text)
    tokens = [token for token in _TOKEN.finditer(free) if token[0] != HOLE]
    words = [token[0] for token in tokens if token[0][0].isalpha()]
    if not words or not looks_english([word.lower() for word in words]):
        return text, []
    is_all_caps = shouts(free, words)
    plain = text
    if is_all_caps:
        free, plain = "".join(map(lower_letter, free)), "".join(map(lower_letter, text))
    is_all_lower = is_all_caps or (len(words) >= 3 and all(word == word.lower() for word in words))
    return _Text(text, plain, free, tokens, statistics, is_all_lower).restored("all-caps" if is_all_caps else None)


def shouts(text: str, words: list[str]) -> bool:
    """Return whether whole sentences stand in capitals: not an acronym, a heading or a query."""
    letters = [letter for word in words for letter in word]
    upper = sum(letter.isupper() for letter in letters)
    return len(words) >= 5 and upper >= 0.9 * len(letters) and len(_SHOUTED.findall(text)) >= max(2, len(words) // 8)


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
    ) -> None:
        self.text = text
        self.plain = plain
        self.free = free
        self.tokens = tokens
        self.cased = [free[token.start() : token.end()] for token in tokens]
        self.names = Names.ALL_LOWER if is_all_lower else Names.CASED
        self.statistics = statistics

    def restored(self, reason: str | None) -> tuple[str, list[Recased]]:
        characters, changes = list(self.text), []
        for at, token in enumerate(self.tokens):
            start, end = token.span()
            rule = self._decide(at, start, end)
            characters[start:end] = self.cased[at]
            if self.cased[at] != self.text[start:end]:
                changes.append(Recased(start, end, reason or rule))
        return "".join(characters), changes

    def _decide(self, at: int, start: int, end: int) -> str:
        """Set the casing of the token at that place; return the reason."""
        word = self.cased[at]
        if not (word.isalpha() and word.islower()) or self._is_glued(start, end) or not self._is_in_english(at):
            return ""
        if word == "i":
            self.cased[at] = "I" if self._is_pronoun(at, end) else "i"
            return "lone-i"
        if len(word) == 1 and not (word == "a" and self.free[end : end + 1] == " "):
            return ""  # a list marker, a variable
        scores = self.statistics.scores(self._neighbour(at - 1), word, self._neighbour(at + 1, lower=True))
        name = likely_casing(word, scores, self.statistics.casings.get(word, {}), self.names)
        place = self._place(at, start, word, is_name=name != word)
        if place and word not in LOWER_BY_NAME:
            self.cased[at] = name if name != word else raise_letter(word[0]) + word[1:]
            return place
        self.cased[at] = name
        return "name"

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
        if after[:1] in (")", ".", ":"):
            return False
        following, previous = self._neighbour(at + 1, lower=True), (self._neighbour(at - 1) or "").lower()
        if previous in ("for", "index", "where", "variable", "element", "let", "item", "step", "(", "="):
            return False
        return previous in _BEFORE_I or bool(following and following.isalpha() and following not in _AFTER_I)

    def _place(self, at: int, start: int, word: str, *, is_name: bool) -> str:
        before = self.plain[:start]
        if not before.strip("\"“‘'«*_ \t\r\n"):
            return "turn-start" if self._reads_as_sentence() else ""
        if self._is_verse(start):
            return ""
        return "sentence-start" if starts_sentence(before, word, is_name=is_name) else ""

    def _is_in_english(self, at: int) -> bool:
        around = [word.lower() for word in self.cased[max(0, at - 12) : at + 13] if word.isalpha()]
        return len(around) < 8 or any(word in FUNCTION_WORDS for word in around)

    def _is_verse(self, start: int) -> bool:
        """Return whether the word begins a line of several that follow each other and begin in lower case."""
        if not re.search(r"[^\n]\n[ \t]*\Z", self.plain[:start]):
            return False
        following = re.match(r"[^\n]*\n[ \t]*([^\s])", self.plain[start:])
        return bool(following and following[1].islower())

    def _reads_as_sentence(self) -> bool:
        first_line = self.free.strip().split("\n", 1)[0].rstrip("\"”’')*_ ")
        return len(first_line.split()) >= 4 and first_line[-1:] in ".!?:,;" and HOLE not in first_line[:12]
