"""`langdetect` on arrays: the same n-grams, draws and order of additions, so the same verdict, many times faster.

The package walks a text letter by letter and multiplies 55 probabilities in a Python loop for each drawn n-gram.
"""

import json
import os
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, compress
from operator import add, and_, itemgetter, not_
from pathlib import Path

import numpy as np
from langdetect.detector import Detector
from langdetect.detector_factory import PROFILES_DIRECTORY
from langdetect.utils.ngram import NGram
from numpy.typing import NDArray

SEED = 0  # of the package's draws
TRIALS, LONGEST, STEP, BLOCK = 7, 10_000, 5, 20
WORDS = 2**14  # random words generated up front; seven trials read about 14,000 if every second one is rejected

Numbers = NDArray[np.float64]

_SPACES = re.compile(" {2,}")
_LATIN = re.compile("[A-z]+")  # includes the six signs between Z and a, as in the package
_OTHER = re.compile("[\u0300-\U0010ffff]+")


@dataclass(frozen=True)
class Profiles:
    """How likely each n-gram is in each language."""

    languages: tuple[str, ...]
    row_of: dict[str, int]
    shares: Numbers  # n-grams × languages


def languages() -> list[str]:
    """Return the languages that a text can be in, as the package names them and in its order."""
    return [name for name in os.listdir(PROFILES_DIRECTORY) if not name.startswith(".")]  # noqa: PTH208


def guesses(text: str) -> list[tuple[str, float]]:
    """Return the languages that a text may be in, as the package names them, most likely first."""
    return _guesses(text, hurried=False)


def likeliest(text: str) -> str | None:
    """Return the first of the guesses, skipping the trials that can no longer change it."""
    ranking = _guesses(text, hurried=True)
    return ranking[0][0] if ranking else None


def _guesses(text: str, *, hurried: bool) -> list[tuple[str, float]]:
    grams = ngrams(text)
    if not grams:
        return []
    total = np.zeros(len(_profiles().languages))
    for number, probabilities in enumerate(_trials(grams), 1):
        total += probabilities / TRIALS
        if hurried:
            second, first = sorted(total.tolist())[-2:]
            if first - second > (TRIALS - number) / TRIALS + 1e-9:
                break
    shares = zip(_profiles().languages, total.tolist(), strict=True)
    listed = [(name, share) for name, share in shares if share > Detector.PROB_THRESHOLD]
    return sorted(listed, key=itemgetter(1), reverse=True)


def ngrams(text: str) -> list[int]:
    """Return the rows of the known n-grams of a text, in the package's order."""
    text = Detector.MAIL_RE.sub(" ", Detector.URL_RE.sub(" ", text))
    text = _SPACES.sub(" ", NGram.normalize_vi(text)[:LONGEST])
    if 2 * _length(_LATIN, text) < _length(_OTHER, text):
        text = _LATIN.sub("", text)
    text = " " + _SPACES.sub(" ", " " + text.translate(_normal))  # no n-gram begins with two spaces
    second, third = text[1:], text[2:]
    pairs, triples = map(add, second, third), map(add, map(add, text, second), third)
    capital = list(map(str.isupper, text))
    is_read = map(not_, map(and_, capital[1:], capital[2:]))  # the package skips words in capitals
    grams = chain.from_iterable(compress(zip(third, pairs, triples, strict=True), is_read))
    return [row for row in map(_profiles().row_of.get, grams) if row is not None]


def _length(pattern: re.Pattern[str], text: str) -> int:
    return sum(map(len, pattern.findall(text)))


def _trials(grams: list[int]) -> Iterator[Numbers]:
    """Yield the probabilities that each trial ends with, drawn as `random.Random(SEED)` draws for the package."""
    chance = random.Random(SEED)  # noqa: S311
    candidates = _random_words() >> np.uint32(32 - len(grams).bit_length())
    accepted = np.flatnonzero(candidates < len(grams))
    rows = np.array(grams)
    position = 0  # among the random words
    for number in range(TRIALS):
        alpha = Detector.ALPHA_DEFAULT + chance.gauss(0.0, 1.0) * Detector.ALPHA_WIDTH
        position += 4 if number % 2 == 0 else 0  # two deviates take two numbers of two words each
        first = int(accepted.searchsorted(position))
        places = accepted[first : first + Detector.ITERATION_LIMIT + 1]
        probabilities, draws = _converge(rows[candidates[places]], alpha / Detector.BASE_FREQ)
        yield probabilities
        end = int(places[draws - 1]) + 1
        chance.getrandbits(32 * (end - position))
        position = end


def _converge(rows: NDArray[np.intp], weight: float) -> tuple[Numbers, int]:
    """Return the probabilities once one is nearly certain, or after the last row, and how many rows that took.

    The package checks after the first draw, then after every fifth, so the first step holds one draw and four 1.0s.
    """
    shares = _profiles().shares
    probabilities = np.full(shares.shape[1], 1.0 / shares.shape[1])
    leader = 0
    steps = np.zeros((len(rows) // STEP + 1, STEP + 1), np.intp)  # first in each, room for its starting value
    steps[0, -1] = rows[0]
    steps[1:, 1:] = rows[1:].reshape(-1, STEP)
    for start in range(0, len(steps), BLOCK):
        factors = shares.take(steps[start : start + BLOCK], axis=0)
        factors += weight
        if start == 0:
            factors[0, :STEP] = 1.0
        for step, factor in enumerate(factors, start):
            factor[0] = probabilities
            np.multiply.reduce(factor, axis=0, out=probabilities)  # one after the other, as the package multiplies
            listed = probabilities.tolist()
            whole = sum(listed)  # and adds; numpy would add in pairs
            probabilities /= whole
            if listed[leader] < whole / 2:
                leader = listed.index(max(listed))
            if listed[leader] / whole > Detector.CONV_THRESHOLD:
                return probabilities, 1 + STEP * step
    return probabilities, len(rows)


@lru_cache(maxsize=1)
def _random_words() -> NDArray[np.uint32]:
    """Return the words that `random.Random(SEED)` makes its numbers from."""
    bits = random.Random(SEED).getrandbits(32 * WORDS)  # noqa: S311
    return np.frombuffer(bits.to_bytes(4 * WORDS, "little"), "<u4")


@lru_cache(maxsize=1)
def _profiles() -> Profiles:
    """Return the package's profiles as one table, in a quarter of the memory that its lists of numbers take."""
    folder = Path(PROFILES_DIRECTORY)
    profiles = [json.loads((folder / name).read_text(encoding="utf-8")) for name in languages()]
    row_of: dict[str, int] = {}
    for profile in profiles:
        for gram in profile["freq"]:
            row_of.setdefault(gram, len(row_of))
    shares = np.zeros((len(row_of), len(profiles)))
    for column, profile in enumerate(profiles):
        counts = profile["freq"]
        totals = np.array(profile["n_words"], float)[np.array([len(gram) - 1 for gram in counts])]
        shares[[row_of[gram] for gram in counts], column] = np.array(list(counts.values()), float) / totals
    return Profiles(tuple(profile["name"] for profile in profiles), row_of, shares)


class _Normal(dict[int, str]):
    """The package's normal form of each letter; holds only Unicode's first plane, the only one it changes."""

    def __missing__(self, code: int) -> str:
        letter: str = NGram.normalize(chr(code))
        if code < 0x10000:
            self[code] = letter
        return letter


_normal = _Normal()
