"""Pairs that exist already → the rated row that says the same: a prompt as messages, and two answers.

chosen, rejected                      texts with a prompt, messages with or without one, or transcripts (HH-RLHF)
chosen_response, rejected_response    texts, argilla's first binarized UltraFeedback
response_0, response_1                PKU-SafeRLHF: better_response_id, else safer_response_id, is the chosen one
human_ref_A, human_ref_B              SHP: `labels` is 1 if A is preferred, 0 if B is
response_1, response_2                HelpSteer2: preference_strength, below 0 if the first is better
response1, response2                  HelpSteer3: overall_preference, likewise
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from zephyr_core.texts import is_empty
from zephyr_data.sources.carried import carried
from zephyr_data.sources.messages import Message, is_transcript, messages_of, tagged_turns, transcript_turns, user
from zephyr_data.sources.values import Unfit, refuse_repeats, text_of, with_material

Row = dict[str, Any]


@dataclass(frozen=True)
class _Shape:
    """Where a published shape has its two answers, its prompt, and what is known about each answer."""

    answers: tuple[str, str]
    prompts: tuple[str, ...]  # the first that is not null
    scores: tuple[tuple[str, str], ...] = ()  # columns of the two answers
    models: tuple[tuple[str, str], ...] = ()
    first_is_chosen: tuple[tuple[str, str], ...] = ()  # column and the value that says so; none: always
    strength: str | None = None  # column of a number: by how much the second is better, so below 0 the first is

    @property
    def columns(self) -> tuple[str, ...]:
        others = (name for names in (*self.scores, *self.models) for name in names)
        votes = (*(name for name, _ in self.first_is_chosen), *filter(None, [self.strength]))
        return (*self.answers, *self.prompts, *others, *votes)


def _sided(*patterns: str) -> tuple[tuple[str, str], ...]:
    return tuple((pattern.format("chosen"), pattern.format("rejected")) for pattern in patterns)


_SHAPES = (
    _Shape(
        ("chosen", "rejected"),
        ("prompt", "question", "instruction", "input", "conversations"),
        _sided("score_{}", "{}_score", "{}-rating", "{}_rating"),
        _sided("{}_model", "{}-model"),
    ),
    _Shape(
        ("chosen_response", "rejected_response"),
        ("instruction", "prompt"),
        _sided("{}_avg_rating"),
        _sided("{}_model"),
    ),
    _Shape(
        ("response_0", "response_1"),
        ("prompt",),
        models=(("response_0_source", "response_1_source"),),
        first_is_chosen=(("better_response_id", "0"), ("safer_response_id", "0")),
    ),
    _Shape(("human_ref_A", "human_ref_B"), ("history",), (("score_A", "score_B"),), first_is_chosen=(("labels", "1"),)),
    _Shape(("response_1", "response_2"), ("prompt",), strength="preference_strength"),
    _Shape(("response1", "response2"), ("context",), strength="overall_preference"),
)
_INNER = "metadata"  # an object that may hold the scores
_SYSTEM = "system"
SPLIT = "split"  # the published split of the row
COLUMNS = tuple(dict.fromkeys((*(name for shape in _SHAPES for name in shape.columns), _INNER, _SYSTEM, SPLIT)))
ANSWERS = tuple(name for shape in _SHAPES for name in shape.answers)
KNOWN = "; ".join(" and ".join(shape.answers) for shape in _SHAPES)


def shape_of(raw: Row) -> str | None:
    """Return the names of the two answers, such as "chosen + rejected"; None unless the row has one of them."""
    shape = _shape(raw)
    return None if shape is None else " + ".join(shape.answers)


def as_rated(raw: Row) -> tuple[Row, dict[str, int]]:
    """Return the rated row, with `messages` and `completions`, and the places of the chosen and the rejected answer.

    An answer that is missing is null. The two sides must have the same prompt.

    Raises:
        Unfit: a used value has the wrong type, a key is repeated, or it is open which answer was chosen to what.
    """
    shape = _shape(raw)
    if shape is None:
        raise Unfit("no-completions")
    refuse_repeats(raw, *COLUMNS)
    prompt = _prompt(raw, shape)
    sides = [_dialogue(raw.get(name), prompt) for name in shape.answers]
    prompts = [side[:-1] for side in sides if side is not None]
    if not prompts or any(other != prompts[0] for other in prompts):
        raise Unfit("prompts-differ" if prompts else "no-completions")
    completions = [
        {
            "response": None if side is None else side[-1]["content"],
            "score": _detail(raw, shape.scores, place),
            "model": _detail(raw, shape.models, place),
        }
        for place, side in enumerate(sides)
    ]
    chosen = 0 if _is_first_chosen(raw, shape) else 1
    if shape.strength is not None:
        completions[chosen]["score"], completions[1 - chosen]["score"] = abs(_strength(raw, shape.strength)), 0
    return {"messages": prompts[0], "completions": completions}, {"chosen": chosen, "rejected": 1 - chosen}


def _shape(raw: Row) -> _Shape | None:
    has = [shape for shape in _SHAPES for name in shape.answers if raw.get(name) is not None]
    both = (shape for shape, other in pairwise(has) if shape is other)  # names of two shapes may overlap
    return next(both, has[0] if has else None)


def _is_first_chosen(raw: Row, shape: _Shape) -> bool:
    if shape.strength is not None:
        return _strength(raw, shape.strength) < 0
    if not shape.first_is_chosen:
        return True
    name, value = next(((name, value) for name, value in shape.first_is_chosen if raw.get(name) is not None), ("", ""))
    given = carried(raw.get(name))
    if given not in ("0", "1"):
        raise Unfit("no-side-chosen")
    return given == value


def _strength(raw: Row, name: str) -> int:
    """Return by how much the second answer is better; it is never 0.

    Raises:
        Unfit: neither is better, or it does not hold a whole number.
    """
    number = int(carried(raw.get(name)) or 0) if isinstance(raw.get(name), int | float) else 0
    if number == 0:
        raise Unfit("no-side-chosen")
    return number


def _detail(raw: Row, columns: tuple[tuple[str, str], ...], place: int) -> Any:
    """Return the first value that is known about an answer, in the row or in its metadata."""
    inner = raw.get(_INNER)
    for row in (raw, inner if isinstance(inner, dict) else {}):
        for names in columns:
            if row.get(names[place]) is not None:
                return row[names[place]]
    return None


def _prompt(raw: Row, shape: _Shape) -> list[Message] | str | None:
    """Return the prompt as messages; as a text if it is a transcript that the answers continue."""
    name = next((name for name in shape.prompts if raw.get(name) is not None), None)
    if name is None:
        return None
    value, system = raw[name], text_of(raw.get(_SYSTEM))
    if isinstance(value, str) and is_transcript(value):
        return value
    if name == "instruction":
        messages = [*_history(raw.get("history")), user(with_material(text_of(value), text_of(raw.get("input"))))]
    else:
        messages = tagged_turns(value) if isinstance(value, str) else messages_of(value)
    return messages if system is None or is_empty(system) else [{"role": "system", "content": system}, *messages]


def _history(value: Any) -> list[Message]:
    """Return the earlier turns of a LLaMA-Factory row, a list of questions with their replies."""
    rounds = [] if value is None else value
    if not isinstance(rounds, list) or not all(isinstance(texts, list) and len(texts) == 2 for texts in rounds):
        raise Unfit
    roles = ("user", "assistant")
    return [
        {"role": role, "content": text_of(text)} for texts in rounds for role, text in zip(roles, texts, strict=True)
    ]


def _dialogue(side: Any, prompt: list[Message] | str | None) -> list[Message] | None:
    """Return prompt and answer; None where there is no answer."""
    if side is None or side == []:
        return None
    if isinstance(side, str):
        whole = prompt + side if isinstance(prompt, str) else side
        if isinstance(prompt, str) or (prompt is None and is_transcript(side)):
            turns = transcript_turns(whole)
        else:
            turns = [*_needed(prompt), {"role": "assistant", "content": side}]
    else:
        turns = messages_of(side)
        if turns[0]["role"] == "assistant":
            turns = [*_needed(prompt), *turns]
    if turns[-1]["role"] != "assistant":
        raise Unfit("ends-with-user-turn" if turns[-1]["role"] == "user" else "unknown-role")
    if len(turns) > 1 and turns[-2]["role"] == "assistant":
        raise Unfit("two-assistant-turns-in-a-row")
    return turns


def _needed(prompt: list[Message] | str | None) -> list[Message]:
    if not prompt:
        raise Unfit("no-prompt")
    return transcript_turns(prompt) if isinstance(prompt, str) else prompt
