"""A dataset's audit as plain text, read from its files: rules with examples, and the story of a row."""

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from zephyr_core import kinds
from zephyr_core.console import one_line, table
from zephyr_core.errors import UsageError
from zephyr_core.records import DatasetManifest
from zephyr_data.data_steps import reports_of
from zephyr_data.engine.audit import is_selection
from zephyr_data.engine.store import audit_table, odd_manifest
from zephyr_data.sources.lookup import raw_line
from zephyr_data.stages.overruling import LEAST_KEY, SPARE, WITHOUT, Reason, Reasons

EXAMPLES = 2


def rules_table(directory: Path) -> str:
    """Return the rules with their hits, and for each the first dropped rows with the match marked."""
    rules = audit_table(directory, "rules").sort("dropped_rows", "hit_rows", descending=True)
    dropped, rewritten = audit_table(directory, "dropped"), audit_table(directory, "rewritten")
    spared = audit_table(directory, "spared")
    head = ("rule", "hit rows", "only this", "dropped", "hit turns", "spared rows")
    body = [(f"{row[0]}/{row[1]}", *row[2:]) for row in rules.select(_RULE_COLUMNS).rows()]
    parts = ["\n".join(table([head, *body]))]
    reasons = _reasons(rules)
    for stage, rule in rules.filter(pl.col("dropped_rows") > 0).select("stage", "rule").rows():
        if not is_selection(f"{stage}/{rule}"):
            parts.append("\n".join([*_examples(dropped, stage, rule), *_why(stage, rule, reasons)]))
    for (stage, rule), group in rewritten.group_by("stage", "rule", maintain_order=True):
        changes = map(_change, group.head(EXAMPLES).rows(named=True))
        title = f"{stage}/{rule}: {group.height:,} changes"
        parts.append("\n".join([title, *changes, *_why(str(stage), str(rule), reasons)]))
    for (unless,), group in spared.group_by("unless", maintain_order=True):
        examples = [f"  {_at(row)}{_excerpt(row, ': ')}" for row in group.head(EXAMPLES).rows(named=True)]
        parts.append("\n".join([f"spared by {unless}: {group.height:,} hits", *examples]))
    return "\n\n".join(parts)


def story(directory: Path, row_name: str) -> str:
    """Return what happened to a row, named by raw id, row_key or its beginning, prompt_id, or FILE:LINE.

    Raises:
        WrongFolder: it is a different kind of folder.
        UsageError: no row has that name.
        DataError: the dataset is damaged.
    """
    content = kinds.read_dataset(directory)
    tables = {name: audit_table(directory, name) for name in ("dropped", "kept", "rewritten")}
    dropped, kept_rows = _matching(tables["dropped"], row_name), _with_places(_matching(tables["kept"], row_name))
    reasons, spared = _reasons(audit_table(directory, "rules")), audit_table(directory, "spared")
    parts = [_dropped_story(row, reasons) for row in dropped]
    parts += [_kept_story(row, tables["rewritten"], reasons) for row in kept_rows]
    parts += [text for row in (*dropped, *kept_rows) if (text := _spared_story(row, spared, reasons))]
    keys = dict.fromkeys(row["row_key"] for row in (*dropped, *kept_rows) if row["row_key"])
    with odd_manifest(directory):
        parts += [text for key in keys if (text := reports_of(content).story(directory, content, key))]
    parts += [text for row in (*dropped, *kept_rows) if (text := _raw_row(row, content))]
    if not parts:
        raise UsageError(f"{directory} has no row {row_name!r}", "give a raw id, a row_key, a prompt_id or FILE:LINE")
    return "\n\n".join(parts)


_RULE_COLUMNS = ("stage", "rule", "hit_rows", "only_hit_rows", "dropped_rows", "hit_turns", "spared_rows")


def _matching(table: pl.DataFrame, row_name: str) -> list[dict[str, Any]]:
    by_place = pl.format("{}:{}", "file", "line") == row_name
    by_key = pl.col("row_key").str.starts_with(row_name) if len(row_name) >= LEAST_KEY else pl.lit(False)
    by_prompt = pl.col("prompt_id") == row_name if "prompt_id" in table.columns else pl.lit(False)
    return table.filter(((pl.col("id") == row_name) | by_place | by_key | by_prompt).fill_null(False)).rows(named=True)


def _with_places(kept_rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return each raw row once, with every place it went to; for pairs there can be several."""
    rows: dict[tuple[str, str, int], dict[str, Any]] = {}
    for row in kept_rows:
        raw = rows.setdefault((row["source"], row["file"], row["line"]), {**row, "places": []})
        raw["places"].append(f"{row['split']}, row {row['row']}")
    return list(rows.values())


def _reasons(rules: pl.DataFrame) -> Reasons:
    """Return the reasons that a dataset's table of rules holds."""
    columns = rules.filter(pl.col("why").is_not_null()).select("stage", "rule", "why", "why_source")
    return {f"{stage}/{rule}": Reason(why, source) for stage, rule, why, source in columns.rows()}


def _why(stage: str, rule: str, reasons: Reasons) -> Iterator[str]:
    reason = reasons.get(f"{stage}/{rule}")
    if reason is not None:
        yield f"  why: {reason.why}; source: {reason.source}"


def _dropped_story(row: dict[str, Any], reasons: Reasons) -> str:
    head = f"dropped by {row['stage']}/{row['rule']}{_turn(row, ' at turn ')}{_excerpt(row)}"
    lines = [_place(row), head, *_why(row["stage"], row["rule"], reasons)]
    rule = f"{row['stage']}/{row['rule']}"
    if rule in reasons:
        name = shlex.quote(row["id"] or f"{row['file']}:{row['line']}")
        lines.append(f"  to overrule it: {SPARE} {name}, or {WITHOUT} {rule}")
    return "\n".join(lines)


def _kept_story(row: dict[str, Any], rewritten: pl.DataFrame, reasons: Reasons) -> str:
    lines = [_place(row), f"kept: {'; '.join(row['places'])}", f"prompt_id {row['prompt_id']}"]
    for change in rewritten.filter(pl.col("row_key") == row["row_key"]).rows(named=True):
        lines += [f"  turn {change['turn']}, {change['stage']}/{change['rule']}:", _change(change)]
        lines += _why(change["stage"], change["rule"], reasons)
    return "\n".join(lines)


def _spared_story(row: dict[str, Any], spared: pl.DataFrame, reasons: Reasons) -> str:
    lines: list[str] = []
    for hit in spared.filter(source=row["source"], file=row["file"], line=row["line"]).rows(named=True):
        name = f"{hit['stage']}/{hit['rule']}"
        lines += [f"spared by {hit['unless']}{_turn(hit, ' at turn ')}: {name}{_excerpt(hit)}"]
        lines += _why(hit["stage"], hit["rule"], reasons)
    return "\n".join(lines)


def _turn(row: dict[str, Any], before: str) -> str:
    return "" if row["turn"] is None else f"{before}{row['turn']}"


def _excerpt(row: dict[str, Any], before: str = "\n  ") -> str:
    return f"{before}{one_line(row['matched'])}" if row["matched"] else ""


def _at(row: dict[str, Any]) -> str:
    return f"{row['file']}:{row['line']}{_turn(row, ', turn ')}, {row['stage']}/{row['rule']}"


def _place(row: dict[str, Any]) -> str:
    return f"row {row['row_key'] or '(unreadable)'}, id {row['id']!r}: {row['file']}:{row['line']} of {row['source']}"


def _raw_row(row: dict[str, Any], content: DatasetManifest) -> str:
    text = raw_line(row["source"], row["file"], row["line"], content["inputs"])
    return "" if text is None else f"raw row at {row['file']}:{row['line']}\n  {text}"


def _examples(dropped: pl.DataFrame, stage: str, rule: str) -> Iterator[str]:
    rows = dropped.filter((pl.col("stage") == stage) & (pl.col("rule") == rule))
    yield f"{stage}/{rule}: {rows.height:,} rows"
    for row in rows.head(EXAMPLES).rows(named=True):
        yield f"  {row['file']}:{row['line']}{_turn(row, ', turn ')}{_excerpt(row, ': ')}"


def _change(change: dict[str, Any]) -> str:
    return f"  - {one_line(change['before'])}\n  + {one_line(change['after'])}"
