"""Phrase rules as stages: find the assistant turns that a rule hits, then drop the dialogue or cut it before them."""

import polars as pl

from zephyr_data import schemas
from zephyr_data.stages.exemptions import matching, with_exemptions
from zephyr_data.stages.plain import is_odd, of_any, of_plain, place_in, plain_forms
from zephyr_data.stages.quotes import MAY_SPEAK, without_quotes
from zephyr_data.stages.rules import Rule, Ruleset
from zephyr_data.stages.verbs import Stage, is_unread, mark, nothing_changed, nothing_found, rewrite

NAME = "phrases"
CONTEXT = 80  # characters shown on either side of a match


def mark_phrases(ruleset: Ruleset) -> Stage:
    """Return a stage that marks each spoilt dialogue with the first rule that spoils it.

    A [[drop]] rule spoils it wherever it hits; a [[cut]] rule only in the first exchange, since nothing would remain.
    If several do, the earliest turn wins, then the first rule.

    Columns in:  turns
    """
    actions = {rule.id: rule.action for rule in ruleset.rules}

    def find(table: pl.DataFrame) -> pl.DataFrame:
        hits = find_hits(table.filter(~is_unread()), ruleset)
        is_drop = pl.col("rule").replace_strict(actions, return_dtype=pl.String) == "drop"
        return hits.with_columns(drops=is_drop | (pl.col("turn") == 1)).select(list(schemas.VERDICTS))

    return mark(NAME, find if ruleset.rules else lambda _: nothing_found())


def cut_phrases() -> Stage:
    """Return a stage that ends a dialogue before the exchange where a [[cut]] rule first hits.

    Columns in:  turns, hits (as `mark_phrases` left them on rows that it did not drop)
    """

    def edit(table: pl.DataFrame) -> pl.DataFrame:
        hit = table.filter(pl.col("hits").is_not_null()).select("row", "turns", "hits").explode("hits").unnest("hits")
        first = (
            hit.filter(pl.col("stage") == NAME)
            .sort("row", "turn", maintain_order=True)
            .unique("row", keep="first", maintain_order=True)
        )
        if first.is_empty():
            return nothing_changed()
        stays = pl.col("turn") - 1
        cut = pl.struct(
            turn=stays.cast(pl.Int32),
            stage="stage",
            rule="rule",
            start=pl.lit(None, dtype=pl.Int32),
            end=pl.lit(None, dtype=pl.Int32),
            before=pl.col("turns").list.get(pl.col("turn")).str.slice(0, 2 * CONTEXT),
            after=pl.format("(cut: {} turns)", pl.col("turns").list.len() - stays),
        )
        return first.select("row", turns=pl.col("turns").list.head(stays), edits=pl.concat_list(cut))

    return rewrite(NAME, edit)


def find_hits(table: pl.DataFrame, ruleset: Ruleset) -> pl.DataFrame:
    """Return one line per rule and assistant turn that it hits and no exemption spares; see `judge_hits`."""
    return judge_hits(table, ruleset).filter(pl.col("unless").is_null()).drop("unless")


def judge_hits(table: pl.DataFrame, ruleset: Ruleset) -> pl.DataFrame:
    """Return one line per rule and assistant turn that it hits, ordered by row, turn and rule.

    Columns out: row, rule, turn, matched (the match with its surroundings), unless (the exemption that spares it)
    """
    spoken = _spoken(table, ruleset)
    hits = pl.concat(
        [_hits_of(rule, spoken).with_columns(order=pl.lit(order)) for order, rule in enumerate(ruleset.rules)]
    )
    judged = with_exemptions(hits, table, ruleset)
    places = pl.concat([_places(rule, judged.filter(pl.col("rule") == rule.id)) for rule in ruleset.rules])
    matched = [_in_context(*place) for place in places.select("assistant", "unquoted", "plain", "text", "at").rows()]
    lines = places.select("row", "rule", "turn", "order", "unless", matched=pl.Series(matched, dtype=pl.String))
    return lines.sort("row", "turn", "order").select("row", "rule", "turn", "matched", "unless")


def _spoken(table: pl.DataFrame, ruleset: Ruleset) -> pl.DataFrame:
    """Return row, turn, last_turn, assistant, unquoted (quotations blanked), plain, of the replies that pass the gate.

    Blanking never makes a reply pass that did not pass before, unless the reply begins with a quotation.
    """
    replies = table.filter(pl.col("turns").list.len() >= 2).select(
        "row",
        last_turn=pl.col("turns").list.len() // 2 * 2 - 1,
        turn=pl.int_ranges(1, pl.col("turns").list.len() // 2 * 2, 2, dtype=pl.Int32),
        assistant=pl.col("turns").list.gather_every(2, 1),
    )
    turns = replies.explode("turn", "assistant")
    close = turns if ruleset.gate is None else turns.filter(_passes(turns["assistant"], ruleset.gate))
    may_speak = close["assistant"].str.contains(MAY_SPEAK)
    unquoted = pl.Series(
        [without_quotes(text, speaks) for text, speaks in zip(close["assistant"], may_speak, strict=True)],
        dtype=pl.String,
    )
    return close.with_columns(unquoted=unquoted, plain=plain_forms(unquoted))


def _passes(replies: pl.Series, gate: str) -> pl.Series:
    return replies.str.contains(rf"""(?:{of_any(gate)})|^\s*["“«'‘]""") | is_odd(replies)


def _hits_of(rule: Rule, spoken: pl.DataFrame) -> pl.DataFrame:
    """Return the replies that a rule hits; one pattern for all rules would outgrow the engine's cache."""
    reads = {"any": pl.lit(True), "first": pl.col("turn") == 1, "last": pl.col("turn") == pl.col("last_turn")}
    close = matching("plain", rule, spoken.filter(reads[rule.turn]))
    return close.select("row", "turn", "assistant", "unquoted", "plain", rule=pl.lit(rule.id))


def _places(rule: Rule, hits: pl.DataFrame) -> pl.DataFrame:
    """Return the hits of a rule with the matched text and where it begins, in bytes of the plain form."""
    pattern = of_plain(rule.pattern)
    return hits.with_columns(text=pl.col("plain").str.extract(pattern, 0), at=pl.col("plain").str.find(pattern))


def _in_context(reply: str, unquoted: str, form: str, text: str, at: int) -> str:
    start = _characters(form, at)
    end = start + len(text)
    if form != unquoted:
        start, end = place_in(unquoted, start), place_in(unquoted, end - 1) + 1
    if unquoted != reply:  # blanked letters count as bytes
        start, end = (_characters(reply, len(unquoted[:place].encode())) for place in (start, end))
    return reply[max(0, start - CONTEXT) : start] + "⟦" + reply[start:end] + "⟧" + reply[end : end + CONTEXT]


def _characters(text: str, size: int) -> int:
    """Return how many characters the first `size` bytes of a text hold."""
    return size if text.isascii() else len(text.encode()[:size].decode("utf-8", "ignore"))
