"""The steps of a whole run in order, as each package lists them."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from zephyr_core.errors import UsageError
from zephyr_core.recipe import Recipe
from zephyr_core.recipe_names import Given, given
from zephyr_core.steps import Kind, Options, Step
from zephyr_data import steps as data
from zephyr_train import steps as training

CHAIN: tuple[Step, ...] = (*data.STEPS, *training.STEPS)
SECTIONS: dict[str, type] = {**data.SECTIONS, **training.SECTIONS}  # section of a recipe → its options
BY_NAME = {step.name: step for step in CHAIN}
NAMES = tuple(BY_NAME)
# Flag of `zephyr run`, `ablate` and `reproduce` → the options that it sets; None: to what was typed.
SHORT: Mapping[str, tuple[tuple[str, str, str | None], ...]] = {
    "--gpus": (("sft", "gpus", None), ("dpo", "gpus", None)),
    "--attention": (("sft", "attention", None), ("dpo", "attention", None)),
    "--model": (("student", "source", None), ("student", "revision", "main"), ("sft", "model", "none")),
}


def with_given(recipe: Recipe, flags: Mapping[str, object], texts: Iterable[str]) -> Recipe:
    """Return the recipe, as its files say, with what the command line gave (`values_given`)."""
    return replace(recipe, given=values_given(flags, texts))


def values_given(flags: Mapping[str, object], texts: Iterable[str]) -> tuple[Given, ...]:
    """Return the values of a recipe that a command line gave; `--set` goes before the other flags.

    Args:
        flags: of SHORT; None where a flag was not given.
        texts: of `--set`.

    Raises:
        RecipeError: a text names no option.
    """
    words = {flag: str(word) for flag, word in flags.items() if word is not None}
    short = [
        Given(flag, section, key, word if value is None else value, word)
        for flag, word in words.items()
        for section, key, value in SHORT[flag]
    ]
    return (*short, *given(texts, SECTIONS))


def of_kind(kind: Kind) -> tuple[Step, ...]:
    """Return the steps of a kind."""
    return tuple(step for step in CHAIN if step.kind == kind)


def named(name: str, steps: tuple[Step, ...] = CHAIN) -> Step:
    """Return the step of that name.

    Raises:
        UsageError: there is none.
    """
    if name not in NAMES:
        raise UsageError(f"no step {name!r}", f"the steps are {', '.join(step.name for step in steps)}")
    if BY_NAME[name] not in steps:
        raise UsageError(f"this recipe has no step {name}", f"its steps are {', '.join(step.name for step in steps)}")
    return BY_NAME[name]


def needed(options: Options) -> tuple[Step, ...]:
    """Return the steps of a recipe, given its options."""
    return tuple(step for step in CHAIN if step.is_needed(options))


def between(options: Options, first: str | None, last: str | None) -> tuple[Step, ...]:
    """Return the steps of a recipe from one to another, both included.

    Raises:
        UsageError: the recipe has no such step, or the last comes before the first.
    """
    steps = needed(options)
    start = steps.index(named(first, steps)) if first else 0
    stop = steps.index(named(last, steps)) if last else len(steps) - 1
    if stop < start:
        raise UsageError(f"{last} comes before {first}", f"the steps are {', '.join(step.name for step in steps)}")
    return steps[start : stop + 1]
