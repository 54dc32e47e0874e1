"""Phrase rules as stages: find the assistant turns that a rule hits, then drop the dialogue or cut it before them."""

import re

import polars as pl

from zephyr_data import schemas
from zephyr_data.stages.rules import Exemption, Rule, Ruleset, rust
from zephyr_data.stages.verbs import Stage, is_unread, mark, nothing_changed, nothing_found, rewrite

NAME = "phrases"
CONTEXT = 80  # characters shown on either side of a match
_QUOTED = re.compile(
    r"""["][^"\n]{1,400}["]|“[^”\n]{1,400}”|«[^»\n]{1,400}»"""
    r"""|['‘](?<![^\s(]['‘])[A-Z][^\n]{1,300}?[,.!?]['’](?!\w)"""  # 'Single marks,' around speech, after a space
)
_IN_DOUBLE_MARKS = re.compile(r"""["][^"\n]{1,400}["]""")
_MAY_SPEAK = r"""['‘][A-Z]"""  # matches every text with speech in single marks, and few others


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
    """Return one line per rule and assistant turn that it hits, ordered by row, turn and rule.

    Columns out: row, rule, turn, matched (the match with its surroundings)
    """
    spoken = _spoken(table, ruleset)
    all_hits = pl.concat(
        [_hits_of(rule, spoken).with_columns(order=pl.lit(order)) for order, rule in enumerate(ruleset.rules)]
    )
    hits = all_hits.join(_spared(table, all_hits, ruleset), on=["row", "turn", "rule"], how="anti")
    places = pl.concat([_places(rule, hits.filter(pl.col("rule") == rule.id)) for rule in ruleset.rules])
    matched = [_in_context(*place) for place in places.select("assistant", "text", "at").rows()]
    lines = places.select("row", "rule", "turn", "order", matched=pl.Series(matched, dtype=pl.String))
    return lines.sort("row", "turn", "order").drop("order")


def _spoken(table: pl.DataFrame, ruleset: Ruleset) -> pl.DataFrame:
    """Return row, turn, last_turn, assistant, unquoted (quotations blanked) for the replies that pass the gate.

    Blanking never makes a reply pass that did not pass before, unless the reply begins with a quotation.
    """
    replies = table.filter(pl.col("turns").list.len() >= 2).select(
        "row",
        last_turn=pl.col("turns").list.len() // 2 * 2 - 1,
        turn=pl.int_ranges(1, pl.col("turns").list.len() // 2 * 2, 2, dtype=pl.Int32),
        assistant=pl.col("turns").list.gather_every(2, 1),
    )
    turns = replies.explode("turn", "assistant")
    close = turns if ruleset.gate is None else turns.filter(pl.col("assistant").str.contains(_open_gate(ruleset.gate)))
    may_speak = close["assistant"].str.contains(_MAY_SPEAK)
    unquoted = [_without_quotes(text, speaks) for text, speaks in zip(close["assistant"], may_speak, strict=True)]
    return close.with_columns(unquoted=pl.Series(unquoted, dtype=pl.String))


def _open_gate(gate: str) -> str:
    return rf"""(?:{rust(gate)})|^\s*["“«'‘]"""


def _hits_of(rule: Rule, spoken: pl.DataFrame) -> pl.DataFrame:
    """Return the replies that a rule hits; one pattern for all rules would outgrow the engine's cache."""
    reads = {"any": pl.lit(True), "first": pl.col("turn") == 1, "last": pl.col("turn") == pl.col("last_turn")}
    close = _matching("unquoted", rule, spoken.filter(reads[rule.turn]))
    return close.select("row", "turn", "assistant", "unquoted", rule=pl.lit(rule.id))


def _places(rule: Rule, hits: pl.DataFrame) -> pl.DataFrame:
    """Return the hits of a rule with the matched text and where it begins, in bytes."""
    pattern = rust(rule.pattern)
    return hits.with_columns(text=pl.col("unquoted").str.extract(pattern, 0), at=pl.col("unquoted").str.find(pattern))


def _matching(column: str, entry: Rule | Exemption, table: pl.DataFrame) -> pl.DataFrame:
    gated = table if entry.gate is None else table.filter(pl.col(column).str.contains(rust(entry.gate)))
    return gated.filter(pl.col(column).str.contains(rust(entry.pattern)))


def _spared(table: pl.DataFrame, hits: pl.DataFrame, ruleset: Ruleset) -> pl.DataFrame:
    """Return row, turn, rule of the spared hits: those after a user turn that one of the rule's exemptions matches.

    An exemption reads the user turns before the hits of rules that name it, apart from hits already spared.
    """
    unspared, parts = hits.select("row", "turn", "rule"), [hits.head(0).select("row", "turn", "rule")]
    user_turns = table.select("row", user=pl.col("turns").list.gather_every(2, 0))
    for exemption in ruleset.exemptions:
        naming = [rule.id for rule in ruleset.rules if exemption.id in rule.unless]
        open_to = unspared.filter(pl.col("rule").is_in(naming))
        last = open_to.group_by("row").agg(exchanges=(pl.col("turn").max() + 1) // 2)
        read = (
            user_turns.join(last, on="row", how="inner")
            .with_columns(pl.col("user").list.head("exchanges"), turn=pl.int_ranges(1, 2 * pl.col("exchanges"), 2))
            .explode("turn", "user")
        )
        since = _matching("user", exemption, read).group_by("row").agg(since=pl.col("turn").min())
        spared = open_to.join(since, on="row", how="inner").filter(pl.col("turn") >= pl.col("since")).drop("since")
        unspared = unspared.join(spared, on=["row", "turn", "rule"], how="anti")
        parts.append(spared)
    return pl.concat(parts)


def _in_context(reply: str, text: str, at: int) -> str:
    start = at if reply.isascii() else len(reply.encode()[:at].decode("utf-8", "ignore"))
    end = start + len(text)
    return reply[max(0, start - CONTEXT) : start] + "⟦" + reply[start:end] + "⟧" + reply[end : end + CONTEXT]


def blank_quotes(text: str) -> str:
    """Return the text with everything between quotation marks blanked, its length in bytes unchanged.

    Quoted speech is not the assistant's own voice; byte offsets still match the original.
    """
    return _without_quotes(text, may_speak=True)


def _without_quotes(text: str, may_speak: bool) -> str:
    if may_speak or "“" in text or "«" in text:
        return _QUOTED.sub(_blanked, text)
    return _IN_DOUBLE_MARKS.sub(_blanked, text) if '"' in text else text


def _blanked(match: re.Match[str]) -> str:
    quoted = match[0]
    return quoted[0] + "\x1a" * len(quoted[1:-1].encode()) + quoted[-1]
