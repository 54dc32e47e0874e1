"""Near-duplicates: of rows whose texts share most runs of five words, one stays (decision 0073).

Candidates agree in a band of MinHash (shingles.py); each is then compared exactly with those that stay. A row is
dropped only if it is that similar to such a one, so a chain of ever different rows is not lost to its first.
"""

from collections import defaultdict
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import polars as pl

from zephyr_data import schemas
from zephyr_data.stages.overruling import Reason
from zephyr_data.stages.shingles import bands, jaccard, run_sets
from zephyr_data.stages.verbs import LookUp, Stage, at_hand, mark, nothing_found, verdict

NAME, RULE = "near-duplicates", "similar-text"
REASONS = {f"{NAME}/{RULE}": Reason("most of its runs of five words are those of a row that is kept")}
_TEXT = pl.col("turns").list.join("\n")
TOGETHER = 50_000  # candidates whose runs are in memory at a time, unless more are linked to each other

Places = npt.NDArray[np.int64]


def index(similarity: float | None) -> tuple[str, ...]:
    """Return the columns of the whole set that the stage reads; none if no similarity was asked for."""
    return () if similarity is None else ("bands",)


def stages(similarity: float | None, look_up: LookUp) -> tuple[Stage, ...]:
    """Return the stage; none if no similarity was asked for."""
    return () if similarity is None else (mark_near_duplicates(similarity, look_up),)


def with_bands(table: pl.DataFrame, similarity: float | None) -> pl.DataFrame:
    """Return the table with `bands`, by which similar rows find each other, null on dropped rows; as it is without one.

    Columns in:  dropped_by, turns
    """
    if similarity is None:
        return table
    texts = table.select(pl.when(pl.col("dropped_by").is_null()).then(_TEXT)).to_series()
    return table.with_columns(bands=bands(texts, similarity))


def mark_near_duplicates(similarity: float, look_up: LookUp = at_hand) -> Stage:
    """Return a stage that marks rows that are as similar to one that stays; `matched` names it and the similarity.

    Rows are taken by row_key, then by location, whatever their order in the table, and the first of similar ones stays.

    Columns in:  bands; of candidates also turns, row_key, source, file, line, by `look_up`
    """

    def with_runs(rows: pl.DataFrame) -> pl.DataFrame:
        runs = run_sets(rows.select(_TEXT).to_series())
        return rows.select("row_key", *schemas.LOCATION, runs=runs)

    def find(table: pl.DataFrame) -> pl.DataFrame:
        free = table.filter(pl.col("dropped_by").is_null() & pl.col("bands").is_not_null()).with_row_index("place")
        verdicts = []
        for places, buckets in _linked(*_buckets(free["bands"])):
            of_row = pl.DataFrame({"place": places, "bucket": buckets}, schema_overrides={"place": pl.UInt32})
            rows = free.join(of_row.group_by("place").agg("bucket"), on="place")
            located = look_up(rows, ("turns", "row_key", *schemas.LOCATION), with_runs)
            ordered = located.sort("row_key", *schemas.LOCATION)
            similar = _similar(ordered["runs"].to_list(), ordered["bucket"].to_list(), similarity)
            names = [f"{ordered['row_key'][other]}: {share:.3f}" for other, share in similar.values()]
            gone = ordered[list(similar)].with_columns(similar=pl.Series(names, dtype=pl.String))
            verdicts.append(verdict(gone, RULE, matched=pl.col("similar")))
        return pl.concat(verdicts) if verdicts else nothing_found()

    return mark(NAME, find)


def _buckets(bands_of: pl.Series) -> tuple[Places, Places]:
    """Return place and bucket of each row that shares a band with another one, once for each such band."""
    if bands_of.is_empty():
        return np.empty(0, np.int64), np.empty(0, np.int64)
    numbers = np.frombuffer(b"".join(bands_of), dtype=np.uint64).reshape(len(bands_of), -1)
    places, buckets, count = [], [], 0
    for band in numbers.T:
        order = np.argsort(band, kind="stable")
        is_next = np.diff(band[order]) == 0
        is_member = np.append(is_next, False) | np.insert(is_next, 0, False)
        is_first = is_member & ~np.insert(is_next, 0, False)
        places.append(order[is_member])
        buckets.append(count - 1 + np.cumsum(is_first)[is_member])
        count += int(is_first.sum())
    return np.concatenate(places), np.concatenate(buckets)


def _linked(places: Places, buckets: Places) -> Iterator[tuple[Places, Places]]:
    """Yield the pairs in parts: rows that any chain of buckets links are in the same one."""
    if not len(places):
        return
    rows, row_of = np.unique(places, return_inverse=True)
    label, before = np.arange(len(rows)), None
    while before is None or (label != before).any():
        before, least = label.copy(), np.full(int(buckets.max()) + 1, len(rows))
        np.minimum.at(least, buckets, label[row_of])
        np.minimum.at(label, row_of, least[buckets])
        label = label[label]
    sizes = np.bincount(label)
    part_of = ((np.cumsum(sizes) - 1) // TOGETHER)[label][row_of]
    for part in np.unique(part_of):
        yield places[part_of == part], buckets[part_of == part]


def _similar(runs: list[bytes], buckets: list[list[int]], similarity: float) -> dict[int, tuple[int, float]]:
    """Return for each row that is not to stay the one it is similar to, and how similar it is."""
    similar: dict[int, tuple[int, float]] = {}
    staying: dict[int, list[int]] = defaultdict(list)
    for number, own in enumerate(buckets):
        for other in sorted({place for bucket in own for place in staying[bucket]}):
            share = jaccard(runs[number], runs[other])
            if share >= similarity:
                similar[number] = (other, share)
                break
        else:
            for bucket in own:
                staying[bucket].append(number)
    return similar
