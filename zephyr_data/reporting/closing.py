"""The closing table of a run: rows in → dropped by reason → changed → out, and what the pairs are like."""

from collections.abc import Iterator
from pathlib import Path

from zephyr_core.console import share, table
from zephyr_core.records import Counts, DatasetContent

STAGES = ("read", "score", "gates", "benchmark", "policy", "phrases", "language", "duplicates", "selection")

Line = tuple[str, int, str]


def closing_table(content: DatasetContent, out: Path) -> str:
    """Return what a manifest tells about its run, as a table."""
    counts = content["counts"]
    read, is_pairs = counts["rows_read"], content["kind"] == "pairs"
    lines: list[Line] = [("rows read", read, "")]
    lines += [(f"  dropped: {reason}", -rows, share(rows, read)) for reason, rows in _in_stage_order(counts)]
    lines += [("rows kept", counts["kept_rows"], share(counts["kept_rows"], read))]
    lines += _pair_lines(counts) if is_pairs else _dialogue_lines(counts)
    lines += [(f"  {name}", entry["rows"], entry["rows_digest"][:16]) for name, entry in content["splits"].items()]
    megabytes, seconds = content["bytes_read"] / 1e6, content["seconds"]
    speed = f"{megabytes:,.1f} MB in {seconds:.1f} s, {megabytes / max(seconds, 1e-3):,.1f} MB/s"
    return "\n".join(
        [*table(lines, align="lrl"), *(_about_pairs(counts) if is_pairs else ()), speed, f"written to {out}"]
    )


def _dialogue_lines(counts: Counts) -> Iterator[Line]:
    yield "  of them cut short", counts["cut_rows"], f"{counts['cut_turns']:,} turns removed"
    words = f"{counts['rewritten_words']:,} words in {counts['rewritten_turns']:,} turns"
    yield "  of them recased", counts["rewritten_rows"], words


def _pair_lines(counts: Counts) -> Iterator[Line]:
    yield "  tied for the best", counts["tied_rows"], share(counts["tied_rows"], counts["kept_rows"])
    if counts["repaired_scores"]:
        yield "  scores repaired", counts["repaired_scores"], "10 → 1"
    yield "pairs", counts["pairs"], ""


def _about_pairs(counts: Counts) -> Iterator[str]:
    pairs = counts["pairs"]
    margins = sorted((float(margin), count) for margin, count in counts["margins"].items())
    mean = sum(margin * count for margin, count in margins) / pairs
    quartiles = " / ".join(f"{_quantile(margins, part, pairs):g}" for part in (0.25, 0.5, 0.75))
    none = sum(count for margin, count in margins if margin <= 0)
    yield ""
    yield f"margin: mean {mean:.3f}, quartiles {quartiles}; {none:,} pairs at or below 0"
    chosen, rejected = counts["chosen_characters"] / pairs, counts["rejected_characters"] / pairs
    longer = share(counts["longer_chosen_pairs"], pairs - counts["equally_long_pairs"])
    yield f"mean length: chosen {chosen:,.0f} characters, rejected {rejected:,.0f}"
    yield f"the longer answer was chosen in {longer or 'none'} of the pairs of different length"
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


def _quantile(counted: list[tuple[float, int]], part: float, total: int) -> float:
    """Return the smallest value that at least this part of all values does not exceed."""
    seen = 0
    for value, count in counted:
        seen += count
        if seen >= part * total:
            return value
    return counted[-1][0]


def _in_stage_order(counts: Counts) -> list[tuple[str, int]]:
    return sorted(counts["dropped"].items(), key=lambda item: (STAGES.index(item[0].split("/")[0]), item[0]))
