"""Whether a value read from JSON has the shape that a type describes; the first key that does not fit is named."""

import dataclasses
import typing
from collections.abc import Iterator, Mapping
from functools import cache
from types import NoneType, UnionType

Record = typing.TypeVar("Record", bound=Mapping[str, object])
_WORDS = {
    bool: "true or false",
    int: "an integer",
    float: "a number",
    str: "text",
    NoneType: "null",
    dict: "an object",
    list: "a list",
}


def misfit(value: object, hint: object, key: str = "") -> str | None:
    """Return the first key whose value does not fit the type, and what belongs there; None when every key fits.

    A type is str, int, float, bool, None, object (anything), a Literal or union, list[X], tuple[X, ...], dict[str, X],
    a TypedDict or a dataclass. A key that a TypedDict does not name may hold anything.
    """
    origin, members = typing.get_origin(hint), typing.get_args(hint)
    if origin in (UnionType, typing.Union):
        return _in_union(value, members, key)
    if origin is typing.Literal:
        return None if value in members else _wrong(value, " or ".join(map(repr, members)), key)
    if origin in (list, tuple):
        inner = ((f"{key}[{place}]", one) for place, one in enumerate(value if isinstance(value, list) else ()))
        return _plain(value, list, key) or _first(misfit(one, members[0], place) for place, one in inner)
    if origin is dict:
        entries = ((_under(key, name), one) for name, one in _content(value).items())
        return _plain(value, dict, key) or _first(misfit(one, members[1], name) for name, one in entries)
    if typing.is_typeddict(hint) or dataclasses.is_dataclass(hint):
        return _plain(value, dict, key) or _first(_of_fields(_content(value), hint, key))
    return None if hint is object else _plain(value, hint, key)


def fitting(content: Mapping[str, object], kind: type[Record]) -> Record:
    """Return the keys of an object that fit a TypedDict without required keys; a damaged one is dropped."""
    hints = _hints(kind)
    fields = {name: content[name] for name in hints if name in content and misfit(content[name], hints[name]) is None}
    return typing.cast(Record, fields)


@cache
def _hints(kind: object) -> dict[str, object]:
    return typing.get_type_hints(kind)


def _in_union(value: object, members: tuple[object, ...], key: str) -> str | None:
    others = [member for member in members if member is not NoneType]
    if value is None and len(others) < len(members):
        return None
    faults = [misfit(value, member, key) for member in others]
    return None if None in faults else faults[0]


def _of_fields(content: dict[str, object], hint: object, key: str) -> Iterator[str | None]:
    """Yield the faults of an object's keys, missing ones first."""
    if dataclasses.is_dataclass(hint):
        missing = dataclasses.MISSING
        required = {f.name for f in dataclasses.fields(hint) if f.default is missing and f.default_factory is missing}
    else:
        required = getattr(hint, "__required_keys__", set())
    hints = _hints(hint)
    yield from (f"{_under(key, name)} is missing" for name in hints if name in required and name not in content)
    yield from (misfit(content[name], kind, _under(key, name)) for name, kind in hints.items() if name in content)


def _plain(value: object, kind: object, key: str) -> str | None:
    fits = type(value) in (int, float) if kind is float else type(value) is kind
    return None if fits else _wrong(value, _WORDS[typing.cast(type, kind)], key)


def _content(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def _first(faults: Iterator[str | None]) -> str | None:
    return next((fault for fault in faults if fault is not None), None)


def _under(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name


def _wrong(value: object, expectation: str, key: str) -> str:
    text = repr(value)
    return f"{key or 'the whole'} is {text if len(text) <= 40 else text[:39] + '…'}, not {expectation}"
