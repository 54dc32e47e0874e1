"""Rows that hold one answer each → one rated row for each prompt, at the place of its first row.

An answer that several rows rate, with the same text and model, is one answer with all their ratings.
"""

from statistics import fmean
from typing import Any

import polars as pl

from zephyr_core.keys import row_key

Row = dict[str, Any]


def gather(table: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of one prompt as one row; rows with a fault stay as they are.

    Columns in:  line, turns, completions, dropped_by, and others, of which the first row's are kept
    """
    is_sound = table["dropped_by"].is_null()
    prompts: dict[tuple[str, ...], Row] = {}
    for row in table.filter(is_sound).iter_rows(named=True):
        first = prompts.setdefault(tuple(row["turns"]), {**row, "completions": []})
        first["completions"] += row["completions"]
    rows = [_gathered(row) for row in prompts.values()]
    return pl.concat([table.filter(~is_sound), pl.DataFrame(rows, schema=table.schema)]).sort("line")


def _gathered(row: Row) -> Row:
    same: dict[tuple[str | None, str | None], list[Row]] = {}
    for answer in row["completions"]:
        same.setdefault((answer["response"], answer["model"]), []).append(answer)
    completions = [_with_all_ratings(answers) for answers in same.values()]
    texts = [*row["turns"], *(answer["response"] or "" for answer in completions)]
    return {**row, "completions": completions, "row_key": row_key(texts)}


def _with_all_ratings(answers: list[Row]) -> Row:
    """Return one answer with the ratings of all; scores without ratings become ratings, so that they still differ."""
    if len(answers) == 1:
        return answers[0]
    ratings = [rating for answer in answers for rating in answer["ratings"]]
    scores = [answer["given"] for answer in answers if answer["given"] is not None]
    ratings = ratings or [{"aspect": "score", "rating": score} for score in scores]
    overall = [answer["overall"] for answer in answers if answer["overall"] is not None]
    return {
        **answers[0],
        "ratings": sorted(ratings, key=lambda rating: rating["aspect"]),
        "overall": fmean(overall) if overall else None,
        "given": fmean(scores) if scores else None,
        "unreadable": ", ".join(filter(None, (answer["unreadable"] for answer in answers))) or None,
    }
