"""Phrase rules as stages: find the assistant turns that a rule hits, then drop the dialogue or cut it before them."""

import re

import polars as pl

from zephyr_data import schemas
from zephyr_data.rules import Rule, Ruleset, rust
from zephyr_data.stages import Stage, is_unread, mark, nothing_changed, nothing_found, rewrite

NAME = "phrases"
CONTEXT = 80  # characters shown on either side of a match
_QUOTED = re.compile(
    r"""["][^"\n]{1,400}["]|“[^”\n]{1,400}”|«[^»\n]{1,400}»"""
    r"""|['‘](?<![^\s(]['‘])[A-Z][^\n]{1,300}?[,.!?]['’](?!\w)"""  # 'Single marks,' around speech, after a space
)
_MAY_QUOTE = r"""["“«]|(?:^|[\s(])['‘][A-Z]"""  # every text in which _QUOTED finds something, and few others


def mark_phrases(ruleset: Ruleset) -> Stage:
    """Return a stage that names the first rule whose reply spoils the dialogue.

    A [[drop]] rule spoils it wherever it hits; a [[cut]] rule only in the first exchange, where nothing would remain.
    Among several the earliest turn counts, then the order of the rules.

    Columns in:  turns
    """
    actions = {rule.id: rule.action for rule in ruleset.rules}

    def find(table: pl.DataFrame) -> pl.DataFrame:
        hits = find_hits(table.filter(~is_unread()), ruleset)
        is_drop = pl.col("rule").replace_strict(actions, return_dtype=pl.String) == "drop"
        return hits.with_columns(drops=is_drop | (pl.col("turn") == 1)).select(list(schemas.VERDICTS))

    return mark(NAME, find if ruleset.rules else lambda _: nothing_found())


def cut_phrases() -> Stage:
    """Return a stage that ends a dialogue before the exchange of the earliest hit of a [[cut]] rule.

    Columns in:  turns, hits (what `mark_phrases` left there on a row that it did not drop)
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
    """Return one line per rule and assistant turn that it hits, the earliest turn and first rule first.

    Columns out: row, rule, turn, matched (the match with its surroundings)
    """
    spoken = _spoken(table, ruleset)
    found = pl.concat(
        [_hits_of(rule, spoken).with_columns(order=pl.lit(order)) for order, rule in enumerate(ruleset.rules)]
    )
    hits = found.join(_spared(table, found, ruleset), on=["row", "turn", "rule"], how="anti")
    matched = [_in_context(*place) for place in hits.select("assistant", "text", "at").rows()]
    told = hits.select("row", "rule", "turn", "order", matched=pl.Series(matched, dtype=pl.String))
    return told.sort("row", "turn", "order").drop("order")


def _spoken(table: pl.DataFrame, ruleset: Ruleset) -> pl.DataFrame:
    """Return row, turn, last_turn, assistant, unquoted for the replies that pass the gate once quotations are blanked.

    Blanking lets nothing pass that did not before, but for a reply that begins with a quotation.
    """
    replies = table.filter(pl.col("turns").list.len() >= 2).select(
        "row",
        last_turn=pl.col("turns").list.len() // 2 * 2 - 1,
        turn=pl.int_ranges(1, pl.col("turns").list.len() // 2 * 2, 2, dtype=pl.Int32),
        assistant=pl.col("turns").list.gather_every(2, 1),
    )
    begins_quoted = pl.col("assistant").str.contains(r"^\s*[\"“«'‘]")
    passes = pl.lit(True) if ruleset.gate is None else pl.col("assistant").str.contains(rust(ruleset.gate))
    close = replies.explode("turn", "assistant").filter(passes | begins_quoted)
    quotes = close["assistant"].str.contains(_MAY_QUOTE)
    texts = zip(close["assistant"], quotes, strict=True)
    unquoted = [blank_quotes(text) if may_quote else text for text, may_quote in texts]
    blanked = close.with_columns(unquoted=pl.Series(unquoted, dtype=pl.String))
    return blanked if ruleset.gate is None else blanked.filter(pl.col("unquoted").str.contains(rust(ruleset.gate)))


def _hits_of(rule: Rule, spoken: pl.DataFrame) -> pl.DataFrame:
    """Return the replies that a rule hits, and where; all patterns joined would outgrow the engine's cache."""
    pattern = rust(rule.pattern)
    reads = {"any": pl.lit(True), "first": pl.col("turn") == 1, "last": pl.col("turn") == pl.col("last_turn")}
    close = spoken.filter(reads[rule.turn])
    if rule.gate is not None:
        close = close.filter(pl.col("unquoted").str.contains(rust(rule.gate)))
    return close.filter(pl.col("unquoted").str.contains(pattern)).select(
        "row",
        "turn",
        "assistant",
        rule=pl.lit(rule.id),
        text=pl.col("unquoted").str.extract(f"({pattern})", 1),
        at=pl.col("unquoted").str.find(pattern),
    )


def _spared(table: pl.DataFrame, found: pl.DataFrame, ruleset: Ruleset) -> pl.DataFrame:
    """Return row, turn, rule for what exemptions spare: from the user turn on that one of a rule's own matches."""
    asked = table.join(found.select("row").unique(), on="row", how="semi", maintain_order="left").select(
        "row",
        turn=pl.int_ranges(1, pl.col("turns").list.len() // 2 * 2, 2, dtype=pl.Int32),
        user=pl.col("turns").list.gather_every(2, 0).list.head(pl.col("turns").list.len() // 2),
    )
    asked = asked.explode("turn", "user")
    parts = [asked.head(0).select("row", "turn", rule=pl.lit("", dtype=pl.String))]
    for exemption in ruleset.exemptions:
        matches = pl.col("user").str.contains(rust(exemption.pattern))
        since = matches.cast(pl.Int8).cum_max().over("row").cast(pl.Boolean)
        spared = asked.filter(since).select("row", "turn")
        parts += [spared.with_columns(rule=pl.lit(rule.id)) for rule in ruleset.rules if exemption.id in rule.unless]
    return pl.concat(parts)


def _in_context(reply: str, text: str, at: int) -> str:
    start = len(reply.encode()[:at].decode("utf-8", "ignore"))
    end = start + len(text)
    return reply[max(0, start - CONTEXT) : start] + "⟦" + reply[start:end] + "⟧" + reply[end : end + CONTEXT]


def blank_quotes(text: str) -> str:
    """Return the text with what stands between quotation marks blanked, each character by one of the same bytes.

    Somebody else's speech is not the assistant's own voice; offsets stay true to the original.
    """
    return _QUOTED.sub(lambda quoted: _blanked(quoted[0]), text)


def _blanked(quoted: str) -> str:
    return quoted[0] + "\x1a" * len(quoted[1:-1].encode()) + quoted[-1]
