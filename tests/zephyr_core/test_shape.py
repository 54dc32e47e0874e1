from dataclasses import dataclass
from typing import Literal, NotRequired, TypedDict

import pytest

from zephyr_core.shape import fitting, misfit


class Inner(TypedDict):
    rows: int


class Whole(TypedDict):
    kind: Literal["a", "b"]
    splits: dict[str, Inner]
    names: list[str]
    share: float
    note: str | None
    extra: NotRequired[int]


@dataclass(frozen=True)
class Settings:
    rate: float
    targets: tuple[str, ...] = ()


GOOD = {"kind": "a", "splits": {"train": {"rows": 1}}, "names": ["x"], "share": 1, "note": None}


def test_what_fits_has_no_fault_and_other_keys_may_hold_anything() -> None:
    assert misfit(GOOD | {"unknown": object()}, Whole) is None
    assert misfit(GOOD | {"extra": 3, "note": "n"}, Whole) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "c"}, "kind is 'c', not 'a' or 'b'"),
        ({"splits": {"train": {"rows": True}}}, "splits.train.rows is True, not an integer"),
        ({"splits": {"train": {}}}, "splits.train.rows is missing"),
        ({"splits": []}, "splits is [], not an object"),
        ({"names": ["x", 1]}, "names[1] is 1, not text"),
        ({"names": "x"}, "names is 'x', not a list"),
        ({"share": "1"}, "share is '1', not a number"),
        ({"note": 1}, "note is 1, not text"),
        ({"extra": None}, "extra is None, not an integer"),
    ],
)
def test_the_first_key_that_does_not_fit_is_named(change: dict[str, object], message: str) -> None:
    assert misfit(GOOD | change, Whole) == message


def test_a_key_that_is_missing_is_named_and_a_whole_of_another_type_too() -> None:
    assert misfit({name: value for name, value in GOOD.items() if name != "names"}, Whole) == "names is missing"
    assert misfit([1], Whole) == "the whole is [1], not an object"


def test_of_a_dataclass_only_fields_without_a_default_are_required() -> None:
    assert misfit({"rate": 1e-5, "targets": ["q"]}, Settings) is None
    assert misfit({"targets": ["q"]}, Settings) == "rate is missing"
    assert misfit({"rate": 1, "targets": [1]}, Settings) == "targets[0] is 1, not text"


def test_one_of_several_types_is_enough() -> None:
    assert misfit({"rows": 1}, Settings | Inner) is None
    assert misfit({"rows": "1"}, Settings | Inner) == "rate is missing"


class Loose(TypedDict, total=False):
    command: list[str]
    seconds: float


def test_of_a_damaged_object_the_keys_that_fit_are_kept() -> None:
    assert fitting({"command": "x", "seconds": 1.5, "more": 1}, Loose) == {"seconds": 1.5}
    assert fitting({}, Loose) == {}
