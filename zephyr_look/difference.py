"""Entry point of `zephyr data diff`."""

from collections.abc import Sequence

from zephyr_core.console import show
from zephyr_look.change_examples import example_texts, examples
from zephyr_look.comparison import compare
from zephyr_look.comparison_text import comparison_text
from zephyr_look.opening import open_dataset
from zephyr_look.screen import Screen, page


def difference(left: str, right: str, splits: Sequence[str], count: int, *, as_json: bool) -> bool:
    """Show how two datasets differ, with `count` examples of each change; return whether they do.

    Raises:
        UsageError: they have rows of different kinds.
    """
    comparison = compare(open_dataset(left, splits), open_dataset(right, splits))
    texts = examples(comparison, count) if count else {}
    if as_json:
        show({**comparison.record, **({"examples": texts} if count else {})}, "", as_json)
    else:
        page([comparison_text(comparison.record), *example_texts(texts, Screen.of_stdout())])
    return comparison.has_change
