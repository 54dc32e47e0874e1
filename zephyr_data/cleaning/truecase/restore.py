"""Restore the case of one badly cased text. Case only: the case-folded text is the same before and after."""

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

from zephyr_data.cleaning.language import FEW_WORDS, FUNCTION_WORDS, looks_english
from zephyr_data.cleaning.truecase.boundaries import ABBREVIATIONS, starts_sentence
from zephyr_data.cleaning.truecase.dialogue import NO_NAMES
from zephyr_data.cleaning.truecase.evidence import lost_capitals
from zephyr_data.cleaning.truecase.layout import LONGEST_VERSE, continues_letters, is_punctuated, starts_line
from zephyr_data.cleaning.truecase.masks import HOLE, blank_protected, blank_quotations
from zephyr_data.cleaning.truecase.names import Names, names_lost
from zephyr_data.cleaning.truecase.statistics import Statistics
from zephyr_data.cleaning.truecase.words import Words, words_at

_TOKEN = re.compile(rf"([^\W\d_]+|\d+|[^\w\s{HOLE}])")
_ASCII_TOKEN = re.compile(rf"([A-Za-z]+|[0-9]+|[^\w\s{HOLE}])", re.ASCII)  # the same for ASCII text, in half the time
_GLUE_BEFORE = re.compile(r"[\w@#/\\_=<>~|$%^+.-]")
_GLUE_AFTER = re.compile(r"[\w@#/\\_=<>~|$%^+]|\.\w|:\w|-\d")
_SHOUTED = re.compile(r"\b(?:THE|AND|OF|TO|IS|ARE|IN|YOU|FOR|THAT|THIS|IT|WITH|NOT|WAS|YOUR|CAN|HAVE|ON|AS|A|I)\b")
# Written in lower case by those who named them, even at the start of a sentence.
LOWER_BY_NAME = frozenset(
    "npm pip git sudo numpy pandas scipy ls cd grep awk sed curl ssh bash zsh vim apt yarn nginx iphone ipad ipod imac "
    "ebay itunes icloud macos ios ipados watchos adidas eslint webpack jquery systemd cron def var const "
    "ii iii iv vi vii viii ix xi xii xiii xiv xv xvi".split()
)
_WITHOUT_LOWER = dict.fromkeys(range(ord("a"), ord("z") + 1))
LEAST_LOST = 2  # words that are always names, in lower case: others are lost too
NEARBY = 12  # tokens on either side, which must include an English word
_OPENERS = "\"“‘'«([*_ \t\r\n"
_ENDERS = frozenset(".!?\"”’'»)]*_")
# A small letter after a sentence end, closers and openers: a sentence can start only here or at the beginning.
_MAY_START = re.compile(r"[.!?][\"”’'»)\]*_“‘«(\[\s]+(?=[^\W\d_A-Z])")
# A word that may not continue a sentence; after one space and a letter, digit or comma it surely does.
_NOT_GOING_ON = re.compile(r"(?<![^\W\d_])(?<![^\W_] )(?<!, )[^\W\d_A-Z]")
_LETTER_ON_LINE = re.compile(r"(?:\A|\n)[ \t]*[(\[*-]?(?=[^\W\d_A-Z][:.)])")
_VERSE_BEFORE = re.compile(r"(?:\A|\n)([^\n]+)\n[ \t]*\Z")
_VERSE_AFTER = re.compile(rf"[^\n:?]{{,{LONGEST_VERSE}}}\n[ \t]*([^\s])")
_BEFORE_I = frozenset(
    "and but if when that what can should do did would could how where why may am was have so because then than as or "
    "said think will while since until before after whether sometimes which though although maybe must might".split()
)
# i as a variable, an index, a unit, a numeral.
_VARIABLE_I = re.compile(
    r"\b(?:loops?|variables?|index(?:es)?|indices|arrays?|iterat\w+|subscripts?|imaginary|counters?|exponents?|summation)\b"
    r"|\d ?i\b|\bi ?[=×*+/^<>\[]|[=×*+/^<\[] ?i\b|\(i\)|\bi, ?(?:ii|j)\b|\bi (?:is|takes|reaches|equals|becomes)\b"
)
_CODE_WORDS = ("code", "file", "function", "method", "class", "module", "script", "folder", "variable")
_SPEAKS_OF_CODE = re.compile(r"\b(?:code|files?|functions?|methods?|class|module|script|folder|variables?)\b")
_AFTER_I = frozenset("in th j k n and or is of for to from".split())


@dataclass(frozen=True)
class Recased:
    """A word whose case changed: its span in characters, and why."""

    start: int
    end: int
    rule: str


def restore(
    text: str, statistics: Statistics, user_text: str = "", dialogue_names: Mapping[int, str] = NO_NAMES
) -> tuple[str, list[Recased]]:
    """Return the text with its case restored, and the words that changed.

    Lower-case words are capitalised at sentence starts, as the pronoun I, and as names; a text all in capitals is
    lowered first. Protected spans, quotations of `user_text` and texts that do not look English stay.
    `dialogue_names` are the text's names by what its dialogue shows: offset in characters → casing.
    """
    free = blank_quotations(blank_protected(text), user_text)
    parts = (_ASCII_TOKEN if text.isascii() else _TOKEN).split(free)  # between, token, between, token, … between
    words = [token for token in parts[1::2] if token[0].isalpha()]
    if not words or not _is_english([*map(str.lower, words)], statistics):
        return text, []
    is_all_caps = shouts(free, words)
    plain = text
    if is_all_caps:
        plain, parts = "".join(map(lower_letter, text)), ["".join(map(lower_letter, part)) for part in parts]
    is_all_lower = is_all_caps or (len(words) >= 3 and all(word == word.lower() for word in words))
    names = Names.ALL_LOWER if is_all_lower else Names.LOST if dialogue_names else Names.CASED
    if names is Names.CASED and names_lost(words, statistics) >= LEAST_LOST:
        names = Names.LOST if lost_capitals(free) else Names.MIXED
    has_lines = is_all_lower and is_punctuated(plain)
    reason = "all-caps" if is_all_caps else None
    return _Text(text, plain, parts, words_at(statistics, names), dialogue_names, has_lines).restored(reason)


def _is_english(words: list[str], statistics: Statistics) -> bool:
    """Return whether the words of a turn read as English; of a few, half must be known as English words or names."""
    is_many = len(words) >= FEW_WORDS
    return looks_english(words) and (is_many or 2 * sum(map(statistics.casings.__contains__, words)) >= len(words))


def shouts(text: str, words: list[str]) -> bool:
    """Return whether whole sentences are in capitals, not just an acronym, a heading or a query."""
    letters = "".join(words)
    lower = len(letters) - len(letters.translate(_WITHOUT_LOWER))
    if len(words) < 5 or lower > 0.1 * len(letters):
        return False
    upper = sum(map(str.isupper, letters))
    return upper >= 0.9 * len(letters) and len(_SHOUTED.findall(text)) >= max(2, len(words) // 8)


def raise_letter(letter: str) -> str:
    """Return the capital of a letter, or the letter itself if that would change more than its case."""
    upper = letter.upper()
    return upper if len(upper) == 1 and upper.lower() == letter and upper.casefold() == letter.casefold() else letter


def lower_letter(letter: str) -> str:
    """Return the small letter of a capital, or the letter itself if that would change more than its case."""
    lower = letter.lower()
    return lower if len(lower) == 1 and lower.upper() == letter and lower.casefold() == letter.casefold() else letter


class _Text:
    """One text being restored: `plain` is the text, lowered if it shouts; `parts` are its tokens and the text between.

    Protected characters are blanked in `parts`. Every cased form is as long as its token.
    """

    def __init__(
        self, text: str, plain: str, parts: list[str], words: Words, dialogue_names: Mapping[int, str], has_lines: bool
    ) -> None:
        self.text = text
        self.plain = plain
        self.free = "".join(parts)
        self.cased = parts[1::2]
        self.ends = list(accumulate(map(len, parts)))[1::2]
        self.words = words
        places = {self.ends[at] - len(token): at for at, token in enumerate(self.cased)} if dialogue_names else {}
        self.dialogue_names = {places[start]: casing for start, casing in dialogue_names.items() if start in places}
        self.has_lines = has_lines

    @cached_property
    def _begins(self) -> int:
        return len(self.plain) - len(self.plain.lstrip("\"“‘'«*_ \t\r\n"))

    @cached_property
    def _is_prose(self) -> bool:
        lower = self.plain.lower()
        return "`" not in lower and not (any(word in lower for word in _CODE_WORDS) and _SPEAKS_OF_CODE.search(lower))

    @cached_property
    def _is_i_variable(self) -> bool:
        return bool(_VARIABLE_I.search(self.plain))

    def restored(self, reason: str | None) -> tuple[str, list[Recased]]:
        """Return the restored text and its changes; in a text that was lowered, every word is a change."""
        rules = {at: self._decide(at) for at in self._open_places()}
        if reason:
            rules = dict.fromkeys(range(len(self.cased)), reason)
        changes, pieces, done = [], [], 0
        for at, rule in rules.items():
            start, end = self._span(at)
            if self.cased[at] != self.text[start:end]:
                changes.append(Recased(start, end, rule))
                pieces += [self.text[done:start], self.cased[at]]
                done = end
        return "".join([*pieces, self.text[done:]]), changes

    def _span(self, at: int) -> tuple[int, int]:
        return self.ends[at] - len(self.cased[at]), self.ends[at]

    def _open_places(self) -> Iterator[int]:
        """Yield the places of lower-case tokens to look at: likely names, and what may begin a sentence or a line."""
        cased, open_words = self.cased, self.words.open_ones(self.cased)
        starts = self._starts()
        for at in sorted(
            starts.union(self.dialogue_names, [at for at, word in enumerate(cased) if word in open_words])
        ):
            if at in starts or at in self.dialogue_names or cased[at] == "i" or self._likely(at) != cased[at]:
                yield at

    def _starts(self) -> set[int]:
        cased, ends = self.cased, self.ends
        if self.has_lines:
            starts = {bisect_right(ends, match.start()) for match in _NOT_GOING_ON.finditer(self.plain)}
        else:
            starts = {bisect_right(ends, match.end()) for match in _MAY_START.finditer(self.plain)}
            starts.update(bisect_right(ends, match.end()) for match in _LETTER_ON_LINE.finditer(self.plain))
            starts.add(bisect_right(ends, self._begins))
        return {at for at in starts if at < len(cased) and cased[at].islower()}

    def _decide(self, at: int) -> str:
        """Set the casing of the token at this place; return the reason."""
        word, (start, end) = self.cased[at], self._span(at)
        if not word.isalpha():
            return ""
        if at in self.dialogue_names:
            self.cased[at] = self.dialogue_names[at]
            return "name"
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
        place = self._place(start, word, is_name=name != word)
        if place and word not in LOWER_BY_NAME:
            return (name if name != word else raise_letter(word[0]) + word[1:]), place
        is_open = self._follows_end(start) or self.words.may_be_inside(self._neighbour(at - 1), word)
        return (name if is_open else word), "name"

    def _name(self, at: int, word: str) -> str:
        is_shortened = word in ABBREVIATIONS and self._neighbour(at + 1) == "."
        return word if is_shortened else self._likely(at)

    def _likely(self, at: int) -> str:
        before, after = self._neighbour(at - 1), self._neighbour(at + 1, lower=True)
        return self.words.name(before, self.cased[at], after)

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
        return previous in _BEFORE_I or bool(
            following and following.isalpha() and following not in _AFTER_I and self.words.is_english(following)
        )

    def _place(self, start: int, word: str, *, is_name: bool) -> str:
        if self.has_lines and starts_line(self.plain, start):
            return "line-start"
        if start <= self._begins:
            return "turn-start" if self._reads_as_sentence() else ""
        if not self._follows_end(start) or self._is_verse(start):
            return ""
        is_start = starts_sentence(self.plain, start, word, is_name=is_name, is_prose=self._is_prose)
        return "sentence-start" if is_start else ""

    def _follows_end(self, start: int) -> bool:
        """Return whether a mark that may end a sentence stands before a word, or no word does."""
        near = self.plain[max(0, start - 8) : start].rstrip(_OPENERS)
        return not near or near[-1] in _ENDERS

    def _is_in_english(self, at: int) -> bool:
        near = [word.lower() for word in self.cased[max(0, at - NEARBY) : at + NEARBY + 1] if word[0].isalpha()]
        return len(near) < 8 or not FUNCTION_WORDS.isdisjoint(near)

    def _is_verse(self, start: int) -> bool:
        """Return whether the word begins one of several consecutive lines that start in lower case."""
        previous = _VERSE_BEFORE.search(self.plain[max(0, start - 100) : start])
        if not previous or len(previous[1]) > LONGEST_VERSE:
            return False
        following = _VERSE_AFTER.match(self.plain[start : start + 100])
        return bool(following and following[1].islower())

    def _reads_as_sentence(self) -> bool:
        first_line = self.free.strip().split("\n", 1)[0].rstrip("\"”’')*_ ")
        return len(first_line.split()) >= 4 and first_line[-1:] in ".!?:,;" and HOLE not in first_line[:12]
