"""A step of a recipe: which command it is, what it writes, what it reads. Each package lists its own in steps.py."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from zephyr_core import amounts

Kind = Literal["dataset", "model", "artefact"]
Options = Mapping[str, Any]  # section of the recipe → its options, resolved
FRESH, OVERWRITE = "--fresh", "--overwrite"


def _always(_: Options) -> bool:
    return True


def _reads(given: str | Sequence[str] | None, step: str) -> bool:
    """Return whether an option leaves the output of a step as input, or names it next to others."""
    return not given or (not isinstance(given, str) and step in (amounts.read(text).name for text in given))


@dataclass(frozen=True)
class Step:
    """One command of a run.

    A dataset is raw rows made into rows to train on; a model is trained, with checkpoints and metrics on the way; an
    artefact is built in one go from what other steps left.
    """

    name: str
    command: tuple[str, ...]  # without `zephyr`
    kind: Kind
    title: str  # for people
    section: str  # of the recipe
    options: type = field(hash=False)  # of that section
    replaces: str | None = None  # flag that replaces what is there; None: it is removed instead
    reads: Mapping[str, str | None] = field(default_factory=dict, hash=False)  # earlier step → option for another input
    also: tuple[str, ...] = ()  # further sections of the recipe that its results depend on
    folder: str | None = None  # below the run directory; None: its command names it, in the folder that runs share
    named_by: tuple[str, str] = ("", "")  # a later step, and the key of its job that names that folder
    shared: tuple[str, ...] = ()  # patterns of the shared folders that its command looks up
    splits: tuple[str, ...] = ()  # of a dataset: train, then test
    rows: tuple[str, str] = ("", "")  # of a dataset: what it reads and what it keeps, for people
    source_flag: str | None = None  # flag of `zephyr run` that names other sources
    is_needed: Callable[[Options], bool] = field(default=_always, hash=False)
    plan: tuple[str, ...] = ()  # for a command without --dry-run: lines that take its options' values

    @property
    def sections(self) -> tuple[str, ...]:
        """Return the sections of the recipe that its results depend on."""
        return (self.section, *self.also)

    def upstream(self, options: Options) -> list[str]:
        """Return the steps whose output this one reads, given what the recipe says."""
        of_step = options[self.section]
        return [name for name, option in self.reads.items() if option is None or _reads(getattr(of_step, option), name)]
