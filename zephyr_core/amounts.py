"""How much of a source of rows is wanted, as `--data` and a recipe's `data` say it: `A`, `A=0.7` or `A=2000`."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from zephyr_core import paths
from zephyr_core.errors import OptionError

FORMS = "a source is given with its share of all rows, as A=0.7, or a number of rows, as A=2000, or alone: all its rows"
_AMOUNT = re.compile(r"(.+)=(\d+|\d*\.\d+)", re.DOTALL)
_PARTS = 1_000  # of a whole, for shares that a hint proposes


@dataclass(frozen=True)
class Wanted:
    """A source of rows and how much of it: a share of all rows, a number of rows, or, without either, all its rows."""

    name: str  # a path or an id on the Hub
    amount: str = ""  # as typed, without `=`

    @property
    def share(self) -> Fraction | None:
        """Return the share of all rows, if that is what is wanted."""
        return Fraction(self.amount) if "." in self.amount else None

    @property
    def rows(self) -> int | None:
        """Return the number of rows, if that is what is wanted."""
        return int(self.amount) if self.amount and "." not in self.amount else None

    def __str__(self) -> str:
        """Return the text that is read as this."""
        return f"{self.name}={self.amount}" if self.amount else self.name


def read(text: str) -> Wanted:
    """Return what a text wants; one that is the path of something is that path, whatever is in it."""
    match = _AMOUNT.fullmatch(text)
    return Wanted(text) if match is None or _exists(text) else Wanted(*match.groups())


def read_all(texts: Iterable[str]) -> tuple[Wanted, ...]:
    """Return what several texts want together.

    Raises:
        OptionError: an amount cannot be read or is 0, shares stand next to other amounts, or do not sum to 1.
    """
    wanted = tuple(map(read, texts))
    for one in wanted:
        _check_amount(one)
    shares = [one.share for one in wanted if one.share is not None]
    if shares and len(shares) < len(wanted):
        first, other = (next(one for one in wanted if (one.share is None) == is_other) for is_other in (False, True))
        raise OptionError(f"{first} gives a share, and {other} gives none", f"{FORMS}; if one has a share, all have")
    if shares and sum(shares) != 1:
        sums = " + ".join(one.amount for one in wanted)
        parts = apportioned([share / sum(shares) for share in shares], _PARTS, [one.name for one in wanted])
        fitting = ", ".join(f"{one.name}={part / _PARTS:g}" for one, part in zip(wanted, parts, strict=True))
        raise OptionError(f"the shares are {sums} = {float(sum(shares)):g}, not 1", f"in this proportion: {fitting}")
    return wanted


def apportioned(shares: Sequence[Fraction], total: int, names: Sequence[str]) -> list[int]:
    """Return whole numbers that sum to `total`, each less than 1 away from its share of it.

    Those with the largest remainders are rounded up; of equal remainders those whose names come first.
    """
    exact = [share * total for share in shares]
    parts = [int(number) for number in exact]
    order = sorted(range(len(exact)), key=lambda place: (parts[place] - exact[place], names[place]))
    for place in order[: total - sum(parts)]:
        parts[place] += 1
    return parts


def _check_amount(wanted: Wanted) -> None:
    name, equals, amount = wanted.name.rpartition("=")
    if equals and not wanted.amount and not _exists(wanted.name) and _exists(name):
        raise OptionError(f"{wanted}: {amount!r} is neither a share nor a number of rows", FORMS)
    if wanted.amount and Fraction(wanted.amount) == 0:
        raise OptionError(f"{wanted} gives 0 rows", "leave it out")


def _exists(path: str) -> bool:
    return paths.expanded(path).exists()
