"""Exemptions: what the user asked for may make a reply right that a phrase rule hits.

What a pattern reads: `request`, the request in the user's turn that the reply answers; `requests`, those of all turns
up to it; `exchange` and `exchanges`, the same with ` ⟶ ` and the reply behind; `turn`, the answered turn as a whole.
"""

import numpy as np
import polars as pl

from zephyr_data.stages.patterns import contains, found_places
from zephyr_data.stages.plain import PARAGRAPH, plain_forms
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

    Columns in:  hits: place, order; spoken: row, turn, plain; table: row, turns
    """
    spared = np.full(hits.height, -1)
    places, numbers = np.unique(hits["place"].to_numpy(), return_inverse=True)
    contexts = _contexts(spoken.select("row", "turn", "plain")[places], table, ruleset)
    orders, order_of = hits["order"].to_numpy(), {rule.id: order for order, rule in enumerate(ruleset.rules)}
    for number, exemption in enumerate(ruleset.exemptions):
        naming = [rule for rule in ruleset.rules if exemption.id in rule.unless]
        entries: list[tuple[Exemption | Rule, list[Rule]]] = [(exemption, naming)]
        if exemption.pattern == OWN_PATTERN:
            entries = [(rule, [rule]) for rule in naming]
        for entry, rules in entries:
            is_open = np.isin(orders, [order_of[rule.id] for rule in rules]) & (spared < 0)
            turns = np.unique(numbers[is_open])
            if len(turns):
                is_spared = np.zeros(len(places), dtype=bool)
                is_spared[turns] = _spares(exemption, entry, contexts[turns])
                spared[is_open & is_spared[numbers]] = number
    names = [exemption.id for exemption in ruleset.exemptions]
    return pl.Series([names[number] if number >= 0 else None for number in spared], dtype=pl.String)


def _spares(exemption: Exemption, entry: Exemption | Rule, contexts: pl.DataFrame) -> np.ndarray:
    """Return where the user's words match the entry, and the reply is not unlike what the exemption means."""
    words, reply = contexts[_COLUMNS[exemption.reads]], contexts["plain"]
    is_match = matches(words, entry, reply if exemption.reads.startswith("exchange") else None)
    if exemption.unlike is not None and is_match.any():
        places = is_match.arg_true()
        is_match = is_match.scatter(places, ~contains(reply.gather(places), exemption.unlike))
    return is_match.to_numpy()


def matches(words: pl.Series, entry: Rule | Exemption, replies: pl.Series | None = None) -> pl.Series:
    """Return whether an entry's gate matches each of the words and its pattern the words with their reply, if given."""
    is_match = pl.repeat(True, len(words), dtype=pl.Boolean, eager=True)
    if entry.gate is not None:
        is_match = contains(words, entry.gate)
    places = is_match.arg_true()
    texts = words.gather(places) if replies is None else words.gather(places) + ARROW + replies.gather(places)
    return is_match.scatter(places, contains(texts, entry.pattern))


def requests_of(turns: pl.Series, pasted: str | None) -> pl.Series:
    """Return the plain form of what each user's turn asks for, without quotations and texts that it brings along.

    A text begins after the words that `pasted` matches; of other long turns, the beginning counts. The last line counts
    in both, for many ask below the text.
    """
    texts = plain_forms(without_quotes(turns))
    ends = pl.repeat(None, len(texts), dtype=pl.UInt32, eager=True)
    if pasted is not None:
        ends = found_places(texts, pasted)
    places = (ends.is_not_null() | (texts.str.len_bytes() > LONG)).arg_true()
    return texts.clone().scatter(places, list(map(_request, texts.gather(places), ends.gather(places))))


def _request(text: str, end: int | None) -> str:
    """Return the request in a text that brings along another from byte `end` on, if it does."""
    if end is None and len(text) <= LONG:
        return text
    start = text[:SHORT] if end is None else text.encode()[:end].decode()
    rest = text[len(start) :].rstrip()
    last_line = max(rest.rfind("\n"), rest.rfind(PARAGRAPH[0])) + 1
    is_short = last_line > 0 and len(rest) - last_line <= SHORT
    return f"{start}{PARAGRAPH}{rest[last_line:]}" if is_short else start


def _contexts(answered: pl.DataFrame, table: pl.DataFrame, ruleset: Ruleset) -> pl.DataFrame:
    """Return plain (the reply), user (the answered turn), request and requests so far."""
    dialogues = answered.join(table.select("row", "turns"), on="row", how="left", maintain_order="left")
    user = dialogues.select(pl.col("turns").list.get(pl.col("turn") - 1)).to_series()
    request = requests_of(user, ruleset.pasted)
    later = dialogues.with_row_index("place").filter(pl.col("turn") > 1)
    earlier = later.select("place", user=pl.col("turns").list.head(pl.col("turn") - 1).list.gather_every(2)).explode(
        "user"
    )
    before = earlier.select("place", request=requests_of(earlier["user"], ruleset.pasted))
    so_far = before.group_by("place", maintain_order=True).agg(pl.col("request").str.join(PARAGRAPH))
    requests = request.clone().scatter(so_far["place"], so_far["request"] + PARAGRAPH + request.gather(so_far["place"]))
    columns = {"plain": answered["plain"], "user": plain_forms(user), "request": request, "requests": requests}
    return pl.DataFrame(columns)
