"""How often each casing of a word was seen: the `truecase` package's counts, from a table derived once per machine."""

import hashlib
import json
import math
import subprocess
import sys
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np

from zephyr_core import paths
from zephyr_core.disk import clear_disk_errors
from zephyr_core.errors import EnvironmentLack
from zephyr_core.manifest import file_digest
from zephyr_data.cleaning.truecase.build import FORMAT, PSEUDO_COUNT, ngram_key, package_file

# A word that is this many times as often in lower case as with a capital is no name by itself.
MOST_LOWER = 0.25
Casings = Mapping[str, Mapping[str, int]]  # lower case → casing → count


class Statistics:
    """Counts of casings. One table on disk, mapped into memory and shared between processes."""

    def __init__(self, directory: Path) -> None:
        words = json.loads((directory / "words.json").read_text(encoding="utf-8"))
        self.casings: Casings = words["casings"]
        self.needs_context = frozenset(words["needs_context"])
        self._most: dict[str, list[int]] = words["most"]
        self._keys = memoryview(np.load(directory / "keys.npy", mmap_mode="r"))  # sorted; bisect reads a few of them
        self._counts = memoryview(np.load(directory / "counts.npy", mmap_mode="r"))

    @lru_cache(maxsize=4)  # noqa: B019  there is one table
    def common_words(self, most_lower: float) -> frozenset[str]:
        """Return the words seen more than `most_lower` times as often in lower case as in their likeliest casing."""
        return frozenset(
            word
            for word, counts in self.casings.items()
            if counts.get(word, 0) > most_lower * max(counts.values(), default=0)
        )

    def at_most(self, word: str, casing: str) -> int:
        """Return an upper bound on a casing's score between any neighbours, comparable with `at_least` of another."""
        return math.prod(
            (self.casings[word][casing] + PSEUDO_COUNT, *(most + PSEUDO_COUNT for most in self._most[casing]))
        )

    def at_least(self, word: str, casing: str) -> int:
        """Return the score of a casing between neighbours that it was never seen with."""
        return (self.casings[word][casing] + PSEUDO_COUNT) * PSEUDO_COUNT**3

    def scores(
        self, previous: str | None, word: str, following: str | None, among: Iterable[str] | None = None
    ) -> dict[str, int]:
        """Return the score of each casing of a lower-case word between its neighbours: larger is likelier.

        `previous` is cased, `following` is lower case; None at the end of a sentence. Empty for an unknown word.
        `among` names the casings wanted.
        """
        counts, scores = self.casings.get(word, {}), {}
        if word not in self.needs_context:
            previous = following = None  # one casing wins between any neighbours
        for casing in counts if among is None else among:
            score, before, after = counts[casing] + PSEUDO_COUNT, 0, 0
            if previous is not None:
                before = self._count("b", previous, casing)
                score *= before + PSEUDO_COUNT
            if following is not None:
                after = self._count("f", casing, following)
                score *= after + PSEUDO_COUNT
            if previous is not None and following is not None:  # three words are seen at most as often as two of them
                score *= (self._count("t", previous, casing, following) if before and after else 0) + PSEUDO_COUNT
            scores[casing] = score
        return scores

    def _count(self, *ngram: str) -> int:
        key = ngram_key(*ngram)
        at = bisect_left(self._keys, key)
        return int(self._counts[at]) if at < len(self._keys) and self._keys[at] == key else 0


@lru_cache(maxsize=1)
def statistics() -> Statistics:
    """Return the table, deriving it first if this machine has none for the installed package.

    Raises:
        EnvironmentLack: the package is missing, or the cache folder cannot be written.
    """
    try:
        source = package_file()
    except ModuleNotFoundError:
        raise EnvironmentLack("the package `truecase` is not installed", "`pip install truecase`") from None
    digest = hashlib.sha256(f"{FORMAT} {file_digest(source)}".encode()).hexdigest()[:16]
    table = paths.cache_directory() / f"truecase-{digest}"
    if not table.is_dir():
        _derive(table)
    return Statistics(table)


def _derive(table: Path) -> None:
    hint = "set ZEPHYR_CACHE to a writable folder"
    with clear_disk_errors(table, hint=hint):
        table.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "zephyr_data.cleaning.truecase.build", str(table)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode or not table.is_dir():
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise EnvironmentLack(f"the truecase table cannot be derived: {last}", hint)
