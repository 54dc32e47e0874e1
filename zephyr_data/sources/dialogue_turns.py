"""The turns of one dialogue: their first fault, and what it can lose without being dropped.

An empty system turn, a greeting of the assistant before the first user turn, and a last user turn that nobody answers.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from zephyr_core.texts import is_empty
from zephyr_data.sources.lines import SHOWN

STAGE = "read"
GREETING = "starts-with-assistant"
UNANSWERED = "ends-with-user-turn"
SYSTEM = "system-turn"
BETWEEN = "\n\n"  # texts that become one turn
TOOL_ROLES = frozenset(
    ("tool", "function", "observation", "function_call", "tool_call", "function_response", "tool_response")
)

Roles = Sequence[str | None]
Texts = Sequence[str | None]
TurnFault = tuple[str, int | None, str | None]  # rule, turn, matched text
NO_TURNS: TurnFault = ("no-turns", None, None)


class Dialogue(NamedTuple):
    """A dialogue as it was read, and what is left of it; turns are counted as read."""

    as_read: list[str | None] | None  # without empty system turns
    turns: list[str | None] | None
    system: str | None  # the system turns before the first user turn
    fault: TurnFault | None
    cuts: list[dict[str, Any]]  # schemas.EDIT


def read_dialogue(roles: Roles | None, texts: Texts | None) -> Dialogue:
    """Return a dialogue without empty system turns, with its system turns apart and its cuts made, or its fault.

    `roles` is None for the shape `data`, whose turns alternate by position.
    """
    if texts is None:
        return Dialogue(None, None, None, NO_TURNS, [])
    present = [place for place in range(len(texts)) if not _is_empty_system(roles, texts, place)]
    read = [texts[place] for place in present]
    if roles is not None:
        roles = [roles[place] for place in present]
    start = next((place for place in range(len(read)) if not roles or roles[place] != "system"), len(read))
    fault, first, end = _judge(roles, read, start)
    if fault is not None:
        return Dialogue(read, read, None, fault, [])
    cuts = [_cut(GREETING, start, read[start])] if first > start else []
    cuts += [_cut(UNANSWERED, end, read[end])] if end < len(read) else []
    system = BETWEEN.join(str(text) for text in read[:start]) or None
    return Dialogue(read, read[first:end], system, None, cuts)


def find_fault(roles: Roles | None, texts: Texts | None) -> TurnFault | None:
    """Return the first fault of a dialogue that nothing is cut from, or None when there is none."""
    if not texts:
        return NO_TURNS
    for turn, text in enumerate(texts):
        fault = _fault_of_turn(turn, text, roles)
        if fault is not None:
            return fault, turn, _excerpt(text)
    if len(texts) % 2:
        return UNANSWERED, len(texts) - 1, _excerpt(texts[-1])
    return None


def _judge(roles: Roles | None, read: Texts, start: int) -> tuple[TurnFault | None, int, int]:
    """Return the fault of what follows the system turns, if any, and where the dialogue begins and ends in it."""
    first, end = start, len(read)
    fault = next((("nul-in-text", place) for place in range(start) if "\0" in (read[place] or "")), None)
    if fault is None and roles and start < end and roles[start] == "assistant":
        first += 1
        rule = _fault_of_text(read[start]) or (GREETING if first == end else None)
        fault = None if rule is None else (rule, start)
    if fault is not None:
        return (*fault, _excerpt(read[fault[1]])), first, end
    rest = find_fault(roles and roles[first:], read[first:])
    if rest is None:
        return None, first, end
    rule, turn, text = rest
    if rule == UNANSWERED and first + 1 < end:
        return None, first, end - 1
    if rule == UNANSWERED and first > start:
        return (GREETING, start, _excerpt(read[start])), first, end
    return (rule, None if turn is None else first + turn, text), first, end


def _is_empty_system(roles: Roles | None, texts: Texts, place: int) -> bool:
    return roles is not None and roles[place] == "system" and is_empty(texts[place] or "")


def _fault_of_turn(turn: int, text: str | None, roles: Roles | None) -> str | None:
    if text is not None and roles is not None:
        role = roles[turn]
        if role == "system":
            return SYSTEM
        if role in TOOL_ROLES:
            return "tool-turn"
        if role not in ("user", "assistant"):
            return "unknown-role"
        if role != ("user", "assistant")[turn % 2]:
            return GREETING if turn == 0 else f"two-{role}-turns-in-a-row"
    return _fault_of_text(text)


def _fault_of_text(text: str | None) -> str | None:
    if text is None:
        return "null-turn"
    if is_empty(text):
        return "empty-turn"
    return "nul-in-text" if "\0" in text else None


def _cut(rule: str, turn: int, text: str | None) -> dict[str, Any]:
    place = {"turn": turn, "stage": STAGE, "rule": rule, "start": None, "end": None}
    return {**place, "before": _excerpt(text), "after": "(cut: 1 turns)"}


def _excerpt(text: str | None) -> str | None:
    return None if text is None else text[:SHOWN]
