"""Reports on pairs, beyond those of every dataset: margins, lengths, wins by model, a row's answers."""

from collections.abc import Iterator

from zephyr_core.console import share, table
from zephyr_core.records import Counts, DatasetContent
from zephyr_data.engine.step import Line, Reports
from zephyr_data.options import BinarizeOptions
from zephyr_data.pairing.counts import measure
from zephyr_data.pairing.doubts import BOTH_SIDES, NEAR_EQUAL, REFUSAL
from zephyr_data.pairing.story import answers_table
from zephyr_data.sources.dialogue_turns import STAGE, SYSTEM

DOUBTS = {  # rule → what is shown about the rows that it hits
    REFUSAL: "with a refusal or a remark about being an AI in the chosen answer (`--rules ultrachat` drops them)",
    NEAR_EQUAL: "with nearly equal answers",
    BOTH_SIDES: "with an answer on the other side in another row (`--annotators` decides about given pairs)",
}


def _notice(_: int, options: BinarizeOptions) -> str | None:
    if options.rejected == "h4-v1":
        return "h4-v1: overall score as read, first maximum, fixed places; the order of answers in a row matters"
    return None


def _lines(counts: Counts) -> Iterator[Line]:
    yield "  tied for the best", counts["tied_rows"], share(counts["tied_rows"], counts["kept_rows"])
    published = counts.get("published", {})
    if all(published.get(side) for side in ("train", "test")):
        yield "  published as train", published["train"], "these sides stay, unless `--test-prompts` is given"
        yield "  published as test", published["test"], ""
    if counts.get("ranked_rows"):
        yield "  rows by rank, 1 is the best", counts["ranked_rows"], share(counts["ranked_rows"], counts["kept_rows"])
    if counts.get("given_rows"):
        yield "  given as pairs", counts["given_rows"], share(counts["given_rows"], counts["kept_rows"])
    if counts.get("rated_twice_answers"):
        yield (
            "  answers rated more than once",
            counts["rated_twice_answers"],
            f"{counts['rated_apart_answers']:,} differ",
        )
    if counts["repaired_scores"]:
        yield "  scores repaired", counts["repaired_scores"], "10 → 1"
    if counts.get("unreadable_answers"):
        yield "  answers with a rating not used", counts["unreadable_answers"], "gates/unreadable-rating"
    yield "pairs", counts["pairs"], ""


def _figures(counts: Counts) -> Iterator[str]:
    pairs = counts["pairs"]
    margins = sorted((float(margin), count) for margin, count in counts["margins"].items())
    mean = sum(margin * count for margin, count in margins) / pairs
    quartiles = " / ".join(f"{_quantile(margins, part, pairs):g}" for part in (0.25, 0.5, 0.75))
    none = sum(count for margin, count in margins if margin <= 0)
    yield ""
    yield f"margin: mean {mean:.3f}, quartiles {quartiles}; {none:,} pairs at or below 0"
    chosen, rejected = counts["chosen_characters"] / pairs, counts["rejected_characters"] / pairs
    systems = counts["dropped"].get(f"{STAGE}/{SYSTEM}", 0)
    if systems:
        yield f"{systems:,} rows with a system turn were dropped: pairs have no place for one"
    longer = share(counts["longer_chosen_pairs"], pairs - counts["equally_long_pairs"])
    yield f"mean length: chosen {chosen:,.0f} characters, rejected {rejected:,.0f}"
    yield f"the longer answer was chosen in {longer or 'none'} of the pairs of different length"
    indented = [counts.get(f"indented_{side}_pairs", 0) for side in ("chosen", "rejected")]
    if any(indented):
        yield f"begins with white space, on one side only: {indented[0]:,} chosen, {indented[1]:,} rejected"
    doubtful = [f"{rows:,} {DOUBTS[rule]}" for rule, rows in counts.get("doubts", {}).items() if rows]
    if doubtful:
        yield f"doubtful pairs, kept (audit/spared.parquet): {'; '.join(doubtful)}"
    compared, apart = counts["compared_rows"], counts["disagreeing_rows"]
    if compared:
        part = share(apart, compared)
        yield f"mean and overall score name no common best answer in {apart:,} of {compared:,} rows, {part}"
    wins, losses = counts["wins"], counts["losses"]
    names = sorted({*wins, *losses}, key=lambda name: (-wins.get(name, 0), name))
    yield ""
    yield from table(
        [("model", "chosen", "rejected"), *((name, wins.get(name, 0), losses.get(name, 0)) for name in names)]
    )
    yield ""


def _sought(options: BinarizeOptions) -> str:
    fields = {"mean": "annotations and ratings", "overall": "overall_score"}.get(options.score, options.score)
    return f"the score {options.score!r} is read from {fields}, or else from score"


def _quantile(counted: list[tuple[float, int]], part: float, total: int) -> float:
    """Return the smallest value with at least this share of all values at or below it."""
    cumulative = 0
    for value, count in counted:
        cumulative += count
        if cumulative >= part * total:
            return value
    return counted[-1][0]


def _about(content: DatasetContent) -> str:
    values = content["options"]["values"]
    return (
        f"Score `{values['score']}`, rejected `{values['rejected']}`, ties for the best `{values['ties']}`, "
        f"seed {values['seed']}.\n"
        "The `prefs` splits hold the pairs; `sft` and `gen` hold one row for each rated row, with the best answer,\n"
        "`gen` without it. `rated/` holds every row that was read with all its answers and ratings;\n"
        "`zephyr data binarize DIR` makes other pairs of it."
    )


def _changed(content: DatasetContent) -> str:
    counts = content["counts"]
    return (
        f"They give {counts['pairs']:,} pairs. {counts['tied_rows']:,} rows had several\n"
        f"best answers; {counts['repaired_scores']:,} scores were repaired."
    )


REPORTS: Reports[BinarizeOptions] = Reports(
    title="Preference pairs",
    about=_about,
    changed=_changed,
    measure=measure,
    notice=_notice,
    lines=_lines,
    figures=_figures,
    sought=_sought,
    sampled={"pairs": "pairs", "tied_rows": "tied for the best"},
    story=answers_table,
)
