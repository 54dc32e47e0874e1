"""Exemptions: what the user asked for may make a reply right that a phrase rule hits.

What a pattern reads: `request`, the request in the user's turn that the reply answers; `requests`, those of all turns
up to it; `exchange` and `exchanges`, the same with ` ⟶ ` and the reply behind; `turn`, the answered turn as a whole.
"""

import numpy as np
import polars as pl

from zephyr_data.stages.patterns import gate_of_replies, of_plain
from zephyr_data.stages.plain import plain_forms
from zephyr_data.stages.quotes import without_quotes
from zephyr_data.stages.rules import OWN_PATTERN, Exemption, Rule, Ruleset

ARROW = " ⟶ "
_COLUMNS = {
    "request": "request",
    "requests": "requests",
    "exchange": "request",
    "exchanges": "requests",
    "turn": "user",
}
LONG, SHORT = 500, 250  # a turn of more characters than LONG holds a text; the request is in its first and last ones


def exemptions_of(hits: pl.DataFrame, spoken: pl.DataFrame, table: pl.DataFrame, ruleset: Ruleset) -> pl.Series:
    """Return for each hit the first exemption of the ruleset that spares it, or null.

    Columns in:  hits: place, rule; spoken: row, turn, plain; table: row, turns
    """
    spared = np.full(hits.height, "", dtype=object)
    places, numbers = np.unique(hits["place"].to_numpy(), return_inverse=True)
    asked = _asked(spoken.select("row", "turn", "plain")[places], table, ruleset)
    names = hits["rule"].to_numpy()
    for exemption in ruleset.exemptions:
        naming = [rule for rule in ruleset.rules if exemption.id in rule.unless]
        entries: list[tuple[Exemption | Rule, list[Rule]]] = [(exemption, naming)]
        if exemption.pattern == OWN_PATTERN:
            entries = [(rule, [rule]) for rule in naming]
        for entry, rules in entries:
            is_open = np.isin(names, [rule.id for rule in rules]) & (spared == "")
            turns = np.unique(numbers[is_open])
            if len(turns):
                is_spared = np.zeros(len(places), dtype=bool)
                is_spared[turns] = _spares(exemption, entry, asked[turns])
                spared[is_open & is_spared[numbers]] = exemption.id
    return pl.Series([name or None for name in spared], dtype=pl.String)


def _spares(exemption: Exemption, entry: Exemption | Rule, asked: pl.DataFrame) -> np.ndarray:
    """Return where the user's words match the entry, and the reply is not unlike what the exemption means."""
    words, reply = asked[_COLUMNS[exemption.reads]], asked["plain"]
    if exemption.reads.startswith("exchange"):
        words = words + ARROW + reply
    is_match = matches(words, entry)
    if exemption.unlike is not None and is_match.any():
        places = is_match.arg_true()
        is_match = is_match.scatter(places, ~reply.gather(places).str.contains(of_plain(exemption.unlike)))
    return is_match.to_numpy()


def matches(texts: pl.Series, entry: Rule | Exemption) -> pl.Series:
    """Return whether an entry's gate and pattern match each of the texts, plain forms."""
    if entry.gate is None:
        return texts.str.contains(of_plain(entry.pattern))
    is_match = texts.str.contains(of_plain(entry.gate))
    places = is_match.arg_true()
    return is_match.scatter(places, texts.gather(places).str.contains(of_plain(entry.pattern)))


def requests_of(turns: pl.Series, pasted: str | None) -> pl.Series:
    """Return the plain form of what each user's turn asks for, without quotations and texts that it brings along.

    A text begins after the words that `pasted` matches; of other long turns, the beginning counts. The last line counts
    in both, for many ask below the text.
    """
    texts = plain_forms(without_quotes(turns))
    ends = [None] * len(texts) if pasted is None else texts.str.find(of_plain(pasted)).to_list()
    return pl.Series(map(_request, texts, ends), dtype=pl.String)


def _request(text: str, end: int | None) -> str:
    """Return the request in a text that brings along another from byte `end` on, if it does."""
    if end is None and len(text) <= LONG:
        return text
    start = text[:SHORT] if end is None else text.encode()[:end].decode()
    last = text[len(start) :].rstrip().rpartition("\n")
    return f"{start}\n\n{last[2]}" if last[1] and len(last[2]) <= SHORT else start


def _asked(answered: pl.DataFrame, table: pl.DataFrame, ruleset: Ruleset) -> pl.DataFrame:
    """Return plain (the reply), user (the answered turn, empty if no rule can hit it), request and requests so far."""
    dialogues = answered.join(table.select("row", "turns"), on="row", how="left", maintain_order="left")
    turns = dialogues.select("row", "turn", user=pl.col("turns").list.head("turn").list.gather_every(2))
    users = turns.explode("user")
    requests = users.with_columns(request=requests_of(users["user"], ruleset.pasted))
    by_turn = requests.group_by("row", "turn", maintain_order=True).agg(
        pl.col("user", "request").last(), requests=pl.col("request").str.join("\n\n")
    )
    may_hit = pl.lit(True) if ruleset.gate is None else pl.col("user").str.contains(gate_of_replies(ruleset.gate))
    user = pl.when(may_hit).then("user").otherwise(pl.lit(""))
    by_turn = by_turn.with_columns(user, plain=answered["plain"])
    return by_turn.with_columns(user=plain_forms(by_turn["user"]))
