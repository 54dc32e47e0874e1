"""Phrase rules as stages: find the assistant turns that a rule hits, then drop the dialogue or cut it before them."""

import polars as pl

from zephyr_data import schemas
from zephyr_data.stages.exemptions import exemptions_of
from zephyr_data.stages.overruling import Reason, Reasons
from zephyr_data.stages.patterns import contains, found_words, passes
from zephyr_data.stages.plain import place_in, plain_forms
from zephyr_data.stages.quotes import without_quotes
from zephyr_data.stages.rules import Ruleset
from zephyr_data.stages.verbs import Stage, is_unread, mark, nothing_changed, nothing_found, rewrite

NAME = "phrases"
CONTEXT = 80  # characters shown on either side of a match


def mark_phrases(ruleset: Ruleset) -> Stage:
    """Return a stage that marks each spoilt dialogue with the first rule that spoils it.

    A [[drop]] rule spoils it wherever it hits; a [[cut]] rule only in the first exchange, since nothing would remain.
    If several do, the earliest turn wins, then the first rule. Spared hits are recorded.

    Columns in:  turns
    """
    actions = {rule.id: rule.action for rule in ruleset.rules}

    def find(table: pl.DataFrame) -> pl.DataFrame:
        hits = judge_hits(table.filter(~is_unread()), ruleset)
        is_drop = pl.col("rule").replace_strict(actions, return_dtype=pl.String) == "drop"
        drops = pl.col("unless").is_null() & (is_drop | (pl.col("turn") == 1))
        return hits.with_columns(drops=drops).select(list(schemas.SPARED_VERDICTS))

    return mark(NAME, find if ruleset.rules else lambda _: nothing_found())


def reasons(ruleset: Ruleset) -> Reasons:
    """Return the reason of each rule."""
    return {f"{NAME}/{rule.id}": Reason(rule.why, rule.source) for rule in ruleset.rules}


def cut_phrases() -> Stage:
    """Return a stage that ends a dialogue before the exchange where a [[cut]] rule first hits.

    Columns in:  turns, hits (as `mark_phrases` left them on rows that it did not drop)
    """

    def edit(table: pl.DataFrame) -> pl.DataFrame:
        hit = table.filter(pl.col("hits").is_not_null()).select("row", "turns", "hits").explode("hits").unnest("hits")
        first = (
            hit.filter((pl.col("stage") == NAME) & pl.col("unless").is_null())
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


def last_hits(table: pl.DataFrame, ruleset: Ruleset) -> pl.DataFrame:
    """Return the first rule that hits the last reply of each dialogue and that no exemption spares.

    Columns out: row, rule, matched (the match with its surroundings)
    """
    spoken = _spoken(table, ruleset).filter(pl.col("turn") == pl.col("last_turn"))
    hits = _hits(spoken, ruleset)
    valid = hits.filter(exemptions_of(hits, spoken, table, ruleset).is_null())
    first = valid.unique("place", keep="first", maintain_order=True).with_row_index("hit")
    matched = first.join(_matches(first, spoken, ruleset), on="hit", maintain_order="left")
    return matched.select(spoken["row"].gather(matched["place"]), "rule", "matched")


def judge_hits(table: pl.DataFrame, ruleset: Ruleset) -> pl.DataFrame:
    """Return one line per rule and assistant turn that it hits, ordered by row, turn and rule.

    Columns out: row, rule, turn, unless (the exemption that spares it), matched (the match with its surroundings, for
    spared hits and for the first of each turn and action)
    """
    spoken = _spoken(table, ruleset)
    hits = _hits(spoken, ruleset)
    hits = hits.with_columns(unless=exemptions_of(hits, spoken, table, ruleset))
    is_first = pl.struct("place", "action", pl.col("unless").is_null()).is_first_distinct()
    to_show = hits.with_row_index("hit").filter(is_first | pl.col("unless").is_not_null())
    matched = _matches(to_show, spoken, ruleset)
    lines = hits.with_columns(matched=pl.Series([None], dtype=pl.String).new_from_index(0, hits.height))
    lines = lines.with_columns(lines["matched"].scatter(matched["hit"], matched["matched"]))
    of_turns = spoken.select("row", "turn")[hits["place"]]
    return pl.concat([of_turns, lines.select("rule", "matched", "unless")], how="horizontal")


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
    if ruleset.gate is not None:
        turns = turns.filter(passes(turns["assistant"], ruleset.gate))
    unquoted = without_quotes(turns["assistant"])
    return turns.with_columns(unquoted=unquoted, plain=plain_forms(unquoted))


def _hits(spoken: pl.DataFrame, ruleset: Ruleset) -> pl.DataFrame:
    """Return place (of the reply in `spoken`), rule, order and action of every hit, by place and rule.

    One pattern for all rules would outgrow the engine's cache.
    """
    reads = {"any": pl.lit(True), "first": pl.col("turn") == 1, "last": pl.col("turn") == pl.col("last_turn")}
    turns, replies = spoken.with_row_index("place"), spoken["plain"]
    open_to: dict[tuple[str, str | None], pl.Series] = {}  # rules often share a gate
    parts = []
    for order, rule in enumerate(ruleset.rules):
        key = (rule.turn, rule.gate)
        if key not in open_to:
            places = turns.filter(reads[rule.turn])["place"]
            is_open = None if rule.gate is None else contains(replies.gather(places), rule.gate)
            open_to[key] = places if is_open is None else places.filter(is_open)
        places = open_to[key]
        hit = places.filter(contains(replies.gather(places), rule.pattern))
        parts.append(
            pl.DataFrame({"place": hit}).with_columns(
                rule=pl.lit(rule.id), order=pl.lit(order), action=pl.lit(rule.action)
            )
        )
    return pl.concat(parts).sort("place", "order")


def _matches(hits: pl.DataFrame, spoken: pl.DataFrame, ruleset: Ruleset) -> pl.DataFrame:
    """Return `hit` and `matched`, the match in its context, of some hits."""
    numbers: list[int] = []
    texts: list[str] = []
    patterns = {rule.id: rule.pattern for rule in ruleset.rules}
    for (rule,), here in hits.partition_by("rule", as_dict=True, maintain_order=True).items():
        turns = spoken[here["place"]]
        words = found_words(turns["plain"], patterns[rule])
        columns = (turns["assistant"], turns["unquoted"], turns["plain"], words)
        numbers += here["hit"].to_list()
        texts += map(_in_context, *(column.to_list() for column in columns))
    return pl.DataFrame({"hit": numbers, "matched": texts}, schema={"hit": pl.UInt32, "matched": pl.String})


def _in_context(reply: str, unquoted: str, form: str, text: str) -> str:
    start = form.index(text)
    end = start + len(text)
    is_shorter = len(form) < len(unquoted)  # else each character stands where it stood
    if is_shorter or "\x1e" in (text[:1], text[-1:]):
        start, end = place_in(unquoted, start), place_in(unquoted, end - 1) + 1
    if unquoted != reply:  # blanked letters count as bytes
        start, end = (_characters(reply, len(unquoted[:place].encode())) for place in (start, end))
    return reply[max(0, start - CONTEXT) : start] + "⟦" + reply[start:end] + "⟧" + reply[end : end + CONTEXT]


def _characters(text: str, size: int) -> int:
    """Return how many characters the first `size` bytes of a text hold."""
    return size if text.isascii() else len(text.encode()[:size].decode("utf-8", "ignore"))
