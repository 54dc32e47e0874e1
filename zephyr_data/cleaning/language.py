"""Which language a text is in: clear cases by counting words, the rest by `langdetect` with a fixed seed."""

import re
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import polars as pl

from zephyr_data.cleaning.detector import guesses, languages, likeliest
from zephyr_data.cleaning.foreign_words import COMMON_FOREIGN, IN_NAMES
from zephyr_data.cleaning.prose import WORD, prose_of, without_lists

FUNCTION_WORDS = frozenset(
    "the of and to in is that it for you with as this are be on have not or can your what how i do by from my at was "
    "will would if we they he his her its which but about there has please an".split()
)
ONLY_ENGLISH = frozenset(  # words that no other language has, so "in", "was", "do", "of" and the like are left out
    "the and that with you your this are from have which they what how some not their would should could about there "
    "when who please".split()
)
UNDETERMINED = "und"  # too little prose to tell: code, emoji, a greeting. Never called foreign.
ENGLISH_SHARE = 0.06  # share of English-only words above which a text counts as English
LEAST_ENGLISH = 2  # and at least this many: a single one may be in a title
PROSE_SHARE = 0.06  # least share of function words for a single turn to count as English
COMMONEST = ("the", "and", "that", "with", "you", "your", "this", "are")  # the few that settle nearly all texts
FEW_WORDS = 10
FEW_FOR_DETECTOR = 4  # with fewer words, langdetect is of no use
SURE = 0.95  # lowest langdetect probability at which a short text is called foreign
FOREIGN_SHARE = 0.05  # least share of the commonest foreign words in foreign prose in Latin script
ODD_SHARE = 0.15  # or of words with other letters than those of ASCII
TOLD_SHARE = 0.2  # and the one from which the detector need not be sure
TELL_TALE = 20  # if one word in this many is English-only, another verdict by the detector is not believed

_LATIN = re.compile(r"[A-Za-zÀ-ɏ'’]+")
_SCRIPTS = {
    "ja": re.compile(r"[\u3040-\u30ff]"),
    "ko": re.compile(r"[\uac00-\ud7af]"),
    "zh": re.compile(r"[\u4e00-\u9fff]"),
}
CODES = tuple(sorted({*_SCRIPTS, *(name.split("-")[0] for name in languages())}))  # what a text can be detected as
_ELIDED = re.compile(r"\b(?:l|d|qu|j|c|n)['’](?=\w)")
_UNSPACED = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7af\u0e00-\u0eff]")


def looks_english(words: Sequence[str]) -> bool:
    """Return whether a turn's lower-case words read as English; a few ASCII words pass without evidence."""
    if len(words) < FEW_WORDS:
        return all(word.isascii() for word in words)
    return sum(map(FUNCTION_WORDS.__contains__, words)) >= PROSE_SHARE * len(words)


def detect(text: str) -> str:
    """Return the ISO 639-1 code of a text's language, or "und" if there is too little prose to tell.

    Deterministic: the detector's seed is fixed. Chinese is "zh" whatever its script.
    """
    prose = prose_of(text)
    words = WORD.findall(prose)
    unspaced = len(_UNSPACED.findall(prose))
    spaced = sum(map(len, words)) - unspaced
    if unspaced >= 2 and 2 * unspaced >= spaced:  # such a character carries about as much as two letters
        return next((code for code, script in _SCRIPTS.items() if len(script.findall(prose)) >= 0.1 * unspaced), "th")
    only_english = sum(word in ONLY_ENGLISH for word in words)
    enough = max(LEAST_ENGLISH, ENGLISH_SHARE * len(words))
    ascii_words = sum(word.replace("’", "'").isascii() for word in words)
    if len(words) >= FEW_WORDS and only_english >= enough and ascii_words >= 0.9 * len(words):
        return "en"
    if not all(map(_LATIN.fullmatch, words)):
        return _by_detector(prose, words)
    prose = without_lists(prose)
    words = WORD.findall(prose)
    if len(words) < FEW_FOR_DETECTOR:
        return UNDETERMINED
    foreign_share = _common_foreign(prose, words) / len(words)
    code = _by_detector(prose, words, is_told=foreign_share >= TOLD_SHARE)
    return code if code == "en" or foreign_share >= FOREIGN_SHARE or _is_odd(words) else UNDETERMINED


def is_surely_english(text: str) -> bool:
    """Return whether a text is English by more than the detector's guess at a few words."""
    return sum(map(ONLY_ENGLISH.__contains__, WORD.findall(text.lower()))) >= LEAST_ENGLISH and detect(text) == "en"


def is_foreign(text: str) -> bool:
    """Return whether a text is in another language than English; asks the detector only where words do not tell."""
    lowered = text.lower()
    words = WORD.findall(lowered)
    if _common_foreign(lowered, words) >= max(2, TOLD_SHARE * len(words)) and ONLY_ENGLISH.isdisjoint(words):
        return True
    prose = prose_of(text)
    words = WORD.findall(prose)
    latin = [word for word in words if _LATIN.fullmatch(word)]
    if 2 * len("".join(latin)) < len("".join(words)):
        return True
    foreign, english = _common_foreign(prose, words), sum(map(FUNCTION_WORDS.__contains__, words))
    if len(latin) == len(words) and foreign >= max(2, FOREIGN_SHARE * len(words)):
        return foreign > english
    has_evidence = len(latin) < len(words) or foreign >= FOREIGN_SHARE * len(words) or _is_odd(words)
    return has_evidence and detect(text) not in ("en", UNDETERMINED)


def _common_foreign(prose: str, words: list[str]) -> float:
    """Return how many of the words are the commonest of foreign languages; those that names have count half."""
    common = sum(map(COMMON_FOREIGN.__contains__, words)) + len(_ELIDED.findall(prose))
    return common - 0.5 * sum(map(IN_NAMES.__contains__, words))


def _is_odd(words: list[str]) -> bool:
    """Return whether many words have letters that English lacks, or many words are there and none joins them."""
    odd_words = sum(not word.replace("’", "'").isascii() for word in words)
    return odd_words >= ODD_SHARE * len(words) or (len(words) > FEW_WORDS and FUNCTION_WORDS.isdisjoint(words))


def _by_detector(prose: str, words: list[str], *, is_told: bool = False) -> str:
    """Return what langdetect calls prose, or "und"; `is_told` says that common words are clearly foreign."""
    is_few = len(words) <= FEW_WORDS
    only_english = sum(map(ONLY_ENGLISH.__contains__, words))
    if is_few or prose.isascii():
        odds = dict(guesses(prose))
        name, is_unsure = next(iter(odds), None), "en" in odds or (is_few and max(odds.values(), default=0) < SURE)
    else:
        name, is_unsure = likeliest(prose), False
    if name is None or name == "en":
        return name or UNDETERMINED
    is_english = TELL_TALE * only_english >= len(words) or (is_few and not FUNCTION_WORDS.isdisjoint(words))
    return UNDETERMINED if is_english or (is_unsure and not is_told) else name.split("-")[0]


def clearly_english(texts: pl.Series) -> pl.Series:
    """Return whether each text has enough English-only words and nearly all its letters are ASCII.

    The commonest words, cheap to find between spaces, settle nearly all; only the rest are searched for the whole list.
    """
    words = _spaces(texts) + 1
    sizes = texts.str.len_bytes()
    is_ascii = sizes - texts.str.len_chars() <= 0.02 * sizes + 4
    may_be = (words >= FEW_WORDS) & is_ascii
    enough = pl.select(pl.max_horizontal(pl.lit(LEAST_ENGLISH), ENGLISH_SHARE * words)).to_series()
    is_clear = may_be & (texts.str.count_matches(f" (?:{'|'.join(COMMONEST)}) ") >= enough)
    rest = (may_be & ~is_clear).arg_true()
    evidence = texts.gather(rest).str.count_matches(rf"(?i)\b(?:{'|'.join(sorted(ONLY_ENGLISH))})\b")
    return is_clear.scatter(rest, evidence >= enough.gather(rest))


def _spaces(texts: pl.Series) -> pl.Series:
    """Return how many spaces each text has; numpy counts them twice as fast as a pattern does."""
    array = texts.to_arrow(compat_level=pl.CompatLevel.oldest())
    _, ends, letters = array.buffers()
    bounds = np.frombuffer(ends, np.int64)[array.offset : array.offset + len(array) + 1].tolist()
    is_space = np.frombuffer(letters, np.uint8) == ord(" ")
    return pl.Series([np.count_nonzero(is_space[start:end]) for start, end in pairwise(bounds)], dtype=pl.Int64)
