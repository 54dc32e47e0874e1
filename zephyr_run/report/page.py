"""report.html: the page about a run, made only from what is on disk."""

from collections.abc import Callable
from pathlib import Path

from zephyr_core.manifest import write_text_whole
from zephyr_page.document import document
from zephyr_page.drawing import figure
from zephyr_page.markup import Html, element, join, note, section
from zephyr_run.report import bars, data_steps, flow, on_disk, provenance, samples, training
from zephyr_run.report.head import header
from zephyr_run.report.on_disk import Run

NAME = "report.html"


def write(run_directory: Path, recipe_name: str) -> Path:
    """Write the report of a run as one self-contained file, whole or not at all; return its path.

    The same directory gives the same bytes. Steps that were not run are marked as such.
    """
    path = run_directory / NAME
    write_text_whole(path, page(on_disk.read(run_directory, recipe_name)))
    return path


def page(run: Run) -> str:
    """Return the page."""
    sections = [
        section("Data flow", "flow", [_part(flow_part, run)]),
        section("Data", "data", [_part(data_steps.about, run)]),
        section("Training", "training", [_part(training.about, run)]),
        section("Samples", "samples", [_part(samples.about, run)]),
        section("Provenance", "provenance", [_part(provenance.about, run)]),
    ]
    body = join([_part(header, run), element("main", join(sections)), element("footer", _made_by())])
    return document(f"{run.name} · zephyr run", body)


def flow_part(run: Run) -> Html:
    """Return the picture of the rows, the drops next to it, and the sums."""
    rows = figure(
        "Rows", "widths are to scale within each stream; arrows: which rows train which model", flow.picture(run)
    )
    steps = run.of_kind("dataset")
    drops = [*map(bars.drops, steps), *(note(flow.sums(step)) for step in steps)]
    return element("div", join([rows, element("div", join(drops))]), class_="split")


def _part(part: Callable[[Run], Html], run: Run) -> Html:
    """Return a part of the page, or what is wrong with it if a file on disk is not as it should be."""
    try:
        return part(run)
    except Exception as fault:  # the run is whole; its page says what it could not read
        return note(
            f"This part could not be made: {type(fault).__name__}: {fault}. `zephyr status --verify` checks files."
        )


def _made_by() -> str:
    return "Made by zephyr run from the manifests, metrics and audit in this directory. Nothing is fetched to show it."
