"""Reports on cleaned dialogues, beyond those of every dataset: cuts and recased words."""

from collections import Counter
from collections.abc import Iterator

import polars as pl

from zephyr_core.records import Counts, DatasetContent
from zephyr_data.engine.step import Line, Reports
from zephyr_data.options import CleanOptions
from zephyr_data.sources.dialogue_turns import GREETING, STAGE, SYSTEM, UNANSWERED
from zephyr_data.sources.trees import OTHER_PATHS
from zephyr_data.stages import phrases
from zephyr_data.stages.verbs import edits_of

CUT = r"^\(cut: (\d+) turns\)$"
ON_OTHER_PATHS = r"^\(on other paths: (\d+) messages\)$"
FOLD = "`--system-turns fold` keeps one before the first user turn as part of it, `keep` as a message of its own"
READ_OTHERWISE = {
    GREETING: "cut at a greeting",
    UNANSWERED: "cut at an unanswered turn",
    SYSTEM: "with a folded system turn",
    OTHER_PATHS: "the best path of a tree",
}


def measure(table: pl.DataFrame) -> Counter[str]:
    """Return the counts of changes in kept rows; cuts are counted separately."""
    changes = edits_of(table.filter(pl.col("dropped_by").is_null()))
    of_reading = changes.filter(pl.col("stage") == STAGE)
    cuts = changes.filter(pl.col("after").str.contains(CUT))
    words = changes.filter(~pl.col("stage").is_in([STAGE, phrases.NAME]))
    counts = Counter[str](
        cut_rows=cuts["row"].n_unique() if cuts.height else 0,
        cut_turns=_number(cuts, CUT),
        rewritten_rows=words["row"].n_unique(),
        rewritten_turns=words.select("row", "turn").n_unique() if words.height else 0,
        rewritten_words=words.height,
    )
    system_rows = table.filter(pl.col("dropped_by").is_null())["system"].count()
    system_rows -= of_reading.filter(pl.col("rule") == SYSTEM).height
    if system_rows:
        counts["system_turn_rows"] = system_rows
    for rule, rows in of_reading["rule"].value_counts().rows():
        counts[f"read_otherwise:{rule}"] = rows
        if rule == OTHER_PATHS:
            counts["other_messages"] = _number(of_reading, ON_OTHER_PATHS)
    return counts


def _number(changes: pl.DataFrame, pattern: str) -> int:
    """Return the sum of the numbers in `after`."""
    return int(changes.select(pl.col("after").str.extract(pattern).cast(pl.Int64).sum()).item())


def _notice(kept_rows: int, options: CleanOptions) -> str | None:
    if kept_rows >= options.size:
        return None
    return f"{kept_rows:,} dialogues are left, fewer than the size of {options.size:,}: all are kept"


def _lines(counts: Counts) -> Iterator[Line]:
    yield "  of them cut short", counts["cut_rows"], f"{counts['cut_turns']:,} turns removed"
    for rule, rows in counts.get("read_otherwise", {}).items():
        others = f", {counts['other_messages']:,} messages are on others" if rule == OTHER_PATHS else ""
        yield f"  of them {READ_OTHERWISE[rule]}", rows, f"read/{rule}{others}"
    if counts.get("system_turn_rows"):
        yield "  of them with a system turn", counts["system_turn_rows"], ""
    words = f"{counts['rewritten_words']:,} words in {counts['rewritten_turns']:,} turns"
    yield "  of them recased", counts["rewritten_rows"], words


def _figures(counts: Counts) -> Iterator[str]:
    rows = counts["dropped"].get(f"{STAGE}/{SYSTEM}", 0)
    if rows:
        yield f"{rows:,} dialogues with a system turn were dropped; {FOLD}"


def _sought(options: CleanOptions) -> str:
    return FOLD if options.system_turns == "drop" else ""


def _about(_: DatasetContent) -> str:
    return (
        "Each row has `prompt`, `prompt_id` (sha256 of the prompt) and `messages`. The `gen` splits hold the\n"
        "dialogues of the `sft` splits without the last answer."
    )


def _changed(content: DatasetContent) -> str:
    counts = content["counts"]
    return (
        f"{counts['cut_rows']:,} dialogues were cut short,\n"
        f"{counts['rewritten_rows']:,} had the case of letters restored."
    )


REPORTS: Reports[CleanOptions] = Reports(
    title="Cleaned dialogues",
    about=_about,
    changed=_changed,
    measure=measure,
    notice=_notice,
    lines=_lines,
    figures=_figures,
    sought=_sought,
    sampled={"cut_rows": "cut short", "rewritten_rows": "recased"},
)
