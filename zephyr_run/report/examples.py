"""Rows to show: a few of each kind from the audit, pairs from the test split. Reads no more than needed."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

MOST = 3
LOOKED_AT = 50_000  # rows of an audit table searched for examples

Row = dict[str, Any]


def dropped(step_folder: Path, counts: Mapping[str, int]) -> list[Row]:
    """Return dropped rows with what was matched: first one per stage, for its most common reason."""
    candidates = _of_each_kind(step_folder / "audit" / "dropped.parquet", _reason)
    stages: dict[str, list[Row]] = {}
    for row in sorted(candidates, key=lambda row: (_is_mute(row), -counts.get(_reason(row), 0))):
        stages.setdefault(row["stage"], []).append(row)
    sizes = {stage: sum(n for name, n in counts.items() if name.startswith(f"{stage}/")) for stage in stages}
    ranked = [
        (_is_mute(row), nth, -sizes[stage], row) for stage, rows in stages.items() for nth, row in enumerate(rows)
    ]
    return [row for *_, row in sorted(ranked, key=lambda entry: entry[:3])][:MOST]


def rewritten(step_folder: Path) -> list[Row]:
    """Return changed passages, covering as wide a range of rules as possible."""
    return _of_each_kind(step_folder / "audit" / "rewritten.parquet", lambda row: row["rule"])[:MOST]


def pairs(step_folder: Path, splits: Sequence[str]) -> list[Row]:
    """Return the first pairs of the first split that has any."""
    for split in splits:
        files = sorted((step_folder / "data").glob(f"{split}-*.parquet"))
        rows = [row | {"split": split} for file in files[:1] for row in _rows(file, MOST)]
        if rows:
            return rows
    return []


def _reason(row: Row) -> str:
    return f"{row['stage']}/{row['rule']}"


def _is_mute(row: Row) -> bool:
    return not row["matched"] or row["stage"] == "duplicates"  # their match is a digest


def _of_each_kind(file: Path, kind: Callable[[Row], str]) -> list[Row]:
    """Return the first row of each kind, preferably with a text, then up to MOST further rows."""
    if not file.is_file():
        return []
    best: dict[str, Row] = {}
    further: list[Row] = []
    for row in _rows(file, LOOKED_AT):
        first = best.get(kind(row))
        if first is None or (not first.get("matched") and row.get("matched")):
            best[kind(row)] = row
        elif len(further) < MOST and row.get("matched", True):
            further.append(row)
    return [*best.values(), *further]


def _rows(file: Path, most: int) -> Iterator[Row]:
    import pyarrow.parquet as pq

    rest = most
    with file.open("rb") as stream, pq.ParquetFile(stream) as table:  # a path would be read as a URI
        for batch in table.iter_batches(batch_size=min(most, 1024)):
            yield from batch.slice(0, rest).to_pylist()
            rest -= batch.num_rows
            if rest <= 0:
                return
