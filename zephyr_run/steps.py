"""The steps of a whole run in order, as each package lists them."""

from zephyr_core.errors import UsageError
from zephyr_core.steps import Step
from zephyr_data import steps as data
from zephyr_train import steps as training

CHAIN: tuple[Step, ...] = (*data.STEPS, *training.STEPS)
SECTIONS: dict[str, type] = {**data.SECTIONS, **training.SECTIONS}  # section of a recipe → its options
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
    """Return the steps from one to another, both included.

    Raises:
        UsageError: no such step, or the last comes before the first.
    """
    start = CHAIN.index(named(first)) if first else 0
    stop = CHAIN.index(named(last)) if last else len(CHAIN) - 1
    if stop < start:
        raise UsageError(f"{last} comes before {first}", f"the steps are {', '.join(NAMES)}")
    return CHAIN[start : stop + 1]
