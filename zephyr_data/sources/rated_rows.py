"""Rated rows of any types, one at a time: a rating is text, a number or "N/A"; an aspect an object, a list or absent.

orjson reads the lines that it accepts; the standard library reads the rest and names the fault.
"""

import hashlib
import math
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import orjson

from zephyr_core.keys import text_key
from zephyr_data.sources import given_pairs, rated_shapes
from zephyr_data.sources.carried import IDENTITY, carried_of
from zephyr_data.sources.dialogue_turns import find_fault
from zephyr_data.sources.lines import SHOWN, encoding_fault, read_object
from zephyr_data.sources.messages import messages_of
from zephyr_data.sources.published import side_of
from zephyr_data.sources.rated_shapes import ONE_ANSWER, RANKS
from zephyr_data.sources.scales import DEFAULT, Scale, Scales
from zephyr_data.sources.values import Unfit, refuse_repeats, text_of

PROMPTS = ("instruction", "prompt", "messages")
ANSWERS = ("completions", "candidates", "responses")
ABSENT = ("", "n/a", "none", "null", "nan")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_KEY_END = re.compile(rb'"\s*:')

Row = dict[str, Any]
ToRated = Callable[[Row], tuple[Row, dict[str, int] | None]]  # the rated row, and the places of a given pair


def _shaped(raw: Row) -> tuple[str | None, ToRated]:
    """Return a row's shape and what turns the row into the rated row that says the same."""
    own, published, pair = _rated_shape(raw), rated_shapes.shape_of(raw), given_pairs.shape_of(raw)
    if own is None and published is not None and not (pair and published.endswith(ONE_ANSWER)):
        return published, lambda raw: (rated_shapes.as_rated(raw), None)
    return (pair, given_pairs.as_rated) if own is None and pair is not None else (own, lambda raw: (raw, None))


def _rated_shape(raw: Row) -> str | None:
    prompt = next((name for name in PROMPTS if raw.get(name) is not None), None)
    answers = next((name for name in ANSWERS if raw.get(name) is not None), None)
    first = next(iter(raw[answers]), None) if answers and isinstance(raw[answers], list) else None
    if isinstance(first, dict) and "response" not in first:
        return None
    return f"{prompt} + {answers}" if prompt and answers else None


def read_row(raw: Row, fault: str | None, line: bytes, scales: Scales) -> Row:
    """Return the columns of a rated row, its shape and its fault; of `line`, only whether it is UTF-8 is asked.

    A shape is the names of the columns of prompt and answers, such as "instruction + completions".
    """
    row: Row = {"id": carried_of(raw, *IDENTITY), "shape": None}
    if fault is None:
        row["shape"], to_rated = _shaped(raw)
        if row["shape"] is not None and row["shape"].endswith(RANKS):
            scales = DEFAULT  # of numbers that mean how good an answer is, not of ranks
        try:
            row |= _columns(raw, to_rated, scales)
            orjson.dumps(row)
        except Unfit as unfit:
            fault = unfit.fault
        except orjson.JSONEncodeError:
            fault = encoding_fault(line)
    return row if fault is None else {"id": row["id"], "shape": row["shape"], "dropped_by": f"read/{fault}"}


def _columns(raw: Row, to_rated: ToRated, scales: Scales) -> Row:
    rated, sides = to_rated(raw)
    refuse_repeats(rated, *PROMPTS, *ANSWERS)
    turns, roles = _prompt(rated)
    completions = [_completion(answer, scales) for answer in _answers(rated)]
    if sides is not None:
        completions = _ordered(completions, sides["chosen"])
    fault, turn, text = _fault(turns, roles, completions)
    row = {
        "prompt_source": carried_of(raw, "source"),
        "dropped_by": None if fault is None else f"read/{fault}",
        "dropped_turn": turn,
        "matched": text,
    }
    if not turns or None in turns:
        return row
    texts = [*turns, *(answer["response"] or "" for answer in completions)]
    key = hashlib.sha256(orjson.dumps(texts)).hexdigest()
    return {
        **row,
        "turns": turns,
        "completions": completions,
        "sides": sides,
        "published": None if sides is None else side_of(carried_of(raw, given_pairs.SPLIT)),
        "row_key": key,
        "prompt_id": text_key(str(turns[0])),
    }


def _ordered(completions: list[Row], chosen: int) -> list[Row]:
    """Return the answers of a given pair; without scores, the chosen one gets 1 and the other 0, which is an order."""
    if any(answer["given"] is not None or answer["unreadable"] for answer in completions):
        return completions
    return [{**answer, "given": float(place == chosen)} for place, answer in enumerate(completions)]


def read_json(line: bytes) -> tuple[Row, str | None]:
    """Return the object and its fault, if any; NaN and the infinities, found in table exports, are read as numbers."""
    try:
        row = orjson.loads(line)
        # each key ends in a quote and a colon, so if both counts are equal, no key repeats
        if isinstance(row, dict) and _count_keys(row) == len(_KEY_END.findall(line)):
            return row, None
    except orjson.JSONDecodeError:
        pass
    return read_object(line)


def _count_keys(row: Row) -> int:
    count = 0
    pending: list[Any] = [row]
    while pending:
        value = pending.pop()
        if type(value) is dict:
            count += len(value)
            value = value.values()
        pending += [inner for inner in value if type(inner) is dict or type(inner) is list]
    return count


def _prompt(raw: Row) -> tuple[list[str | None] | None, list[str | None] | None]:
    """Return the texts and roles of the prompt's turns, up to the last user turn."""
    value = next((raw[name] for name in PROMPTS if raw.get(name) is not None), None)
    if value is None or isinstance(value, str):
        return ([value] if value is not None else None), ["user"]
    turns = messages_of(value)
    texts, canonical = ([turn[name] for turn in turns] for name in ("content", "role"))
    while canonical and canonical[-1] == "assistant":
        canonical.pop(), texts.pop()
    return texts, canonical


def _answers(raw: Row) -> list[Row]:
    value: Any = next((raw[name] for name in ANSWERS if raw.get(name) is not None), [])
    if not isinstance(value, list) or not all(isinstance(answer, dict) for answer in value):
        raise Unfit
    return value


def _completion(answer: Row, scales: Scales) -> Row:
    refuse_repeats(answer, "response", "annotations", "ratings", "overall_score", "score")
    unreadable: list[str] = []
    ratings = [*_aspects(answer.get("annotations"), unreadable, scales.annotations)]
    ratings += _aspects(answer.get("ratings"), unreadable, scales.others)
    completion = {
        "response": text_of(answer.get("response")),
        "model": carried_of(answer, "model"),
        "ratings": sorted(ratings, key=lambda rating: rating["aspect"]),
        "overall": _number(answer.get("overall_score"), unreadable, scales.overall),
        "given": _number(answer.get("score"), unreadable, scales.others),
    }
    return {**completion, "unreadable": ", ".join(unreadable)[:SHOWN] or None}


def _aspects(value: Any, unreadable: list[str], scale: Scale) -> list[Row]:
    """Return the ratings present in {aspect: rating}, a plain list, or a list of {aspect, rating}."""
    if value is None:
        return []
    if isinstance(value, list):
        items = [(_aspect(item, place), item) for place, item in enumerate(value)]
    elif isinstance(value, dict):
        refuse_repeats(value)
        items = list(value.items())
    else:
        unreadable.append(str(value))
        items = []
    ratings = []
    for aspect, item in items:
        for rating in item if isinstance(item, list) else [item]:
            number = _number(_rating(rating), unreadable, scale)
            if number is not None:
                ratings.append({"aspect": aspect, "rating": number})
    return ratings


def _aspect(item: Any, place: int) -> str:
    return str(item["aspect"]) if isinstance(item, dict) and "aspect" in item else str(place)


def _rating(value: Any) -> Any:
    """Return the rating inside an object; any other object is returned whole, to be noted as unreadable."""
    if not isinstance(value, dict):
        return value
    refuse_repeats(value, "Rating", "rating")
    return next((value[name] for name in ("Rating", "rating") if name in value), value or None)


def _number(value: Any, unreadable: list[str], scale: Scale) -> float | None:
    """Return the number, or None if it is absent (as "N/A" is) or unreadable, which is noted."""
    if value is None or (isinstance(value, str) and value.strip().lower() in ABSENT):
        return None
    if isinstance(value, float) and math.isnan(value):
        return None  # a missing value in an exported table
    is_number = type(value) in (int, float, Decimal) or (isinstance(value, str) and _NUMBER.fullmatch(value.strip()))
    least, most = scale
    try:
        number = float(value) if is_number else math.inf
    except (OverflowError, ValueError):  # beyond a float, or a decimal that is no number
        number = math.inf
    if not least <= number <= most:
        unreadable.append(str(value))
        return None
    return number


def _fault(
    turns: list[str | None] | None, roles: list[str | None] | None, completions: list[Row]
) -> tuple[str | None, int | None, str | None]:
    """Return fault, turn and text: of the prompt, checked as a dialogue still without its answer, or of the answers."""
    prompt_fault = find_fault([*(roles or ()), "assistant"], [*turns, "…"]) if turns else ("no-prompt", None, None)
    if prompt_fault is not None:
        return prompt_fault
    if not completions:
        return "no-completions", None, None
    place = next((place for place, answer in enumerate(completions) if "\0" in (answer["response"] or "")), None)
    return (None, None, None) if place is None else ("nul-in-text", place, completions[place]["response"][:SHOWN])
