"""The steps of a recipe in their order: which command each one is, what it writes, what it reads."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from zephyr_core.errors import UsageError

Options = Mapping[str, object]  # section of the recipe → its options, resolved


@dataclass(frozen=True)
class Step:
    """One command of the chain."""

    name: str
    words: tuple[str, ...]  # of the command, without `zephyr`
    section: str  # of the recipe
    again: str | None  # flag by which its command replaces what is there; None: by removing it
    reads: Mapping[str, str] = field(default_factory=dict, hash=False)  # step before → option that names another input
    folder: str | None = None  # below the run directory; None: an artefact, which its command names
    counted: str = ""  # the split whose rows stand for a dataset; "" for what is no dataset
    source_flag: str | None = None  # flag of `zephyr run` that names other sources

    @property
    def is_data(self) -> bool:
        """Return whether it makes a dataset."""
        return self.words[0] == "data"

    def upstream(self, options: Options) -> list[str]:
        """Return the steps whose output this one reads, given what the recipe says."""
        return [name for name, option in self.reads.items() if getattr(options[self.section], option) is None]


CHAIN = (
    Step(
        "clean-ultrachat",
        ("data", "clean-ultrachat"),
        "clean-ultrachat",
        "--overwrite",
        folder="clean-ultrachat",
        counted="train_sft",
        source_flag="--dialogues",
    ),
    Step(
        "binarize",
        ("data", "binarize"),
        "binarize",
        "--overwrite",
        folder="binarize",
        counted="train_prefs",
        source_flag="--ratings",
    ),
    Step("sft", ("train", "sft"), "sft", "--fresh", {"clean-ultrachat": "data"}, folder="sft"),
    Step("reference", ("train", "reference"), "dpo", None, {"binarize": "data", "sft": "model"}),
    Step("dpo", ("train", "dpo"), "dpo", "--fresh", {"binarize": "data", "sft": "model"}, folder="dpo"),
)
NAMES = tuple(step.name for step in CHAIN)
DATA = tuple(step.name for step in CHAIN if step.is_data)


def named(name: str) -> Step:
    """Return the step of that name.

    Raises:
        UsageError: there is none.
    """
    if name not in NAMES:
        raise UsageError(f"no step {name!r}", f"the steps are {', '.join(NAMES)}")
    return CHAIN[NAMES.index(name)]


def between(first: str | None, last: str | None) -> tuple[Step, ...]:
    """Return the steps from one to another, both of them included.

    Raises:
        UsageError: no such step, or the last comes before the first.
    """
    start = CHAIN.index(named(first)) if first else 0
    stop = CHAIN.index(named(last)) if last else len(CHAIN) - 1
    if stop < start:
        raise UsageError(f"{last} comes before {first}", f"the steps are {', '.join(NAMES)}")
    return CHAIN[start : stop + 1]
