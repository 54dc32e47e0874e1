"""A step of a recipe: which command it is, what it writes, what it reads. Each package lists its own in steps.py."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["dataset", "model", "artefact"]
Options = Mapping[str, Any]  # section of the recipe → its options, resolved


@dataclass(frozen=True)
class Step:
    """One command of a run."""

    name: str
    command: tuple[str, ...]  # without `zephyr`
    kind: Kind
    title: str  # for people
    section: str  # of the recipe
    options: type = field(hash=False)  # of that section
    again: str | None  # flag that replaces what is there; None: it is removed instead
    reads: Mapping[str, str] = field(default_factory=dict, hash=False)  # earlier step → option that names another input
    folder: str | None = None  # below the run directory; None: an artefact, which its command names
    counted: str = ""  # the split whose rows represent a dataset
    source_flag: str | None = None  # flag of `zephyr run` that names other sources

    @property
    def is_data(self) -> bool:
        """Return whether it makes a dataset."""
        return self.kind == "dataset"

    def upstream(self, options: Options) -> list[str]:
        """Return the steps whose output this one reads, given what the recipe says."""
        return [name for name, option in self.reads.items() if getattr(options[self.section], option) is None]
