"""Where a reply begins and ends: found in the text by rendering, in the tokens by their offsets."""

import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

from zephyr_core.errors import first_line
from zephyr_core.template import Chat, Message

CHECK_EVERY = 200  # one row in this many is compared with the tokenizer's apply_chat_template
_SHOWN = 30  # characters of a reply in a message


class RowFault(Exception):
    """A row whose tokens cannot be trained on: the name of the fault, and what a library said of it, if anything."""

    def __init__(self, name: str, detail: str = "") -> None:
        super().__init__(name)
        self.detail = detail


class Span(NamedTuple):
    """A reply with its EOS. Units: characters of a rendered text, or tokens of its encoding."""

    start: int
    stop: int


@dataclass(frozen=True)
class Rendered:
    """The text of a dialogue and the spans of its replies, or the name of its fault."""

    text: str
    spans: tuple[Span, ...] = ()
    fault: str | None = None
    detail: str = ""  # of the fault


@dataclass(frozen=True)
class _Refusal:
    """What a template said instead of a text."""

    words: str


_Text = str | _Refusal


def render_spans(chat: Chat, dialogues: Sequence[Sequence[Message]], turns: Sequence[Sequence[int]]) -> list[Rendered]:
    """Return the text of each dialogue with the spans of the replies whose message numbers are in `turns`.

    A reply begins where the text of the messages before it ends, generation prompt included: that text is what the
    model will see. It ends with its EOS in the text of the messages up to and including it. The whole text must start
    with both of these texts. Each message's text must stand in its part of it, white space around it aside, and one EOS
    only in a reply's.

    The Zephyr template writes each message independently, so its spans are computed from lengths and then checked in
    the text, instead of rendering every prefix of every dialogue (a test compares the two).
    """
    whole = _texts(chat, dialogues, generation=False)
    counted = [
        _counted_spans(text, dialogue, numbers, chat.eos) if chat.is_zephyr and isinstance(text, str) else None
        for text, dialogue, numbers in zip(whole, dialogues, turns, strict=True)
    ]
    rest = [number for number, each in enumerate(counted) if each is None]
    looked_for = iter(
        _rendered_spans(chat, [dialogues[n] for n in rest], [turns[n] for n in rest], [whole[n] for n in rest])
    )
    return [each or next(looked_for) for each in counted]


def _counted_spans(text: str, dialogue: Sequence[Message], turns: Sequence[int], eos: str) -> Rendered | None:
    """Return the spans in a text of the Zephyr template, or None if the text does not match them."""
    spans, stop = [], 0
    for message in dialogue:
        start = stop + len(f"<|{message['role']}|>\n")
        spans.append(Span(start, start + len(message["content"]) + len(eos)))
        stop = spans[-1].stop + len("\n")
    replies = [spans[turn] for turn in turns]
    right = all(text.endswith("<|assistant|>\n", 0, start) and text.endswith(eos, start, end) for start, end in replies)
    return Rendered(text, tuple(replies)) if right and stop == len(text) else None


def _rendered_spans(
    chat: Chat, dialogues: Sequence[Sequence[Message]], turns: Sequence[Sequence[int]], texts: Sequence[_Text]
) -> list[Rendered]:
    cuts = [(dialogue, turn) for dialogue, numbers in zip(dialogues, turns, strict=True) for turn in numbers]
    before = iter(_texts(chat, [dialogue[:turn] for dialogue, turn in cuts], generation=True))
    inner = [dialogue[: turn + 1] for dialogue, turn in cuts if turn + 1 < len(dialogue)]
    behind = iter(_texts(chat, inner, generation=False))
    rendered = []
    for text, dialogue, numbers in zip(texts, dialogues, turns, strict=True):
        heads = [next(before) for _ in numbers]
        ends = [next(behind) if turn + 1 < len(dialogue) else text for turn in numbers]
        spans = _spans(text, heads, ends, chat.eos)
        rendered.append(spans if spans.fault else _with_texts(spans, dialogue, numbers, chat.eos))
    return rendered


def _with_texts(rendered: Rendered, dialogue: Sequence[Message], turns: Sequence[int], eos: str) -> Rendered:
    """Return what was rendered, or its fault if the text of a message is not in it, or a reply has two EOS."""
    replies = dict(zip(turns, rendered.spans, strict=True))
    place = 0
    for number, message in enumerate(dialogue):
        span, words = replies.get(number), message["content"].strip()
        place = rendered.text.find(words, place if span is None else max(place, span.start))
        if place < 0 or (span is not None and place + len(words) > span.stop):
            detail = f"that of turn {number}, {words[:_SHOWN]!r}"
            return Rendered(rendered.text, fault="text-not-rendered", detail=detail)
        if span is not None and rendered.text.count(eos, span.start, span.stop) > 1:
            return Rendered(
                rendered.text, fault="two-eos", detail=repr(rendered.text[span.start : span.stop][-_SHOWN:])
            )
        place += len(words)
    return rendered


def _spans(text: _Text, heads: list[_Text], ends: list[_Text], eos: str) -> Rendered:
    if isinstance(text, _Refusal):
        return Rendered("", fault="template-refuses", detail=text.words)
    spans = []
    for head, end in zip(heads, ends, strict=True):
        for part in (head, end):
            if isinstance(part, _Refusal):
                return Rendered(text, fault="template-refuses", detail=f"of a part of the dialogue: {part.words}")
        assert isinstance(head, str) and isinstance(end, str)
        if not text.startswith(head):
            return Rendered(text, fault="prompt-not-prefix")
        if not (text.startswith(end) and end.startswith(head)):
            return Rendered(text, fault="inner-reply-differs", detail=_difference(text, end, len(head)))
        last = end.rfind(eos, len(head))
        if last < 0:
            return Rendered(text, fault="eos-not-in-loss")
        spans.append(Span(len(head), last + len(eos)))
    return Rendered(text, tuple(spans))


def _difference(inside: str, last: str, start: int) -> str:
    """Return how a reply goes on where it differs, inside the dialogue and as the last one."""
    pairs = enumerate(zip(inside[start:], last[start:], strict=False), start)
    first = next((place for place, (one, other) in pairs if one != other), start)
    return f"{inside[first : first + _SHOWN]!r} inside, {last[first : first + _SHOWN]!r} at the end"


def _texts(chat: Chat, dialogues: Sequence[Sequence[Message]], *, generation: bool) -> list[_Text]:
    """Return the text of each dialogue, or the template's refusal of it."""
    try:
        return [*chat.render_all(dialogues, generation=generation)]
    except MemoryError:
        raise
    except Exception:  # whatever a foreign template does to these rows; rare: find out which
        return [_text(chat, dialogue, generation=generation) for dialogue in dialogues]


def _text(chat: Chat, dialogue: Sequence[Message], *, generation: bool) -> _Text:
    try:
        return chat.render(dialogue, generation=generation)
    except MemoryError:
        raise
    except Exception as fault:
        return _Refusal(template_words(fault))


def template_words(fault: Exception) -> str:
    """Return what a template's error says, and the line of the template that it happened in."""
    frames = traceback.extract_tb(fault.__traceback__)
    line = next((frame.lineno for frame in reversed(frames) if frame.filename == "<template>"), None)
    line = getattr(fault, "lineno", None) or line
    return first_line(fault) + (f" (line {line} of the template)" if line else "")


def token_spans(chat: Chat, encoding: Any, spans: Sequence[Span]) -> list[Span]:
    """Return the tokens of each reply, from its first to its EOS.

    If no token of the whole text crosses the start of the reply, the tokens before it are those of the prompt alone:
    byte pairs are merged in a fixed order, and none of the merges crossed that point.

    Raises:
        RowFault: prompt-not-prefix (a token crosses a reply's start) or eos-not-in-loss (a reply does not end in EOS).
    """
    eos = chat.tokenizer.eos_token_id
    return [Span(_first_token(encoding, start), _eos_token(encoding, stop, eos) + 1) for start, stop in spans]


def _first_token(encoding: Any, start: int) -> int:
    token = encoding.char_to_token(start)
    if token is None or encoding.token_to_chars(token)[0] != start:
        raise RowFault("prompt-not-prefix")
    return int(token)


def _eos_token(encoding: Any, stop: int, eos: int) -> int:
    token = encoding.char_to_token(stop - 1)
    if token is None or encoding.ids[token] != eos:
        raise RowFault("eos-not-in-loss")
    return int(token)


def check_bos(ids: Sequence[int], bos: int | None, eos: int) -> None:
    """Refuse a row with a BOS that is neither its first token nor behind an EOS, where a template begins a turn.

    Raises:
        RowFault: double-bos.
    """
    if bos is None or bos == eos or bos not in ids[1:]:
        return
    if any(token == bos and before != eos for before, token in pairwise(ids)):
        raise RowFault("double-bos")


def check_inference(chat: Chat, messages: Sequence[Message], ids: Sequence[int], start: int, turn: int) -> None:
    """Compare a row with what a user of the saved tokenizer gets: the whole dialogue, and the prompt of one reply.

    Args:
        chat: renders and tokenizes.
        messages: the row's messages, cleaned.
        ids: the row's token ids, before any cut.
        start: index of the reply's first token.
        turn: index of the reply's message.

    Raises:
        RowFault: inference-differs or prompt-not-prefix.
    """

    def template_ids(part: Sequence[Message], *, generation: bool) -> list[int]:
        options = {"tokenize": True, "return_dict": False, "tokenizer_kwargs": {"verbose": False}}
        part_ids: list[int] = chat.apply(list(part), generation=generation, **options)
        return part_ids

    if template_ids(messages, generation=False) != list(ids):
        raise RowFault("inference-differs")
    if turn and template_ids(messages[:turn], generation=True) != list(ids[:start]):
        raise RowFault("prompt-not-prefix")
