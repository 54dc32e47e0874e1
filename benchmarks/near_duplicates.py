"""Near-duplicates against rensa and datasketch: texts to signatures, and what is found of planted copies, in one run.

    pip install '.[bench]'; python -m benchmarks.near_duplicates [MEGABYTES]

Each gets the same dialogues as texts, makes 128 numbers of their runs of five words, and is measured in CPU-seconds of
this process on one core.
"""

import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks import corpus
from zephyr_data.stages.near_duplicates import _buckets
from zephyr_data.stages.shingles import BINS, bands, jaccard, run_sets

SLOW = 1_500  # texts for datasketch
PLANTED, LEAST, CLOSE = 2_000, 0.8, 0.85


def _sets(texts: list[str]) -> list[set[str]]:
    words = [text.lower().split() for text in texts]
    return [{" ".join(of[start : start + 5]) for start in range(max(1, len(of) - 4))} for of in words]


def _ours(texts: list[str]) -> None:
    bands(pl.Series(texts), LEAST)


def _rensa(texts: list[str]) -> None:
    from rensa import RMinHash

    RMinHash.digest_matrix_from_token_sets(_sets(texts), BINS, 42)


def _datasketch(texts: list[str]) -> None:
    from datasketch import MinHash

    for runs in _sets(texts):
        MinHash(BINS).update_batch([run.encode() for run in runs])


def _rate(sketch: Callable[[list[str]], Any], texts: list[str]) -> float:
    sketch(texts[:10])
    start = time.process_time()
    sketch(texts)
    return len(texts) / (time.process_time() - start)


def _recall(texts: list[str]) -> tuple[int, int]:
    """Return how many copies of texts are CLOSE to them, and how many of these share a band with them."""
    draw = random.Random(1)
    originals = draw.sample(texts, PLANTED)
    copies = []
    for text in originals:
        words = text.split(" ")
        for place in draw.sample(range(len(words)), max(1, int(len(words) * draw.choice([0.005, 0.01, 0.02, 0.03])))):
            words[place] = draw.choice(words)
        copies.append(" ".join(words))
    both = pl.Series([*originals, *copies])
    sets = run_sets(both)
    places, buckets = _buckets(bands(both, LEAST))
    own: dict[int, set[int]] = {}
    for place, bucket in zip(places.tolist(), buckets.tolist(), strict=True):
        own.setdefault(place, set()).add(bucket)
    close = [place for place in range(PLANTED) if jaccard(sets[place], sets[PLANTED + place]) >= CLOSE]
    return len(close), sum(bool(own.get(place, set()) & own.get(PLANTED + place, set())) for place in close)


def main(megabytes: float) -> None:
    """Print the table."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "corpus.jsonl"
        corpus.main(megabytes, path)
        texts = ["\n".join(json.loads(line)["data"]) for line in path.read_text().splitlines()]
    rates = {
        "zephyr": _rate(_ours, texts),
        f"rensa {version('rensa')}": _rate(_rensa, texts),
        f"datasketch {version('datasketch')}": _rate(_datasketch, texts[:SLOW]),
    }
    print("| | dialogues per CPU-second | zephyr is |\n|---|---|---|")
    for name, rate in rates.items():
        print(f"| {name} | {rate:,.0f} | {rates['zephyr'] / rate:.1f} × |")
    close, common = _recall(list(dict.fromkeys(texts)))
    print(f"\nOf {close:,} planted copies with a similarity of at least {CLOSE}, {common:,} are candidates.")


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 40)
