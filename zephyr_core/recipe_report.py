"""What `zephyr recipe` shows: plain text from resolved recipes."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from zephyr_core import recipe as recipes
from zephyr_core.console import table


def listing() -> str:
    """Return the shipped recipes, one per line."""
    return "\n".join(table((name, recipes.load(name).about()) for name in recipes.shipped_names()))


def values(recipe: recipes.Recipe, steps: Mapping[str, type]) -> str:
    """Return every value of each step with its origin, then the recipe's deviations and interpretations."""
    lines = [f"{recipe.name}: {recipe.about()}"]
    for step, resolved in _resolved(recipe, steps).items():
        lines += ["", f"[{step}]", *_value_lines(resolved)]
    for kind in ("deviations", "interpretations"):
        notes = recipe.notes(kind)
        if notes:
            lines += ["", f"{kind} from the paper" if kind == "deviations" else f"{kind} of it"]
            lines += [f"  {note['what']}{_decision(note)}{_contrast(note)}" for note in notes]
    return "\n".join(lines)


def differences(left: recipes.Recipe, right: recipes.Recipe, steps: Mapping[str, type]) -> list[str]:
    """Return a line for each value in which two recipes differ."""
    first, second = (_resolved(recipe, steps) for recipe in (left, right))
    lines = []
    for step in steps:
        for key in first[step].origins:
            before, after = getattr(first[step].options, key), getattr(second[step].options, key)
            if before != after:
                lines.append(f"{step}.{key}: {before!r} → {after!r}")
    return lines


def _resolved(recipe: recipes.Recipe, steps: Mapping[str, type]) -> dict[str, recipes.Resolved[Any]]:
    return {step: recipes.resolve(step, options, recipe) for step, options in steps.items()}


def _value_lines(resolved: recipes.Resolved[Any]) -> list[str]:
    values = {field.name: repr(getattr(resolved.options, field.name)) for field in dataclasses.fields(resolved.options)}
    first, second = max(map(len, values)), max(map(len, values.values()))
    return [f"{name:<{first}} = {value:<{second}}  # {resolved.origins[name]}" for name, value in values.items()]


def _contrast(note: Mapping[str, Any]) -> str:
    return f"\n    the paper: {note['paper']}" if "paper" in note else ""


def _decision(note: Mapping[str, Any]) -> str:
    return f" (decision {note['decision']})" if "decision" in note else ""
