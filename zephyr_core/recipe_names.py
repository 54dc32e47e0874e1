"""Which names a recipe and the environment can hold: what no option reads is refused, never ignored."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from zephyr_core import options as declarations
from zephyr_core import paths
from zephyr_core.errors import RecipeError
from zephyr_core.options import did_you_mean
from zephyr_core.process import PARENT

RECORD = "ZEPHYR_RECIPE_RECORD"  # the file in which a run keeps the recipe that it parsed
OWN_VARIABLES = (paths.RUNS, paths.RUN, paths.CACHE, RECORD, PARENT)
NOTES = ("deviations", "interpretations")
OWN_KEYS = ("about", "extends", *NOTES)
Sections = Mapping[str, type]  # name of a section → its options
SET = "--set"


@dataclass(frozen=True)
class Given:
    """A value that the command line of a whole run gives an option of the recipe."""

    flag: str
    section: str
    key: str
    value: str | tuple[str, ...]  # text, as the environment's are; several if the option's flag may be repeated
    word: str = ""  # what was typed after a flag that sets several options

    def words(self) -> list[tuple[str, str]]:
        """Return the flag with what to type after it, once for each value."""
        values = (self.value,) if isinstance(self.value, str) else self.value
        if self.flag == SET:
            return [(SET, f"{self.section}.{self.key}={value}") for value in values]
        return [(self.flag, self.word)]

    def variable(self) -> tuple[str, str]:
        """Return the environment variable that gives the same value, and its text."""
        text = self.value if isinstance(self.value, str) else ",".join(self.value)
        return variable_of(self.section, self.key), text


def check(origin: str, content: Mapping[str, Any], sections: Sections) -> None:
    """Refuse what no step would read: a section, a key, a malformed note.

    Raises:
        RecipeError: with the file, the name, and the nearest known one.
    """
    names = (*OWN_KEYS, *sections)
    for name, value in content.items():
        if name in sections:
            _check_section(origin, name, value, sections[name])
        elif name in NOTES:
            _check_notes(origin, name, value)
        elif name not in OWN_KEYS:
            what = f"section [{name}]" if isinstance(value, dict) else f"key {name!r}"
            raise RecipeError(
                f"{origin}: a recipe has no {what}", _place_of(name, value, sections) or suggest(name, names)
            )


def _check_section(origin: str, name: str, values: Any, kind: type) -> None:
    if not isinstance(values, dict):
        raise RecipeError(f"{origin}: {name} is {values!r}", f"write its options under [{name}]")
    options, names = declarations.declared(kind), [key.replace("-", "_") for key in values]
    for key, option in zip(values, names, strict=True):
        if option not in options:
            raise RecipeError(f"{origin}: [{name}] has no option {key!r}", suggest(option, options))
        if names.count(option) > 1:
            raise RecipeError(f"{origin}: [{name}] sets {option} twice, with - and with _", "keep one of them")


def _place_of(key: str, value: Any, sections: Sections) -> str | None:
    """Return which section a top-level option belongs under, as a hint."""
    owners = [f"[{name}]" for name in _owners(key, sections)]
    return f"write it under {' or '.join(owners)}" if owners and not isinstance(value, dict) else None


def _owners(key: str, sections: Sections) -> list[str]:
    return [name for name, kind in sections.items() if key.replace("-", "_") in declarations.declared(kind)]


def _check_notes(origin: str, name: str, notes: Any) -> None:
    fits = isinstance(notes, list) and all(
        isinstance(note, dict) and isinstance(note.get("what"), str) and isinstance(note.get("decision", ""), str)
        for note in notes
    )
    if not fits:
        raise RecipeError(f"{origin}: {name} holds something other than notes", f'write [[{name}]] with what = "…"')


def check_environment(variables: Mapping[str, str], sections: Sections) -> None:
    """Refuse a ZEPHYR_… variable that nothing reads.

    Raises:
        RecipeError: with its name, and the nearest known one.
    """
    names = [
        *OWN_VARIABLES,
        *(variable_of(step, key) for step, kind in sections.items() for key in declarations.declared(kind)),
    ]
    for name in variables:
        if name.startswith("ZEPHYR_") and name not in names:
            hint = did_you_mean(name, names) or "options are ZEPHYR_<SECTION>_<OPTION>; docs/recipe.md lists them"
            raise RecipeError(f"the environment variable {name} does not name an option", f"{hint} (or unset it)")


def given(texts: Iterable[str], sections: Sections) -> tuple[Given, ...]:
    """Return the values of `--set SECTION.KEY=VALUE`; a section can be shortened to a beginning that no other has.

    Raises:
        RecipeError: a text of another form, an unknown section or key, or a value that is given twice.
    """
    values: dict[tuple[str, str], Given] = {}
    for text in texts:
        section, key, value = _place_and_value(text, sections)
        before = values.get((section, key))
        is_repeated = declarations.declared(sections[section])[key].is_repeated
        if before is not None and not is_repeated:
            raise RecipeError(f"{SET} {section}.{key} is given twice", "keep one of them")
        values[section, key] = Given(
            SET, section, key, (*(before.value if before else ()), value) if is_repeated else value
        )
    return tuple(values.values())


def _place_and_value(text: str, sections: Sections) -> tuple[str, str, str]:
    place, equals, value = text.partition("=")
    start, dot, key = place.strip().partition(".")
    if not equals or not dot:
        places = [f"{name}.{place}={value}" for name in _owners(place, sections)] if equals else []
        example = f"write {SET} {' or '.join(places)}" if places else f"such as {SET} dpo.learning_rate=1e-6"
        raise RecipeError(f"{SET} {text!r} is not of the form SECTION.KEY=VALUE", example)
    names = [start] if start in sections else [name for name in sections if start and name.startswith(start)]
    if len(names) != 1:
        raise RecipeError(f"{SET} {place}: a recipe has no section {start!r}", suggest(start, sections))
    name, options = key.replace("-", "_"), declarations.declared(sections[names[0]])
    if name not in options:
        raise RecipeError(f"{SET} {place}: [{names[0]}] has no option {key!r}", suggest(name, options))
    return names[0], name, value.strip()


def variable_of(step: str, key: str) -> str:
    """Return the environment variable that sets an option."""
    return f"ZEPHYR_{step}_{key}".upper().replace("-", "_")


def suggest(wrong: str, names: Iterable[str], more: str = "") -> str:
    """Return the known names, after a question with the nearest one."""
    listed = f"known: {', '.join(sorted(names))}" + (f"; {more}" if more else "")
    near = did_you_mean(wrong, names)
    return f"{near} {listed}" if near else listed
