import json
import math
from dataclasses import asdict, dataclass

import pytest

from zephyr_core.errors import OptionError
from zephyr_core.options import Option, check, declared, flag_values, from_json, value
from zephyr_run.steps import SECTIONS


@dataclass(frozen=True)
class Options:
    size: int | None = value(3, "ours", "How many.", least=1, has_flag=True)
    how: str = value("fast", "paper §1", "How.", choices=("fast", "slow"))
    who: tuple[str, ...] = value((), "ours", "Whose.", choices=("me", "you"))

    def __post_init__(self) -> None:
        check(self)


def test_a_declaration_says_source_help_choices() -> None:
    assert declared(Options)["how"] == Option("paper §1", "How.", ("fast", "slow"))
    assert list(declared(Options())) == ["size", "how", "who"]


@pytest.mark.parametrize(
    ("values", "message", "hint"),
    [
        ({"size": 0}, "size is 0: it must be at least 1", None),
        ({"how": "fats"}, "how is 'fats'; it can be fast, slow", "did you mean 'fast'?"),
        ({"who": ("me", "us")}, "who is 'us'; it can be me, you", None),
    ],
)
def test_a_value_outside_its_declaration_is_refused(values: dict[str, object], message: str, hint: str | None) -> None:
    with pytest.raises(OptionError) as caught:
        Options(**values)  # type: ignore[arg-type]
    assert str(caught.value) == message and caught.value.hint == hint


def test_none_and_nothing_pass() -> None:
    assert Options(size=None, who=()).size is None


def test_flags_that_were_not_given_are_none() -> None:
    assert flag_values(Options, {"size": None, "who": [], "out": "x"}) == {"size": None, "who": None}
    assert flag_values(Options, {"size": 0}) == {"size": 0}


@pytest.mark.parametrize("section", SECTIONS)
def test_every_option_says_where_its_default_comes_from_and_what_it_means(section: str) -> None:
    for name, option in declared(SECTIONS[section]).items():
        assert option.source, name
        assert (option.help[0].isupper() and option.help.endswith(".")) or "KEY=VALUE" in option.help, name


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
def test_a_number_is_finite(wrong: float) -> None:
    @dataclass(frozen=True)
    class Rates:
        rate: float = value(0.1, "ours", "How fast.", least=0)

    with pytest.raises(OptionError, match="it must be a number"):
        check(Rates(wrong))


def test_options_of_a_record_are_those_that_were_written() -> None:
    options = Options(size=None, who=("me", "you"))
    assert from_json(Options, json.loads(json.dumps(asdict(options)))) == options
