"""The command on a card gives the options that it was written from."""

import shlex
from typing import Any

import pytest

from zephyr_core import recipe, typed
from zephyr_core.options import from_json
from zephyr_data.options import CleanOptions

COMMANDS = [
    "zephyr data clean-ultrachat --recipe tiny",
    "zephyr data clean-ultrachat 'my rows' other.jsonl --recipe zephyr-7b-beta --seed 3 --no-truecase --keep-dropped",
    "zephyr data clean-ultrachat --recipe tiny --spare a --spare 'b c' --languages en,de --size 10",
]


@pytest.mark.parametrize("line", COMMANDS)
def test_typed_again_it_resolves_to_the_same_options(line: str) -> None:
    _, _, _, *words = shlex.split(line)
    name, flags = parsed(words)
    resolved = recipe.resolve("clean-ultrachat", CleanOptions, recipe.load(name), flags)
    record = resolved.record()
    again = typed.command(
        "zephyr data clean-ultrachat", CleanOptions, record["recipe"], record["values"], record["origins"]
    )
    name, flags = parsed(shlex.split(again)[3:])
    assert recipe.resolve("clean-ultrachat", CleanOptions, recipe.load(name), flags).options == from_json(
        CleanOptions, record["values"]
    )


def parsed(words: list[str]) -> tuple[str, dict[str, Any]]:
    """Return the recipe and the flags of a command line, as Typer gives them."""
    flags: dict[str, Any] = {}
    name, rest = "", iter(words)
    for word in rest:
        key = word.removeprefix("--").replace("-", "_")
        if word == "--recipe":
            name = next(rest)
        elif not word.startswith("--"):
            flags.setdefault("sources", []).append(word)
        elif key in ("no_truecase", "keep_dropped"):
            flags[key.removeprefix("no_")] = not key.startswith("no_")
        elif key == "spare":
            flags.setdefault(key, []).append(next(rest))
        else:
            value = next(rest)
            flags[key] = int(value) if value.isdigit() else value
    return name, flags


def test_a_variable_and_a_recipe_file_are_shown() -> None:
    origins = {"seed": "environment ZEPHYR_CLEAN_ULTRACHAT_SEED", "size": "file mine.toml"}
    line = typed.command("zephyr data clean-ultrachat", CleanOptions, "mine", {"seed": 7, "size": 9}, origins)
    assert line == "ZEPHYR_CLEAN_ULTRACHAT_SEED=7 zephyr data clean-ultrachat --recipe mine.toml"
