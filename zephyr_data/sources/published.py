"""The side of a published split that a name says: train or test."""

import re
from pathlib import PurePosixPath

SIDES = {
    "train": ("train", "training"),
    "test": ("test", "testing", "eval", "evaluation", "val", "valid", "validation", "dev"),
}
_WORDS = re.compile(r"[a-z]+")


def side_of(name: str | None) -> str | None:
    """Return "train" or "test" if the words of a name hold one of these, not both, such as `test_prefs`; else None."""
    words = set(_WORDS.findall((name or "").lower()))
    sides = [side for side, names in SIDES.items() if words.intersection(names)]
    return sides[0] if len(sides) == 1 else None


def side_of_file(path: str) -> str | None:
    """Return the side that a file's name says, or else that of the nearest folder that says one."""
    return next(filter(None, map(side_of, reversed(PurePosixPath(path).parts))), None)
