"""Derive the statistics table from the installed `truecase` package. Run in its own process.

The package keeps 76 MB of pickled counts, which take 450 MB and 2 s to load. Its score of a casing c of a word is the
product (uni + 5)(back + 5)(fwd + 5)(tri + 5), over denominators that all casings share; most words have one casing that
wins in any context. So the table holds every word's casings with their unigram counts, and the n-gram counts of only
those words whose choice depends on context. It is derived here and never shipped: the licences of the corpora behind
the package are not stated.
"""

import hashlib
import json
import pickle
import sys
from collections import defaultdict
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from zephyr_core.folder import build_once

FORMAT = 4
PSEUDO_COUNT = 5


def package_file() -> Path:
    """Return the installed package's file of counts, found without importing it (it would import NLTK)."""
    spec = find_spec("truecase")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("truecase")
    return Path(spec.submodule_search_locations[0]) / "data" / "english.dist"


def ngram_key(*tokens: str) -> int:
    """Return the 64-bit key of an n-gram; the parts keep their places, so kinds of n-gram do not mix."""
    return int.from_bytes(hashlib.blake2b("\x1f".join(tokens).encode(), digest_size=8).digest(), "big")


def build(target: Path) -> None:
    """Write words.json, keys.npy and counts.npy into `target`, whole or not at all."""
    with package_file().open("rb") as stream:
        counts = pickle.load(stream)  # noqa: S301  a file of an installed package
    words = {
        lower: {casing: int(counts["uni_dist"][casing]) for casing in sorted(casings)}
        for lower, casings in counts["word_casing_lookup"].items()
    }
    highest = _highest(counts)
    needed = _words_that_need_context(highest, words)
    most = {casing: [kind[casing] for kind in highest.values()] for word in needed for casing in words[word]}
    ngrams = list(_ngrams_of(needed, counts))
    _refuse_lone_trigrams(counts)
    keys = np.array([key for key, _ in ngrams], dtype=np.uint64)
    order = np.argsort(keys)
    if len(np.unique(keys)) != len(keys):
        raise ArithmeticError("two n-grams share a 64-bit key")

    def write(folder: Path) -> None:
        content = {"casings": words, "needs_context": sorted(needed), "most": most}
        (folder / "words.json").write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
        np.save(folder / "keys.npy", keys[order])
        np.save(folder / "counts.npy", np.array([count for _, count in ngrams], dtype=np.uint32)[order])

    build_once(target, write, damaged=lambda _: None)  # no manifest: its name shows that it is complete


def _ngrams_of(needed: set[str], counts: Any) -> Iterator[tuple[int, int]]:
    for kind, name in (("b", "backward_bi_dist"), ("f", "forward_bi_dist"), ("t", "trigram_dist")):
        for joined, count in counts[name].items():
            tokens = joined.split("_")
            middle = tokens[1] if kind != "f" else tokens[0]
            if len(tokens) == (3 if kind == "t" else 2) and middle.lower() in needed:
                yield ngram_key(kind, *tokens), count


def _refuse_lone_trigrams(counts: Any) -> None:
    """Raise if a trigram was seen more often than a bigram in it; `Statistics.scores` relies on none being so."""
    for joined, count in counts["trigram_dist"].items():
        tokens = joined.split("_")
        if len(tokens) == 3 and count > min(
            counts["backward_bi_dist"].get(f"{tokens[0]}_{tokens[1]}", 0),
            counts["forward_bi_dist"].get(f"{tokens[1]}_{tokens[2]}", 0),
        ):
            raise ArithmeticError(f"the trigram {joined} was seen more often than a bigram in it")


def _highest(counts: Any) -> dict[str, dict[str, int]]:
    """Return, per kind of n-gram and casing, the count of the most frequent one with that casing in the middle."""
    highest: dict[str, dict[str, int]] = {name: defaultdict(int) for name in ("b", "f", "t")}
    for kind, name in (("b", "backward_bi_dist"), ("f", "forward_bi_dist"), ("t", "trigram_dist")):
        for joined, count in counts[name].items():
            tokens = joined.split("_")
            if len(tokens) == (3 if kind == "t" else 2):
                middle = tokens[1] if kind != "f" else tokens[0]
                highest[kind][middle] = max(highest[kind][middle], count)
    return highest


def _words_that_need_context(highest: dict[str, dict[str, int]], words: dict[str, dict[str, int]]) -> set[str]:
    """Return the words for which no casing beats the others in every context that the package has seen."""

    def at_most(casing: str, count: int) -> int:
        bound = count + PSEUDO_COUNT
        for kind in highest:
            bound *= highest[kind][casing] + PSEUDO_COUNT
        return bound

    def wins_anywhere(casing: str, casings: dict[str, int]) -> bool:
        least = (casings[casing] + PSEUDO_COUNT) * PSEUDO_COUNT**3
        return all(least > at_most(other, count) for other, count in casings.items() if other != casing)

    return {word for word, casings in words.items() if not any(wins_anywhere(casing, casings) for casing in casings)}


if __name__ == "__main__":
    build(Path(sys.argv[1]))
