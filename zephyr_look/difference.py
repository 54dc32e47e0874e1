"""Entry point of `zephyr data diff`."""

from collections.abc import Sequence
from pathlib import Path

from zephyr_core.console import show
from zephyr_core.disk import clear_disk_errors
from zephyr_look.change_examples import example_texts, examples
from zephyr_look.comparison import compare
from zephyr_look.comparison_page import write_page
from zephyr_look.comparison_text import comparison_text
from zephyr_look.opening import open_dataset
from zephyr_look.screen import Screen, page


def difference(
    left: str, right: str, splits: Sequence[str], count: int, *, file: Path | None = None, as_json: bool = False
) -> bool:
    """Show how two datasets differ, with `count` examples of each change; return whether they do.

    `file`: also write the comparison there, as a page.

    Raises:
        UsageError: they have rows of different kinds.
        NoSpace: the page cannot be written.
    """
    comparison = compare(open_dataset(left, splits), open_dataset(right, splits))
    changes = examples(comparison, count) if count else {}
    if file is not None:
        with clear_disk_errors(file, hint="give another file with --page"):
            file.parent.mkdir(parents=True, exist_ok=True)
            write_page(file, comparison.record, changes)
    if as_json:
        show({**comparison.record, **({"examples": changes} if count else {})}, "", as_json)
    else:
        page([comparison_text(comparison.record), *example_texts(changes, Screen.of_stdout())])
    return comparison.has_change
