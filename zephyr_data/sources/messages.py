"""Messages of either naming, and dialogues that are written into one text, as turns with canonical roles."""

import re
from collections.abc import Iterable
from typing import Any

from zephyr_core.template import role_of
from zephyr_data.sources.typed_rows import content_of
from zephyr_data.sources.values import Unfit, refuse_repeats, text_of

Message = dict[str, Any]  # role, content
_SPEAKER = re.compile(r"(?:\A\s*|\n\n)(Human|Assistant):")
_TAG = re.compile(r"\n<extra_id_1>(Assistant|User)\n")


def messages_of(value: Any) -> list[Message]:
    """Return messages of either naming, or a single one.

    Raises:
        Unfit: they are no messages, or a key is repeated.
    """
    turns = [value] if isinstance(value, dict) else value
    if not isinstance(turns, list) or not all(isinstance(turn, dict) for turn in turns):
        raise Unfit
    return [_message(turn) for turn in turns]


def _message(turn: dict[str, Any]) -> Message:
    refuse_repeats(turn, "role", "content", "from", "value")
    role, content = (
        next((turn[name] for name in names if turn.get(name) is not None), None)
        for names in (("role", "from"), ("content", "value"))
    )
    role = text_of(role)
    return {"role": role and role_of(role), "content": content_of(content)}


def user(text: str | None) -> Message:
    """Return a user's message."""
    return {"role": "user", "content": text}


def is_transcript(text: str) -> bool:
    """Return whether a text is a transcript such as HH-RLHF's."""
    return re.match(r"\s*Human:", text) is not None and "\n\nAssistant:" in text


def transcript_turns(transcript: str) -> list[Message]:
    """Return the turns of a transcript; one space after each speaker's colon is not part of the text."""
    _, *parts = _SPEAKER.split(transcript)
    spaced = zip(parts[::2], (text.removeprefix(" ") for text in parts[1::2]), strict=True)
    return _spoken(spaced, "Human")


def tagged_turns(text: str) -> list[Message]:
    """Return the turns of a prompt whose later turns follow HelpSteer's tags."""
    first, *parts = _TAG.split(text)
    return _spoken([("User", first), *zip(parts[::2], parts[1::2], strict=True)], "User")


def _spoken(turns: Iterable[tuple[str, str]], asker: str) -> list[Message]:
    return [{"role": "user" if speaker == asker else "assistant", "content": text} for speaker, text in turns]
