"""Exemptions: what the user asked for may make a reply right that a phrase rule hits."""

import polars as pl

from zephyr_data.stages.plain import of_plain, plain
from zephyr_data.stages.quotes import blank_quotes
from zephyr_data.stages.rules import OWN_PATTERN, Exemption, Rule, Ruleset

_COLUMNS = {"request": "request", "requests": "requests", "turn": "turn_text"}
LONG, SHORT = 500, 250  # a turn of more characters than LONG holds a text; the request is in its first and last ones


def with_exemptions(hits: pl.DataFrame, table: pl.DataFrame, ruleset: Ruleset) -> pl.DataFrame:
    """Return the hits with `unless`, the first exemption of the ruleset that spares each, or null.

    Columns in:  hits: row, turn, rule, plain; table: row, turns
    """
    rules = {rule.id: rule for rule in ruleset.rules}
    asked = hits.join(_asked(hits, table, ruleset.pasted), on=["row", "turn"], how="left", maintain_order="left")
    unspared, parts = asked.with_columns(unless=pl.lit(None, dtype=pl.String)), []
    for exemption in ruleset.exemptions:
        naming = [rule.id for rule in ruleset.rules if exemption.id in rule.unless]
        is_spared = pl.lit(False)
        for pattern, names in _patterns(exemption, [rules[name] for name in naming]).items():
            is_spared |= pl.col("rule").is_in(names) & _matches(exemption, pattern)
        spared = unspared.filter(is_spared)
        parts.append(spared.with_columns(unless=pl.lit(exemption.id)))
        unspared = unspared.join(spared, on=["row", "turn", "rule"], how="anti", maintain_order="left")
    return pl.concat([unspared, *parts])


def matching(column: str, entry: Rule | Exemption, table: pl.DataFrame) -> pl.DataFrame:
    """Return the rows whose text in `column`, a plain form, an entry's gate and pattern match."""
    gated = table if entry.gate is None else table.filter(pl.col(column).str.contains(of_plain(entry.gate)))
    return gated.filter(pl.col(column).str.contains(of_plain(entry.pattern)))


def requests_of(turns: pl.Series, pasted: str | None) -> pl.Series:
    """Return the plain form of what each user's turn asks for, without quotations and texts that it brings along.

    A text begins after the words that `pasted` matches; of other long turns, the beginning counts. The last line counts
    in both, for many ask below the text.
    """
    texts = pl.Series([plain(blank_quotes(turn)) for turn in turns], dtype=pl.String)
    ends = [None] * len(texts) if pasted is None else texts.str.find(of_plain(pasted)).to_list()
    return pl.Series(map(_request, texts, ends), dtype=pl.String)


def _request(text: str, end: int | None) -> str:
    """Return the request in a text that brings along another from byte `end` on, if it does."""
    if end is None and len(text) <= LONG:
        return text
    start = text[:SHORT] if end is None else text.encode()[:end].decode()
    last = text[len(start) :].rstrip().rpartition("\n")
    return f"{start}\n\n{last[2]}" if last[1] and len(last[2]) <= SHORT else start


def _asked(hits: pl.DataFrame, table: pl.DataFrame, pasted: str | None) -> pl.DataFrame:
    """Return row, turn, `turn_text` (the user's, answered there), `request` in it, and `requests` so far, for hits."""
    answered = hits.select("row", "turn").unique(maintain_order=True).join(table.select("row", "turns"), on="row")
    users = answered.select("row", "turn", user=pl.col("turns").list.head("turn").list.gather_every(2)).explode("user")
    with_requests = users.with_columns(request=requests_of(users["user"], pasted))
    return with_requests.group_by("row", "turn", maintain_order=True).agg(
        turn_text=pl.col("user").last().map_elements(plain, return_dtype=pl.String),
        requests=pl.col("request").str.join("\n\n"),
        request=pl.col("request").last(),
    )


def _patterns(exemption: Exemption, rules: list[Rule]) -> dict[str, list[str]]:
    if exemption.pattern == OWN_PATTERN:
        return {rule.pattern: [rule.id] for rule in rules}
    return {exemption.pattern: [rule.id for rule in rules]}


def _matches(exemption: Exemption, pattern: str) -> pl.Expr:
    """Return whether the user's words match the pattern, and the reply what the exemption asks of it."""
    is_match = pl.col(_COLUMNS[exemption.reads]).str.contains(of_plain(pattern))
    if exemption.reply is not None:
        is_match &= pl.col("plain").str.contains(of_plain(exemption.reply))
    if exemption.unlike is not None:
        is_match &= ~pl.col("plain").str.contains(of_plain(exemption.unlike))
    return is_match
