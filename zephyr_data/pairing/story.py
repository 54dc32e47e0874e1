"""The answers behind a row of pairs: their scores, and which were chosen and rejected."""

from pathlib import Path

import polars as pl

from zephyr_core.console import one_line
from zephyr_core.options import from_json
from zephyr_core.records import DatasetManifest
from zephyr_data import schemas
from zephyr_data.engine.store import audit_table, require_whole
from zephyr_data.options import BinarizeOptions
from zephyr_data.pairing.scores import rated_answers, score_answers, value_of
from zephyr_data.sources.files import RATED
from zephyr_data.sources.rated import with_unfilled
from zephyr_data.sources.tables import count_rows, read_matching, read_rows
from zephyr_data.stages.verbs import number_rows

SHOWN = 72  # characters of a text


def answers_table(directory: Path, content: DatasetManifest, row_key: str) -> str:
    """Return a rated row's prompt and answers, with the scores that the dataset's options give."""
    options = from_json(BinarizeOptions, content["options"]["values"])
    stored = _stored(directory, content, row_key)
    scored = score_answers(options)(with_unfilled(stored).with_columns(dropped_by=pl.lit(None, dtype=pl.String)))
    lines = rated_answers(number_rows(scored)).with_columns(mean=value_of("mean"), overall=value_of("overall"))
    if lines.is_empty():
        return ""
    sides = _sides(directory, content, row_key)
    names = [
        " and ".join(sorted(sides.get((row[0] or "", row[1]), "-"))) for row in lines.select("response", "score").rows()
    ]
    output = [f"prompt: {one_line(stored['turns'][0][-1], SHOWN)}", f"answers, by {options.score} score:"]
    for answer, name in zip(lines.rows(named=True), names, strict=True):
        scores = ", ".join(f"{kind} {_score_text(answer[kind])}" for kind in ("score", "mean", "overall"))
        side, model = f"{name:<{max(map(len, names))}}", answer["model"] or "(unnamed)"
        output.append(f"  {answer['place']} {side}  {scores}, {model}: {one_line(answer['response'], SHOWN)}")
    return "\n".join(output)


def _stored(directory: Path, content: DatasetManifest, row_key: str) -> pl.DataFrame:
    """Return the rated row as it was read; none if no row has the key."""
    files = _files(directory, content, f"{RATED}/")
    parts = (read_matching(path, "row_key", row_key) for path in files)
    return next((part.head(1) for part in parts if part.height), pl.DataFrame(schemas.RATED_ROWS.empty_table()))


def _sides(directory: Path, content: DatasetManifest, row_key: str) -> dict[tuple[str, float], set[str]]:
    """Return the sides that each answer is on in the row's pairs, by its text and score."""
    places = audit_table(directory, "kept").filter(pl.col("row_key") == row_key)
    columns = [f"{score}{side}" for score in ("", "score_") for side in ("chosen", "rejected")]
    sides: dict[tuple[str, float], set[str]] = {}
    for split, row in places.select("split", "row").rows():
        pair = _row(_files(directory, content, f"data/{split}-"), row, columns)
        for side in ("chosen", "rejected"):
            sides.setdefault((pair[side][0][-1]["content"], pair[f"score_{side}"][0]), set()).add(side)
    return sides


def _files(directory: Path, content: DatasetManifest, prefix: str) -> list[Path]:
    """Return the dataset's files whose names begin so, in order; they are as recorded."""
    names = sorted(name for name in content["files"] if name.startswith(prefix))
    require_whole(directory, names)
    return [directory / name for name in names]


def _row(shards: list[Path], row: int, columns: list[str]) -> pl.DataFrame:
    """Return one row of a split; an IndexError if it has fewer."""
    start = row
    for shard in shards:
        rows = count_rows(shard)
        if start < rows:
            return read_rows(shard, start, 1, columns)
        start -= rows
    raise IndexError(f"a split has no row {row}, where the audit leads to")


def _score_text(score: float | None) -> str:
    return "none" if score is None else f"{score:g}"
