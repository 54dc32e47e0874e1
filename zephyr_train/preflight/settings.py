"""More options of TRL's trainers, `--set key=value`: checked against the pinned TRL without importing it.

fields.json   every field of SFTConfig and DPOConfig with its types and default (docs/make_fields.py writes it)
renamed.toml  outdated names, each with what to use instead
refused.toml  names that zephyr sets itself, or that break one of its promises, and bounds of numbers
"""

import dataclasses
import difflib
import functools
import json
import operator
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from zephyr_core.faults import Fault, OptionFault
from zephyr_train.options import OF_STEP
from zephyr_train.preflight import setting_values

FLAGS = ("epochs", "model", "data", "out", "seed", "gpus", "zero", "attention", "lora", "resume", "beta")
BOUNDS: dict[str, Callable[[Any, Any], bool]] = {
    "at least": operator.ge,
    "above": operator.gt,
    "at most": operator.le,
    "below": operator.lt,
}
_FOLDER = Path(__file__).parent


def settings(step: str, texts: Sequence[str]) -> tuple[dict[str, object], list[Fault]]:
    """Return the trainer options given as `key=value` texts, typed, and a fault for each text that cannot be used.

    A key may be written with hyphens. Lists and dicts are JSON; `none` means no value.
    """
    values: dict[str, object] = {}
    faults: list[Fault] = []
    for text in texts:
        key, value = _setting(step, text)
        if isinstance(value, Fault):
            faults.append(value)
        elif key in values and values[key] != value:
            faults.append(
                OptionFault(
                    "repeated-option", f"--set {key} is given twice: {values[key]!r}, {value!r}", "keep one of them"
                )
            )
        else:
            values[key] = value
    idle = dict(_idle(step, values))
    return {key: value for key, value in values.items() if key not in idle}, [*faults, *idle.values()]


def changes(step: str, values: Mapping[str, object]) -> Iterator[str]:
    """Yield what usable settings make of a run that its recipe does not say."""
    for key, value in values.items():
        for rule in _rules("refused.toml")["noted"]:
            if key in rule["names"] and step in rule["steps"] and value is not None and value not in rule["allowed"]:
                yield f"--set {key}={value}: {rule['why']}"


def optimizer_faults(step: str, name: str) -> Iterator[Fault]:
    """Yield the fault of an optimiser that the trainer does not have."""
    names = known_fields(step)["optim"]["choices"]
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"the trainer has {', '.join(names)}"
        yield OptionFault("unknown-option", f"optimizer is {name!r}: the trainer has no such one", hint)


def _setting(step: str, text: str) -> tuple[str, object]:
    """Return the key with its value, or with a fault instead of the value."""
    name, equals, value = text.partition("=")
    key = name.strip().replace("-", "_")
    if not key or not equals:
        hint = "write it as --set max_grad_norm=0.5"
        return key, OptionFault("unreadable-option", f"--set {text!r} is not of the form KEY=VALUE", hint)
    for check in (_renamed, _owned, _unknown):
        fault = check(step, key)
        if fault is not None:
            return key, fault
    try:
        parsed: object = setting_values.parse(value.strip(), known_fields(step)[key])
    except setting_values.Unreadable as takes:
        message = f"--set {key}={value.strip()}: it takes {takes}"
        parsed = OptionFault("unreadable-option", message, "write a value of that type")
    return key, _refused(step, key, parsed) or _out_of_bounds(step, key, parsed) or parsed


def known_fields(step: str) -> dict[str, setting_values.Field]:
    """Return the fields of the step's config: name → kinds, default, and choices if there are any."""
    fields: dict[str, setting_values.Field] = _fields()[step]
    return fields


@functools.cache
def _fields() -> dict[str, Any]:
    content: dict[str, Any] = json.loads((_FOLDER / "fields.json").read_text(encoding="utf-8"))
    return content


@functools.cache
def _rules(name: str) -> dict[str, Any]:
    return tomllib.loads((_FOLDER / name).read_text(encoding="utf-8"))


def _renamed(step: str, key: str) -> Fault | None:
    for rule in _rules("renamed.toml")["renamed"]:
        if rule["name"] == key:
            return OptionFault(
                "renamed-option", f"--set {key}: the trainers now call it {rule['now']}", rule["instead"]
            )
    for rule in _rules("renamed.toml")["gone"]:
        if rule["name"] == key:
            return OptionFault("renamed-option", f"--set {key}: it is gone; {rule['why']}", rule["instead"])
    return None


def _owned(step: str, key: str) -> Fault | None:
    names = {field.name for field in dataclasses.fields(OF_STEP[step])}
    for option, theirs in _rules("refused.toml")["owned"].items():
        is_of_step = option in names or option in ("out", "resume")
        if is_of_step and key in theirs and key in known_fields(step):
            return OptionFault(
                "owned-option", f"--set {key}: zephyr sets it from its own option {option}", _place(step, option)
            )
    if key in names and key not in known_fields(step):
        return OptionFault(
            "owned-option", f"--set {key}: it is an option of zephyr, not of the trainer", _place(step, key)
        )
    return None


def _place(step: str, option: str) -> str:
    """Return how to give one of zephyr's own options."""
    flag = f"give --{option}" if option in FLAGS else ""
    if option in ("out", "resume"):
        return flag
    recipe = f"write `{option} = …` under [{step}] of the recipe"
    return f"{flag}, or {recipe}" if flag else recipe


def _unknown(step: str, key: str) -> Fault | None:
    if key in known_fields(step):
        return None
    other = {"sft": "dpo", "dpo": "sft"}[step]
    versions = _fields()["versions"]
    names = [*known_fields(step), *(field.name for field in dataclasses.fields(OF_STEP[step]))]
    near = difflib.get_close_matches(key, names, n=1, cutoff=0.7)
    if near:
        hint = f"did you mean {near[0]!r}?"
    elif key in known_fields(other):
        hint = f"only `zephyr train {other}` has it"
    else:
        hint = f"the names are those of TRL {versions['trl']} and transformers {versions['transformers']}"
    return OptionFault("unknown-option", f"--set {key}: the trainer of {step} has no such option", hint)


def _refused(step: str, key: str, value: object) -> Fault | None:
    for rule in _rules("refused.toml")["refused"]:
        if key in rule["names"] and step in rule.get("steps", OF_STEP) and not _among(value, rule.get("allowed", [])):
            return OptionFault("refused-option", f"--set {key}: {rule['why']}", rule["instead"])
    return None


def _out_of_bounds(step: str, key: str, value: object) -> Fault | None:
    """Return the fault of a number that cannot be meant, or of a text where only some are taken."""
    for rule in _rules("refused.toml")["bounds"]:
        is_bounded = key in rule["names"] and isinstance(value, int | float | str)
        if not is_bounded or value in rule.get("words", []):
            continue
        bounds = [name for name in BOUNDS if name in rule]
        if isinstance(value, str) or not all(BOUNDS[name](value, rule[name]) for name in bounds):
            takes = " and ".join(f"{name} {rule[name]}" for name in bounds)
            default = known_fields(step)[key]["default"]
            hint = "leave it out" if default is None else f"leave it out: it is {default} then"
            return OptionFault("out-of-bounds", f"--set {key}={value}: it must be {takes}", hint)
    return None


def _idle(step: str, values: Mapping[str, object]) -> Iterator[tuple[str, Fault]]:
    """Yield each setting that the trainer would refuse or ignore next to another one, with its fault."""
    for rule in _rules("refused.toml")["idle"]:
        option = rule["option"]
        other = values.get(option, known_fields(step)[option]["default"])
        for key in rule["names"]:
            if _among(other, rule["values"]) and values.get(key) not in (None, False, 0):
                yield (
                    key,
                    OptionFault(
                        "idle-option", f"--set {key} does nothing while {option} is {other}", "leave one of them out"
                    ),
                )


def _among(value: object, allowed: Sequence[object]) -> bool:
    return any(type(value) is type(one) and value == one for one in allowed)
