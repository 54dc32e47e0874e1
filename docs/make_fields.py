"""Write zephyr_train/preflight/fields.json from the installed TRL; `--check` only says whether it is up to date."""

import dataclasses
import enum
import json
import sys
import types
import typing
from importlib.metadata import version
from pathlib import Path
from typing import Any

TARGET = Path(__file__).resolve().parent.parent / "zephyr_train" / "preflight" / "fields.json"
NAMES: dict[Any, str] = {bool: "bool", int: "int", float: "float", str: "str", dict: "dict", type(None): "none"}


def kinds(hint: Any) -> list[str]:
    """Return the names of the types that a field takes: bool, int, float, str, list[…], dict, none or object."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return sorted({kind for member in inner for kind in kinds(member)})
    if origin is typing.Literal:
        return sorted({type(choice).__name__ for choice in inner})
    if origin is list:
        return [f"list[{kinds(inner[0])[0]}]"]
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return ["str"]
    return [NAMES.get(origin or hint, "object")]


def choices(hint: Any) -> list[str]:
    """Return the values of the enumerations that a field takes."""
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return [str(member.value) for member in hint]
    members = typing.get_args(hint) if typing.get_origin(hint) in (types.UnionType, typing.Union) else ()
    return [choice for member in members for choice in choices(member)]


def described(field: "dataclasses.Field[Any]", hint: Any) -> dict[str, Any]:
    """Return a field's kinds, default and, where it has them, choices."""
    made = field.default_factory
    default = field.default if made is dataclasses.MISSING else made()
    known = choices(hint) or list(field.metadata.get("choices", []))
    return {"kinds": kinds(hint), "default": default} | ({"choices": known} if known else {})


def text() -> str:
    """Return the whole file, a field a line."""
    import trl

    lines = [f'  "versions": {json.dumps({name: version(name) for name in ("transformers", "trl")})}']
    for step, config in (("sft", trl.SFTConfig), ("dpo", trl.DPOConfig)):  # type: ignore[attr-defined]
        hints = typing.get_type_hints(config)
        fields = sorted(dataclasses.fields(config), key=lambda field: field.name)
        rows = [f'    "{field.name}": {json.dumps(described(field, hints[field.name]))}' for field in fields]
        lines.append(f'  "{step}": {{\n' + ",\n".join(rows) + "\n  }")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def main() -> None:
    """Write the fields, or compare them."""
    if "--check" not in sys.argv:
        TARGET.write_text(text(), encoding="utf-8")
    elif not TARGET.is_file() or TARGET.read_text(encoding="utf-8") != text():
        sys.exit("zephyr_train/preflight/fields.json is not of the installed TRL: run `python docs/make_fields.py`")


if __name__ == "__main__":
    main()
