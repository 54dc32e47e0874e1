"""What changed between two texts, word by word."""

import difflib
import re

from rich.text import Text

from zephyr_look.safe_text import visible

_WORDS = re.compile(r"\s+|\w+|[^\w\s]")
_WENT, _CAME = "black on red", "black on green"
_AROUND = 60  # characters of equal text that are shown at each side of a change
_LARGEST = 4_000_000  # product of the numbers of words; larger texts are compared line by line


def word_changes(before: str, after: str, *, colour: bool) -> Text:
    """Return one text with what went and what came; long equal parts are left out.

    Without colour, as `wdiff` does: [-went-]{+came+}.
    """
    text, runs = Text(), _runs(*_parts(before, after))
    for number, (went, came) in enumerate(runs):
        if went == came:
            text.append(_shortened(visible(went), is_first=not number, is_last=number == len(runs) - 1))
            continue
        for words, style, (start, stop) in ((went, _WENT, ("[-", "-]")), (came, _CAME, ("{+", "+}"))):
            if words and colour:
                text.append(visible(words), style)
            elif words:
                text.append(f"{start}{visible(words)}{stop}")
    return text


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
