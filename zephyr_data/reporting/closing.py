"""The closing table of a run: rows in → dropped by reason → kept and changed → out."""

from pathlib import Path
from typing import Any

from zephyr_core.console import share, table
from zephyr_core.records import DatasetContent
from zephyr_data.engine.audit import KEPT
from zephyr_data.engine.step import Line, Reports
from zephyr_data.sources.remarks import remarks
from zephyr_data.stages.overruling import SPARE


def closing_table(content: DatasetContent, reports: Reports[Any], out: Path) -> str:
    """Return what a manifest says about its run, as a table; a step's own lines follow the rows kept."""
    counts, read = content["counts"], content["counts"]["rows_read"]
    lines: list[Line] = [("rows read", read, "")]
    lines += [(f"  dropped: {reason}", -rows, share(rows, read)) for reason, rows in _in_stage_order(content)]
    lines += [("rows kept", counts["kept_rows"], share(counts["kept_rows"], read))]
    lines += [(f"  hits spared: {unless}", hits, "") for unless, hits in counts.get("spared", {}).items()]
    lines += [*map(_named, counts.get("named_rows", {}).items()), *reports.lines(counts)]
    lines += [(f"  {name}", entry["rows"], entry["rows_digest"][:16]) for name, entry in content["splits"].items()]
    megabytes, seconds = content["bytes_read"] / 1e6, content["seconds"]
    speed = f"{megabytes:,.1f} MB in {seconds:.1f} s, {megabytes / max(seconds, 1e-3):,.1f} MB/s"
    of_sources = _remarks(content)
    return "\n".join([*table(lines, align="lrl"), *reports.figures(counts), *of_sources, speed, f"written to {out}"])


def _named(end: tuple[str, int]) -> Line:
    """Return the line on what became of rows that --spare names."""
    became, rows = end
    return (
        f"  named by {SPARE}: {became}",
        rows,
        "" if became == KEPT else "not a row of the result: cannot be overruled",
    )


def _remarks(content: DatasetContent) -> list[str]:
    inputs = content["inputs"]
    real_paths = {item["file"]: path for item in inputs if (path := item.get("real_path"))}
    notes = {item["file"]: note for item in inputs if (note := item.get("note"))}
    return remarks(real_paths, notes, content.get("passed_over", []))


def _in_stage_order(content: DatasetContent) -> list[tuple[str, int]]:
    """Return the drops in stage order; those of a stage that is not recorded come last."""
    order = {name: place for place, name in enumerate(content.get("stages", []))}

    def place(drop: tuple[str, int]) -> tuple[int, str]:
        return order.get(drop[0].split("/")[0], len(order)), drop[0]

    return sorted(content["counts"]["dropped"].items(), key=place)
