"""What `zephyr rules` shows: the rules themselves, and how they do on their examples and on labelled rows."""

import dataclasses
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import polars as pl

from zephyr_data.errors import SourceError
from zephyr_data.stages import rules
from zephyr_data.stages.phrases import find_hits
from zephyr_data.stages.rules import Exemption, Rule, Ruleset

SHOWN = 100  # characters of a class
_SIGNS = re.compile(r"\(\?:|\\b|[()?*+\\^$]|\{\d[\d,]*\}")


def listing(names: Iterable[str]) -> tuple[list[dict[str, Any]], str]:
    """Return the rules as records and as text."""
    ruleset = rules.load(names)
    records = [dataclasses.asdict(rule) for rule in ruleset.rules]
    lines = ["classes of words, of which patterns are composed:"]
    lines += [f"  {name:<10} {_short(piece)}" for name, piece in ruleset.words.items()]
    for rule in ruleset.rules:
        spared = f", unless the user {' or '.join(rule.unless)}" if rule.unless else ""
        lines.append(f"{rule.id} ({rule.action}, {rule.turn} turn, {rule.lang}{spared})\n  {rule.why}")
        lines.append(f"  source: {rule.source}" + (f"; made of {', '.join(rule.classes)}" if rule.classes else ""))
        lines.append(f"  hits, for instance: {rule.hits[0]}" if rule.hits else "  no example")
    for exemption in ruleset.exemptions:
        example = f", for instance: {exemption.hits[0]}" if exemption.hits else ""
        lines.append(f"unless the user {exemption.id} (reads the {exemption.reads}{example})\n  {exemption.why}")
    return records, "\n".join(lines)


def _short(piece: str) -> str:
    """Return a class as words to read: without the signs of a regex, and no more than a line of it."""
    words = _SIGNS.sub("", piece).replace("|", ", ")
    return words if len(words) <= SHOWN else f"{words[:SHOWN]} …"


def examination(names: Iterable[str], labelled: Path | None) -> tuple[dict[str, Any], str]:
    """Return how many examples hold and, for labelled rows, precision and recall, as a record and as text.

    Raises:
        RuleError: a rule contradicts its own examples.
        SourceError: the labelled file cannot be read.
    """
    ruleset = rules.load(names)
    entries: list[Rule | Exemption] = [*ruleset.rules, *ruleset.exemptions]
    examples = sum(len(entry.hits) + len(entry.misses) for entry in entries)
    record: dict[str, Any] = {"rules": len(ruleset.rules), "examples": examples}
    lines = [
        f"{len(ruleset.rules)} rules and {len(ruleset.exemptions)} exemptions pass {examples} examples of their own"
    ]
    if labelled is not None:
        record["labelled"] = score(ruleset, labelled)
        lines += _score_lines(record["labelled"])
    return record, "\n".join(lines)


def score(ruleset: Ruleset, labelled: Path) -> dict[str, Any]:
    """Return precision and recall over labelled dialogues, overall and by rule, and the rows judged differently.

    Labels other than drop and keep, such as arguable, count in neither.
    """
    table = _read(labelled)
    hits = find_hits(table.with_row_index("row"), ruleset).join(table.with_row_index("row"), on="row")
    is_hit = pl.Series(range(table.height)).is_in(hits["row"].cast(pl.Int64).implode())
    results = table.with_columns(is_hit=is_hit)
    by_rule = {}
    for rule in ruleset.rules:
        labels = hits.filter((pl.col("rule") == rule.id) & pl.col("label").is_in(["drop", "keep"])).unique("row")[
            "label"
        ]
        right = int((labels == "drop").sum())
        by_rule[rule.id] = {
            "hit_rows": len(labels),
            "right_rows": right,
            "precision": right / len(labels) if len(labels) else None,
        }
    right = results.filter(pl.col("is_hit") & (pl.col("label") == "drop")).height
    wrong = results.filter(pl.col("is_hit") & (pl.col("label") == "keep"))
    missed = results.filter(~pl.col("is_hit") & (pl.col("label") == "drop"))
    return {
        "rows": table.height,
        "precision": right / max(1, right + wrong.height),
        "recall": right / max(1, right + missed.height),
        "by_rule": by_rule,
        "wrongly_hit": wrong["id"].to_list(),
        "missed": missed["id"].to_list(),
    }


def _read(labelled: Path) -> pl.DataFrame:
    try:
        rows = [json.loads(line) for line in labelled.read_text(encoding="utf-8").splitlines() if line.strip()]
        return pl.DataFrame(
            {
                "id": [row["id"] for row in rows],
                "turns": [row["data"] for row in rows],
                "label": [row["label"] for row in rows],
            },
            schema_overrides={"turns": pl.List(pl.String)},
        )
    except (OSError, ValueError, KeyError, TypeError) as fault:
        raise SourceError(f"{labelled} cannot be read: {fault}", "each line holds `id`, `data` and `label`") from None


def _score_lines(scored: dict[str, Any]) -> list[str]:
    lines = [f"{scored['rows']} labelled rows: precision {scored['precision']:.3f}, recall {scored['recall']:.3f}"]
    for rule, entry in scored["by_rule"].items():
        precision = "  –  " if entry["precision"] is None else f"{entry['precision']:.3f}"
        lines.append(f"  {rule:<28} {entry['right_rows']:>4} of {entry['hit_rows']:>4} hit rows right  {precision}")
    lines.append(f"  hit though labelled keep: {', '.join(scored['wrongly_hit']) or 'none'}")
    lines.append(f"  missed though labelled drop: {', '.join(scored['missed']) or 'none'}")
    return lines
