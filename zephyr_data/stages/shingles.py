"""Runs of five words as numbers, and how similar texts find each other by few of them (MinHash with banding).

Words are what stands between white space and punctuation, in small letters. A text's runs are spread over BINS by their
first bits, and each bin keeps its least number; an empty bin takes that of another one, drawn for it (one-permutation
hashing, densified as by Shrivastava 2017). Texts that agree in all bins of a band are candidates. The same text gives
the same numbers on every machine.
"""

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import polars as pl

from zephyr_core.texts import ASCII_IGNORED, ASCII_LOWER, IGNORED, QUOTES_AND_DASHES, SEPARATOR

Numbers = npt.NDArray[np.uint64]
Counts = npt.NDArray[np.int64]

RUN = 5  # words; a text of fewer is one run
BIN_BITS = 7
BINS = 2**BIN_BITS
RECALL = 0.9  # least share of pairs that are just similar enough and become candidates
CHUNK = 2**19  # bytes of text at a time
_NONE = np.uint64(2**64 - 1)
_OF_BYTES, _OF_WORDS = 0x9E3779B97F4A7C15, 0xD6E8FEB86659FD93  # odd bases of polynomials modulo 2^64
_SPACE = 32
_SPACED = bytes(_SPACE if code in ASCII_IGNORED or chr(code) == SEPARATOR else ASCII_LOWER[code] for code in range(256))


def bands(texts: pl.Series, similarity: float) -> pl.Series:
    """Return for each text a 64-bit number per band, as bytes; null for null and for a text without words."""
    size = rows_per_band(similarity)
    values: list[bytes | None] = []
    for runs, counts in _runs(texts):
        folded = np.zeros((len(counts), BINS // size), dtype=np.uint64)
        bins = _bins(runs, counts).reshape(*folded.shape, size)
        for place in range(size):
            folded = _mixed(folded + bins[:, :, place])
        values += [row.tobytes() if count else None for row, count in zip(folded, counts, strict=True)]
    return pl.Series(values, dtype=pl.Binary)


def rows_per_band(similarity: float) -> int:
    """Return how many bins make a band: the most with which RECALL of such pairs agree in some band."""
    return max(size for size in (1, 2, 4, 8, 16) if 1 - (1 - similarity**size) ** (BINS // size) >= RECALL)


def run_sets(texts: pl.Series) -> pl.Series:
    """Return the different runs of each text, in order, as bytes of 64-bit numbers."""
    sets: list[bytes] = []
    for runs, counts in _runs(texts):
        sets += [np.unique(part).tobytes() for part in np.split(runs, np.cumsum(counts)[:-1])]
    return pl.Series(sets, dtype=pl.Binary)


def jaccard(one: bytes, other: bytes) -> float:
    """Return the share of the runs of two sets that are in both."""
    first, second = (np.frombuffer(part, dtype=np.uint64) for part in (one, other))
    shared = len(np.intersect1d(first, second, assume_unique=True))
    return shared / (len(first) + len(second) - shared)


def _runs(texts: pl.Series) -> Iterator[tuple[Numbers, Counts]]:
    """Yield the runs of some texts, in order, and how many of them each text has."""
    words, size = [], 0
    for text in spaced(texts):
        words.append(text)
        size += len(text)
        if size > CHUNK:
            yield _runs_of(words)
            words, size = [], 0
    if words:
        yield _runs_of(words)


def spaced(texts: pl.Series) -> list[bytes]:
    """Return the words of each text as bytes, with spaces between them; nothing for null."""
    spaced = [QUOTES_AND_DASHES.sub(b" ", text or b"") for text in texts.cast(pl.Binary).to_list()]
    places = [place for place, text in enumerate(spaced) if not text.isascii()]
    bare = texts.gather(places).str.to_lowercase().str.replace_all(f"{IGNORED}|{SEPARATOR}", " ").cast(pl.Binary)
    others = dict(zip(places, bare.to_list(), strict=True))
    return [others.get(place) or text.translate(_SPACED) for place, text in enumerate(spaced)]


def _runs_of(texts: list[bytes]) -> tuple[Numbers, Counts]:
    words, text_of = word_numbers(texts)
    runs, starts = runs_from(words, text_of, RUN)
    is_first = np.diff(text_of, prepend=-1) > 0
    is_short = np.bincount(text_of, minlength=len(texts)) < RUN
    starts |= is_first & is_short[text_of]
    return runs[starts], np.bincount(text_of[starts], minlength=len(texts))


def runs_from(words: Numbers, text_of: Counts, size: int) -> tuple[Numbers, npt.NDArray[np.bool_]]:
    """Return a number for the run of `size` words from each word on, and whether its text has that many more."""
    runs, fits = words.copy(), np.zeros(len(words), dtype=bool)
    for place in range(1, size):
        is_inside = text_of[place:] == text_of[:-place]
        runs[:-place][is_inside] += words[place:][is_inside] * np.uint64(pow(_OF_WORDS, place, 2**64))
    fits[: 1 - size] = text_of[size - 1 :] == text_of[: 1 - size]
    return _mixed(runs), fits


def word_numbers(texts: list[bytes]) -> tuple[Numbers, Counts]:
    """Return a number for each word of the texts, and the place of its text.

    A word's number is the difference of two sums over all bytes before its ends, brought back to where it starts.
    """
    letters = np.frombuffer(b" ".join([b"", *texts, b""]), dtype=np.uint8)
    powers, inverse = _powers(2 ** int(max(len(letters), CHUNK)).bit_length())
    edges = np.flatnonzero((letters[1:] != _SPACE) != (letters[:-1] != _SPACE)) + 1
    starts, ends = edges[0::2], edges[1::2]
    sums = np.zeros(len(letters) + 1, dtype=np.uint64)
    np.multiply(powers[: len(letters)], letters, out=sums[1:])
    np.cumsum(sums, out=sums)
    words = _mixed((sums[ends] - sums[starts]) * inverse[starts])
    firsts = np.cumsum([1, *(len(text) + 1 for text in texts[:-1])])
    return words, np.searchsorted(firsts, starts, side="right") - 1


@lru_cache(2)
def _powers(size: int) -> tuple[Numbers, Numbers]:
    """Return the powers of the base of bytes, and those of its inverse."""

    def powers(base: int) -> Numbers:
        factors = np.full(size, base, dtype=np.uint64)
        factors[0] = 1
        return np.cumprod(factors)

    return powers(_OF_BYTES), powers(pow(_OF_BYTES, -1, 2**64))


def _mixed(numbers: Numbers) -> Numbers:
    """Return the numbers with all bits depending on all (the end of splitmix64)."""
    mixed = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    result: Numbers = mixed ^ (mixed >> np.uint64(31))
    return result


def _bins(runs: Numbers, counts: Counts) -> Numbers:
    """Return the least run of each of a text's bins, in one row of BINS for each text."""
    least = np.full(len(counts) * BINS, _NONE)
    first = np.repeat(np.arange(len(counts)) * BINS, counts)
    np.minimum.at(least, first + (runs >> np.uint64(64 - BIN_BITS)).astype(np.int64), runs)
    filled = least.copy()
    empty = np.flatnonzero(least == _NONE)
    empty, turn = empty[counts[empty // BINS] > 0], 0
    while len(empty):
        values = least[empty // BINS * BINS + _others(turn // BINS)[turn % BINS][empty % BINS]]
        filled[empty] = values
        empty, turn = empty[values == _NONE], turn + 1
    return filled


@lru_cache(16)
def _others(block: int) -> Counts:
    """Return BINS times for each bin the one that it asks next."""
    turns = np.arange(BINS * BINS, dtype=np.uint64) + np.uint64((block + 1) * BINS * BINS)
    return (_mixed(turns) >> np.uint64(64 - BIN_BITS)).astype(np.int64).reshape(BINS, BINS)
