"""Policies: which of a prompt's answers is chosen and which rejected.

random       the best against one of the strictly lower ones, drawn (paper §3)
random-any   the best against one of all others, drawn (paper §4.1, read literally)
lowest       the best against the lowest
all-lower    the best against each strictly lower one
all-pairs    each answer against each strictly lower one
h4-v1        the first maximum against a fixed place: what the first public version did

A pair that was given is taken as it is, under every policy (decision 0044).
Every draw depends only on the prompt and is made over answers in canonical order (decision 0009, docs/pairs.md).
"""

import polars as pl

from zephyr_core.keys import draws
from zephyr_data import schemas
from zephyr_data.options import BinarizeOptions
from zephyr_data.pairing.scores import answers, given_rows, in_canonical_order
from zephyr_data.stages import phrases
from zephyr_data.stages.overruling import SPARE, SPARE_NAMES
from zephyr_data.stages.rules import Ruleset
from zephyr_data.stages.verbs import Stage, fill, verdict

NAME = "policy"
H4_V1 = {(2, 0): 1, (2, 1): 0, (3, 0): 2, (3, 1): 2, (3, 2): 0, (4, 0): 2, (4, 1): 0, (4, 2): 0, (4, 3): 0}
# Why a pair is refused, earliest check first; the later the check, the closer the pair came.
FAULTS = ("undefined-for-so-many", "unusable-side", "identical-texts", "margin-too-small", "refusal-in-chosen")
OVERRULABLE = ("margin-too-small", "refusal-in-chosen")  # the others leave no pair
ROUNDING = 1e-9  # of a margin: thirds are not binary fractions


def choose_pairs(options: BinarizeOptions, refusals: Ruleset) -> Stage:
    """Return a stage that fills `pairs` with the places of chosen and rejected answers, the best pair first.

    Rows without a pair get the reason: no-lower-score, identical-texts, margin-too-small, refusal-in-chosen, and for
    h4-v1 unusable-side or undefined-for-so-many.

    Columns in:  prompt_id, turns, completions, sides, scores
    """

    def compute(table: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        lines = in_canonical_order(answers(table)).with_columns(rank=pl.int_range(pl.len()).over("row"))
        given = given_rows(table)
        rated = lines.filter(~pl.col("row").is_in(given.implode())) if len(given) else lines
        if options.rejected == "h4-v1":
            pairs = _fixed_pairs(rated)
        else:
            usable = _with_best(rated.filter("usable"), options)
            pairs = _candidates(usable, options)
        if len(given):
            pairs = pl.concat([pairs, _given_pairs(table, lines.join(given.to_frame(), on="row", how="semi"))])
        pairs = _overruled(_with_faults(pairs, refusing(table, pairs, refusals), options), table)
        allowed = pairs.filter(pl.col("fault").is_null())
        picks = _draw_pairs(allowed, options) if options.rejected in ("random", "random-any", "lowest") else allowed
        order = ["row", "chosen_rank", "rejected_score", "rejected_rank"]
        picks = picks.sort(order, descending=[False, False, True, False])
        filled = picks.group_by("row", maintain_order=True).agg(pairs=pl.struct("chosen", "rejected"))
        nothing = pl.lit(None, dtype=schemas.RATED["edits"])
        refused = _reasons(table.join(filled, on="row", how="anti"), pairs)
        return filled.with_columns(edits=nothing), pl.concat([refused, _spared(picks)], how="diagonal")

    return fill(NAME, "pairs", compute)


def _with_best(usable: pl.DataFrame, options: BinarizeOptions) -> pl.DataFrame:
    """Return the answers with `is_best` set on one per row: among ties, the one drawn or the first in the file."""
    tops = usable.filter(pl.col("score") == pl.col("score").max().over("row"))
    if options.ties == "first":
        best = tops.sort("row", "place").unique("row", keep="first", maintain_order=True)
    else:
        best = _draw_one(tops, "tie", options.seed)
    return usable.join(best.select("row", "place", is_best=pl.lit(True)), on=["row", "place"], how="left").with_columns(
        pl.col("is_best").fill_null(False)
    )


def _draw_one(lines: pl.DataFrame, purpose: str, seed: int) -> pl.DataFrame:
    """Return one line per row, drawn from the lines in the order given."""
    counted = lines.with_columns(at=pl.int_range(pl.len()).over("row"), choices=pl.len().over("row"))
    first = counted.filter(pl.col("at") == 0)
    groups = first.select("row", "prompt_id", "choices").with_columns(wanted=pl.lit(0, dtype=pl.Int64))
    parts = [groups.filter(pl.col("choices") == 1)]
    for (choices,), group in groups.filter(pl.col("choices") > 1).group_by("choices"):
        picks = draws(seed, purpose, group["prompt_id"], int(choices))
        parts.append(group.with_columns(wanted=pl.Series(picks, dtype=pl.Int64)))
    places = pl.concat(parts).select("row", "wanted")
    return counted.join(places, on="row").filter(pl.col("at") == pl.col("wanted")).drop("at", "choices", "wanted")


def _candidates(usable: pl.DataFrame, options: BinarizeOptions) -> pl.DataFrame:
    """Return every pair that the policy allows, before texts, margins and refusals are checked."""
    chosen = usable if options.rejected == "all-pairs" else usable.filter("is_best")
    # a row's best first, then by score: sft and gen hold the first of `pairs`
    ranked = chosen.sort("row", "is_best", "score", "rank", descending=[False, True, True, False])
    ranked = ranked.with_columns(chosen_rank=pl.int_range(pl.len()).over("row"))
    pairs = ranked.join(usable, on="row", suffix="_rejected", maintain_order="left_right")
    if options.rejected == "random-any":
        return _as_pairs(pairs.filter(pl.col("place") != pl.col("place_rejected")))
    return _as_pairs(pairs.filter(pl.col("score") > pl.col("score_rejected")))


def _fixed_pairs(lines: pl.DataFrame) -> pl.DataFrame:
    """Return each row's pair by the first public version's table, unusable answers included."""
    by_place = lines.sort("row", "place").with_columns(total=pl.len().over("row"))
    top = by_place.filter(pl.col("score") == pl.col("score").max().over("row"))
    chosen = top.unique("row", keep="first", maintain_order=True).with_columns(chosen_rank=pl.lit(0, dtype=pl.Int64))
    table = pl.DataFrame(
        [(total, place, rejected) for (total, place), rejected in H4_V1.items()],
        schema={"total": pl.UInt32, "place": pl.UInt32, "place_rejected": pl.UInt32},
        orient="row",
    )
    with_rejected = chosen.with_columns(pl.col("total").cast(pl.UInt32)).join(table, on=["total", "place"], how="left")
    return _against(with_rejected, by_place)


def _given_pairs(table: pl.DataFrame, lines: pl.DataFrame) -> pl.DataFrame:
    """Return the pairs that were given, unusable answers included."""
    sides = table.select("row", place=_side("chosen"), place_rejected=_side("rejected"))
    chosen = lines.join(sides, on=["row", "place"], maintain_order="left")
    return _against(chosen.with_columns(chosen_rank=pl.lit(0, dtype=pl.Int64)), lines)


def _side(name: str) -> pl.Expr:
    return pl.col("sides").struct.field(name)


def _against(chosen: pl.DataFrame, lines: pl.DataFrame) -> pl.DataFrame:
    """Return the pairs of chosen answers and the answers at their `place_rejected`."""
    others = lines.rename({name: f"{name}_rejected" for name in lines.columns if name != "row"})
    return _as_pairs(chosen.join(others, on=["row", "place_rejected"], how="left", maintain_order="left"))


def _as_pairs(pairs: pl.DataFrame) -> pl.DataFrame:
    return pairs.select(
        "row",
        "prompt_id",
        "chosen_rank",
        chosen="place",
        rejected="place_rejected",
        rejected_score="score_rejected",
        rejected_rank="rank_rejected",
        margin=pl.col("score") - pl.col("score_rejected"),
        is_same=(pl.col("text") == pl.col("text_rejected")).fill_null(False),
        is_usable=(pl.col("usable") & pl.col("usable_rejected")).fill_null(False),
    )


def _with_faults(pairs: pl.DataFrame, refusing: pl.DataFrame, options: BinarizeOptions) -> pl.DataFrame:
    """Return the pairs with `fault`, why a pair is refused (else null), and `matched`, the text that shows it."""
    margin, nothing = pl.col("margin"), pl.lit(None, dtype=pl.String)
    tests = [
        (pl.col("rejected").is_null(), nothing),
        (~pl.col("is_usable"), nothing),
        (pl.col("is_same"), nothing),
        (margin < options.min_margin - ROUNDING, pl.format("{}", margin)),
        (pl.col("refusal").is_not_null(), pl.col("refusal")),
    ]
    fault = matched = nothing
    for name, (is_so, excerpt) in reversed(list(zip(FAULTS, tests, strict=True))):
        fault = pl.when(is_so).then(pl.lit(name)).otherwise(fault)
        matched = pl.when(is_so).then(excerpt).otherwise(matched)
    joined = pairs.join(refusing, on=["row", "chosen"], how="left", maintain_order="left")
    return joined.with_columns(fault=fault, matched=matched)


def _overruled(pairs: pl.DataFrame, table: pl.DataFrame) -> pl.DataFrame:
    """Return the pairs with OVERRULABLE faults moved to `overruled`, on rows to spare that have no sound pair."""
    named = table.filter(pl.col(SPARE_NAMES).is_not_null())["row"]
    is_spared = pl.col("row").is_in(named.implode()) & pl.col("fault").is_in(OVERRULABLE)
    is_spared &= pl.col("fault").is_not_null().all().over("row")
    overruled = pl.when(is_spared).then("fault")
    return pairs.with_columns(overruled=overruled, fault=pl.when(overruled.is_null()).then("fault"))


def _spared(picks: pl.DataFrame) -> pl.DataFrame:
    """Return the faults that were overruled in the pairs that are made, as hits on record."""
    pairs = picks.filter(pl.col("overruled").is_not_null())
    hits = verdict(pairs, pl.col("overruled"), matched=pl.col("matched"), drops=False)
    return hits.with_columns(unless=pl.lit(SPARE))


def _draw_pairs(pairs: pl.DataFrame, options: BinarizeOptions) -> pl.DataFrame:
    """Return one pair per row; for `lowest`, a draw also decides between equally low answers."""
    if options.rejected == "lowest":
        pairs = pairs.filter(pl.col("rejected_score") == pl.col("rejected_score").min().over("row"))
    return _draw_one(pairs.sort("row", "rejected_rank"), "rejected", options.seed)


def refusing(table: pl.DataFrame, pairs: pl.DataFrame, refusals: Ruleset) -> pl.DataFrame:
    """Return row, chosen and the rule with its match for each chosen answer that a phrase rule hits."""
    schema = {"row": table.schema["row"], "chosen": pl.UInt32(), "refusal": pl.String()}
    if not refusals.rules:
        return pl.DataFrame(schema=schema)
    chosen = pairs.unique(["row", "chosen"], maintain_order=True).select(number="row", chosen="chosen")
    with_texts = chosen.join(table.select("row", "turns", "completions"), left_on="number", right_on="row")
    reply = pl.col("completions").list.get(pl.col("chosen")).struct.field("response")
    dialogues = with_texts.select("number", "chosen", turns=pl.concat_list("turns", reply)).with_row_index("row")
    hits = phrases.last_hits(dialogues, refusals).join(dialogues.drop("turns"), on="row", maintain_order="left")
    return hits.select(pl.col("number").alias("row"), "chosen", refusal=pl.format("{}: {}", "rule", "matched"))


def _reasons(without: pl.DataFrame, pairs: pl.DataFrame) -> pl.DataFrame:
    """Return the verdict on rows without a pair: the fault of the pair that came closest to being made."""
    nearness = pl.col("fault").replace_strict(list(FAULTS), list(range(len(FAULTS))), return_dtype=pl.Int32)
    nearest = (
        pairs.filter(pl.col("fault").is_not_null())
        .with_columns(nearness=nearness)
        .sort("row", "nearness", "margin", "rejected_rank", descending=[False, True, True, False])
        .unique("row", keep="first", maintain_order=True)
    )
    joined = without.select("row").join(nearest, on="row", how="left", maintain_order="left")
    return verdict(joined, pl.col("fault").fill_null("no-lower-score"), matched=pl.col("matched"))
