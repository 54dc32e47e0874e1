"""What changed between two texts, word by word."""

import difflib
import re
from collections.abc import Iterator

from zephyr_look.safe_text import visible

SAME, WENT, CAME = "same", "went", "came"
_WORDS = re.compile(r"\s+|\w+|[^\w\s]")
_AROUND = 60  # characters of equal text that are shown at each side of a change
_LARGEST = 4_000_000  # product of the numbers of words; larger texts are compared line by line


def word_changes(before: str, after: str) -> Iterator[tuple[str, str]]:
    """Yield the parts of one text with what went and what came: SAME, WENT or CAME, and a text that can be shown.

    Long equal parts are left out.
    """
    runs = _runs(*_parts(before, after))
    for number, (went, came) in enumerate(runs):
        if went == came:
            yield SAME, _shortened(visible(went), is_first=not number, is_last=number == len(runs) - 1)
            continue
        yield from ((kind, visible(words)) for kind, words in ((WENT, went), (CAME, came)) if words)


def _runs(old: list[str], new: list[str]) -> list[tuple[str, str]]:
    """Return the texts in turn, changed and equal ones; white space between two changes belongs to them."""
    runs: list[tuple[str, str]] = []
    opcodes = difflib.SequenceMatcher(None, old, new, False).get_opcodes()
    for number, (kind, start, stop, new_start, new_stop) in enumerate(opcodes):
        run = "".join(old[start:stop]), "".join(new[new_start:new_stop])
        is_change = kind != "equal" or (0 < number < len(opcodes) - 1 and run[0].isspace())
        if is_change and runs and runs[-1][0] != runs[-1][1]:
            runs[-1] = (runs[-1][0] + run[0], runs[-1][1] + run[1])
        else:
            runs.append(run)
    return runs


def _parts(before: str, after: str) -> tuple[list[str], list[str]]:
    old, new = _WORDS.findall(before), _WORDS.findall(after)
    if len(old) * len(new) > _LARGEST:
        return before.splitlines(keepends=True), after.splitlines(keepends=True)
    return old, new


def _shortened(text: str, *, is_first: bool, is_last: bool) -> str:
    """Return the ends of an equal part that are next to a change."""
    head, tail = (0 if is_first else _AROUND), (0 if is_last else _AROUND)
    if len(text) <= head + tail + len(" … "):
        return text
    return f"{text[:head]} … {text[len(text) - tail :] if tail else ''}"
