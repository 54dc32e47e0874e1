"""The answers behind a row of pairs: their scores, and which were chosen and rejected."""

from pathlib import Path

import polars as pl

from zephyr_core.console import one_line
from zephyr_core.options import from_json
from zephyr_core.records import DatasetManifest
from zephyr_data.engine.store import split_files
from zephyr_data.options import BinarizeOptions
from zephyr_data.pairing.scores import rated_answers, score_answers, value_of
from zephyr_data.sources.rated import with_unfilled
from zephyr_data.stages.verbs import number_rows

SHOWN = 72  # characters of a text


def answers_table(directory: Path, content: DatasetManifest, row_key: str) -> str:
    """Return a rated row's prompt and answers, with the scores that the dataset's options give."""
    options = from_json(BinarizeOptions, content["options"]["values"])
    stored = pl.scan_parquet(directory / "rated" / "*.parquet").filter(pl.col("row_key") == row_key).collect().head(1)
    scored = score_answers(options)(with_unfilled(stored).with_columns(dropped_by=pl.lit(None, dtype=pl.String)))
    lines = rated_answers(number_rows(scored)).with_columns(mean=value_of("mean"), overall=value_of("overall"))
    if lines.is_empty():
        return ""
    sides = _sides(directory, row_key)
    names = [
        " and ".join(sorted(sides.get((row[0] or "", row[1]), "-"))) for row in lines.select("response", "score").rows()
    ]
    output = [f"prompt: {one_line(stored['turns'][0][-1], SHOWN)}", f"answers, by {options.score} score:"]
    for answer, name in zip(lines.rows(named=True), names, strict=True):
        scores = ", ".join(f"{kind} {_score_text(answer[kind])}" for kind in ("score", "mean", "overall"))
        side, model = f"{name:<{max(map(len, names))}}", answer["model"] or "(unnamed)"
        output.append(f"  {answer['place']} {side}  {scores}, {model}: {one_line(answer['response'], SHOWN)}")
    return "\n".join(output)


def _sides(directory: Path, row_key: str) -> dict[tuple[str, float], set[str]]:
    """Return the sides that each answer is on in the row's pairs, by its text and score."""
    places = pl.read_parquet(directory / "audit" / "kept.parquet").filter(pl.col("row_key") == row_key)
    columns = [f"{score}{side}" for score in ("", "score_") for side in ("chosen", "rejected")]
    sides: dict[tuple[str, float], set[str]] = {}
    for split, row in places.select("split", "row").rows():
        pair = pl.scan_parquet(split_files(directory)[split]).slice(row, 1).select(columns).collect()
        for side in ("chosen", "rejected"):
            sides.setdefault((pair[side][0][-1]["content"], pair[f"score_{side}"][0]), set()).add(side)
    return sides


def _score_text(score: float | None) -> str:
    return "none" if score is None else f"{score:g}"
