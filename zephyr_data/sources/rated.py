"""A block of raw lines → a table of rated rows: a prompt and the answers to it, each with its ratings.

prompt       instruction (text), else prompt (text or messages), else messages (up to the last user turn)
answers      completions, else candidates, else responses: a list of objects with `response` and, where known,
             model · overall_score and annotations (raw UltraFeedback) · score or ratings (a generic table)

Rows vary in type from one to the next (a rating is text, a number or "N/A"; an aspect an object, a list or absent), so
each is read on its own: orjson where it accepts the line, the standard library where that one must name the fault.
"""

import hashlib
import math
import re
from collections.abc import Iterator
from typing import Any

import orjson
import polars as pl

from zephyr_core.keys import text_key
from zephyr_data import schemas
from zephyr_data.errors import MixedShapes, SourceError
from zephyr_data.sources.blocks import Block
from zephyr_data.sources.lines import SHOWN, read_object, shown
from zephyr_data.sources.shapes import ROLES, find_fault

PROMPTS = ("instruction", "prompt", "messages")
ANSWERS = ("completions", "candidates", "responses")
ASPECT_SCALE = (1.0, 5.0)  # of UltraFeedback's annotations
OVERALL_SCALE = (1.0, 10.0)  # of its overall_score
_ABSENT = ("", "n/a", "none", "null", "nan")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
LARGEST = 1e100  # a score beyond it is a slip, and would make margins infinite
_KEY_END = re.compile(rb'"\s*:')
_READ = [name for name in schemas.RATED if name not in schemas.RATED_FILLED]

Row = dict[str, Any]


class _WrongType(ValueError):
    """A used value has a type that no reading of it fits."""


def parse_rated(block: Block) -> tuple[pl.DataFrame, str | None]:
    """Return the block's rows as a table of rated rows, faults marked, and their shape.

    Columns out: schemas.RATED; those of RATED_FILLED are null

    Raises:
        MixedShapes: rows of different shapes in the block.
        SourceError: the file begins with a row that holds no prompt or no answers.
    """
    if block.file.kind == "rated":
        return with_unfilled(_stored(block).select(_READ)), "rated"
    rows: list[Row] = []
    shape = first = None
    for line, raw, fault, begins in _objects(block):
        if fault is None:
            found, first = shape_of(raw), first or (line, raw)
            if found and shape and found != shape:
                raise MixedShapes(
                    f"{block.file.path}, line {line}: the row holds {found!r}, earlier ones {shape!r}",
                    "split the file by shape, one shape a file; both can be given to one run",
                )
            shape = shape or found
        rows.append({"line": line, **read_row(raw, fault, begins)})
    if shape is None and first is not None and block.first_line == 1:
        _refuse_foreign(block, *first)
    names = [name for name in _READ if name not in ("source", "file")]
    table = pl.DataFrame(rows, schema={name: schemas.RATED[name] for name in names}, orient="row")
    located = table.with_columns(source=pl.lit(block.file.source), file=pl.lit(block.file.name))
    return with_unfilled(located), shape


def shape_of(raw: Row) -> str | None:
    """Return the columns of prompt and answers, such as "instruction + completions"; None when there is no such row."""
    prompt = next((name for name in PROMPTS if raw.get(name) is not None), None)
    answers = next((name for name in ANSWERS if raw.get(name) is not None), None)
    first = next(iter(raw[answers]), None) if answers and isinstance(raw[answers], list) else None
    if isinstance(first, dict) and "response" not in first:
        return None
    return f"{prompt} + {answers}" if prompt and answers else None


def read_row(raw: Row, fault: str | None, begins: str) -> Row:
    """Return the columns of a rated row, its fault among them; `begins` shows the line where no turn is to blame."""
    row: Row = {"id": None}
    if fault is None:
        try:
            row["id"] = _identity(raw)
            orjson.dumps(row)
            row |= _columns(raw)
            orjson.dumps(row)
        except _WrongType:
            fault = "wrong-type"
        except orjson.JSONEncodeError:
            row, fault = {"id": None}, "lone-surrogate"
    if fault is not None:
        row = {"id": row["id"], "dropped_by": f"read/{fault}"}
    return {**row, "matched": row.get("matched") or (begins if row["dropped_by"] else None)}


def _columns(raw: Row) -> Row:
    turns, roles = _prompt(raw)
    completions = [_completion(answer) for answer in _answers(raw)]
    fault, turn, seen = _fault(turns, roles, completions)
    source = raw.get("source")
    row = {
        "prompt_source": source if isinstance(source, str) else None,
        "dropped_by": None if fault is None else f"read/{fault}",
        "dropped_turn": turn,
        "matched": seen,
    }
    if not turns or None in turns:
        return row
    texts = [*turns, *(answer["response"] or "" for answer in completions)]
    key = hashlib.sha256(orjson.dumps(texts)).hexdigest()
    return {**row, "turns": turns, "completions": completions, "row_key": key, "prompt_id": text_key(str(turns[0]))}


def _objects(block: Block) -> Iterator[tuple[int, Row, str | None, str]]:
    """Yield line, object, fault and the line's beginning for each row of the block."""
    if block.file.kind == "parquet":
        for number, raw in enumerate(_stored(block).iter_rows(named=True), start=block.first_line):
            yield number, raw, None, ""
        return
    for number, line, is_cut_short in block.lines():
        if is_cut_short:
            yield number, {}, "cut-short", shown(line)
        else:
            raw, fault = _read_object(line)
            yield number, raw, fault, shown(line)


def _read_object(line: bytes) -> tuple[Row, str | None]:
    """Return the object; NaN and the infinities, which exports of tables hold, are numbers of theirs."""
    try:
        row = orjson.loads(line)
        # each key ends in a quote and a colon, so an object with as many keys as such places has none twice
        if isinstance(row, dict) and _count_keys(row) == len(_KEY_END.findall(line)):
            return row, None
    except orjson.JSONDecodeError:
        pass
    return read_object(line, constant=float)


def _count_keys(row: Row) -> int:
    count = 0
    left: list[Any] = [row]
    while left:
        value = left.pop()
        if type(value) is dict:
            count += len(value)
            value = value.values()
        left += [inner for inner in value if type(inner) is dict or type(inner) is list]
    return count


def _stored(block: Block) -> pl.DataFrame:
    try:
        return pl.scan_parquet(block.file.path).slice(block.offset, block.length).collect()
    except pl.exceptions.PolarsError as fault:
        raise SourceError(f"{block.file.path} cannot be read: {fault}", "fetch or write it again") from None


def with_unfilled(table: pl.DataFrame) -> pl.DataFrame:
    """Return stored or read rows as schemas.RATED, what stages fill being null."""
    empty = [pl.lit(None, dtype=schemas.RATED[name]).alias(name) for name in schemas.RATED_FILLED]
    return table.with_columns(empty).select(pl.col(name).cast(dtype) for name, dtype in schemas.RATED.items())


def _refuse_foreign(block: Block, line: int, raw: Row) -> None:
    """Raise unless the columns are there, though null or of a wrong type."""
    answers = next((raw[name] for name in ANSWERS if name in raw), None)
    first = answers[0] if isinstance(answers, list) and answers else None
    is_foreign = isinstance(first, dict) and "response" not in first
    if set(raw) & set(PROMPTS) and set(raw) & set(ANSWERS) and not is_foreign:
        return
    raise SourceError(
        f"{block.file.path}, line {line}: no prompt with answers; found {', '.join(map(repr, raw)) or 'no column'}",
        f"a prompt stands in {', '.join(PROMPTS)}, answers in {', '.join(ANSWERS)}, each with its `response`",
    )


def _identity(raw: Row) -> str | None:
    found = raw.get("id") if raw.get("id") is not None else raw.get("prompt_id")
    if found is None or isinstance(found, str):
        return found
    if type(found) is not int or not -(2**63) <= found < 2**63:
        raise _WrongType
    return str(found)


def _prompt(raw: Row) -> tuple[list[str | None] | None, list[str | None] | None]:
    """Return the texts and roles of the prompt's turns, up to the last one of the user."""
    value = next((raw[name] for name in PROMPTS if raw.get(name) is not None), None)
    if value is None or isinstance(value, str):
        return ([value] if value is not None else None), ["user"]
    if not isinstance(value, list) or not all(isinstance(turn, dict) for turn in value):
        raise _WrongType
    texts = [_text(turn.get("content")) for turn in value]
    roles = [_text(turn.get("role")) for turn in value]
    known = [ROLES.get(role.lower(), role.lower()) if role is not None else None for role in roles]
    while known and known[-1] == "assistant":
        known.pop(), texts.pop()
    return texts, known


def _answers(raw: Row) -> list[Row]:
    value: Any = next((raw[name] for name in ANSWERS if raw.get(name) is not None), [])
    if not isinstance(value, list) or not all(isinstance(answer, dict) for answer in value):
        raise _WrongType
    return value


def _completion(answer: Row) -> Row:
    unreadable: list[str] = []
    ratings = [*_aspects(answer.get("annotations"), unreadable, ASPECT_SCALE)]
    ratings += _aspects(answer.get("ratings"), unreadable, None)
    completion = {
        "response": _text(answer.get("response")),
        "model": _text(answer.get("model")),
        "ratings": sorted(ratings, key=lambda rating: rating["aspect"]),
        "overall": _number(answer.get("overall_score"), unreadable, OVERALL_SCALE),
        "given": _number(answer.get("score"), unreadable, None),
    }
    return {**completion, "unreadable": ", ".join(unreadable)[:SHOWN] or None}


def _aspects(value: Any, unreadable: list[str], scale: tuple[float, float] | None) -> list[Row]:
    """Return the ratings that exist: of {aspect: rating}, of a plain list, or of a list of {aspect, rating}."""
    if value is None:
        return []
    if isinstance(value, list):
        named = [(_aspect(item, place), item) for place, item in enumerate(value)]
    elif isinstance(value, dict):
        named = list(value.items())
    else:
        unreadable.append(str(value))
        named = []
    found = []
    for aspect, item in named:
        for rating in item if isinstance(item, list) else [item]:
            number = _number(_rating(rating), unreadable, scale)
            if number is not None:
                found.append({"aspect": aspect, "rating": number})
    return found


def _aspect(item: Any, place: int) -> str:
    return str(item["aspect"]) if isinstance(item, dict) and "aspect" in item else str(place)


def _rating(value: Any) -> Any:
    """Return the rating inside an object; an object that holds something else is what cannot be read."""
    if not isinstance(value, dict):
        return value
    return next((value[name] for name in ("Rating", "rating") if name in value), value or None)


def _number(value: Any, unreadable: list[str], scale: tuple[float, float] | None) -> float | None:
    """Return the number; None when it is absent ("N/A" is) or unreadable, which is then noted."""
    if value is None or (isinstance(value, str) and value.strip().lower() in _ABSENT):
        return None
    if isinstance(value, float) and math.isnan(value):
        return None  # a missing value of an exported table
    is_number = type(value) in (int, float) or (isinstance(value, str) and _NUMBER.fullmatch(value.strip()))
    least, most = scale or (-LARGEST, LARGEST)
    try:
        number = float(value) if is_number else math.inf
    except OverflowError:
        number = math.inf
    if not least <= number <= most:
        unreadable.append(str(value))
        return None
    return number


def _text(value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise _WrongType
    return value


def _fault(
    turns: list[str | None] | None, roles: list[str | None] | None, completions: list[Row]
) -> tuple[str | None, int | None, str | None]:
    """Return fault, turn and text: of the prompt, a dialogue whose answer is still to come, or of the answers."""
    found = find_fault([*(roles or ()), "assistant"], [*turns, "…"]) if turns else ("no-prompt", None, None)
    if found is not None:
        return found
    if not completions:
        return "no-completions", None, None
    place = next((place for place, answer in enumerate(completions) if "\0" in (answer["response"] or "")), None)
    return (None, None, None) if place is None else ("nul-in-text", place, completions[place]["response"][:SHOWN])
