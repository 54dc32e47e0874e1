"""Where a reply begins and ends: found in the text by rendering, in the tokens by their offsets."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from zephyr_core.template import Chat, Message

CHECK_EVERY = 200  # one row in this many is compared with the tokenizer's apply_chat_template


class RowFault(Exception):
    """A row whose tokens cannot be trained on; the exception's text is the name of the fault."""


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


def render_spans(chat: Chat, dialogues: Sequence[Sequence[Message]], turns: Sequence[Sequence[int]]) -> list[Rendered]:
    """Return the text of each dialogue with the spans of the replies whose message numbers are in `turns`.

    A reply begins where the text of the messages before it ends, generation prompt included: that text is what the
    model will see. It ends with its EOS in the text of the messages up to and including it. The whole text must start
    with both of these texts.

    The Zephyr template writes each message independently, so its spans are computed from lengths and then checked in
    the text, instead of rendering every prefix of every dialogue (a test compares the two).
    """
    whole = _texts(chat, dialogues, generation=False)
    counted = [
        _counted_spans(text, dialogue, numbers, chat.eos) if chat.is_zephyr and text is not None else None
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
    chat: Chat, dialogues: Sequence[Sequence[Message]], turns: Sequence[Sequence[int]], texts: Sequence[str | None]
) -> list[Rendered]:
    cuts = [(dialogue, turn) for dialogue, numbers in zip(dialogues, turns, strict=True) for turn in numbers]
    before = iter(_texts(chat, [dialogue[:turn] for dialogue, turn in cuts], generation=True))
    inner = [dialogue[: turn + 1] for dialogue, turn in cuts if turn + 1 < len(dialogue)]
    behind = iter(_texts(chat, inner, generation=False))
    rendered = []
    for text, dialogue, numbers in zip(texts, dialogues, turns, strict=True):
        heads = [next(before) for _ in numbers]
        ends = [next(behind) if turn + 1 < len(dialogue) else text for turn in numbers]
        rendered.append(_spans(text, heads, ends, chat.eos))
    return rendered


def _spans(text: str | None, heads: list[str | None], ends: list[str | None], eos: str) -> Rendered:
    if text is None:
        return Rendered("", fault="template-refuses")
    spans = []
    for head, end in zip(heads, ends, strict=True):
        if head is None or end is None or not (text.startswith(end) and end.startswith(head)):
            return Rendered(text, fault="prompt-not-prefix")
        last = end.rfind(eos, len(head))
        if last < 0:
            return Rendered(text, fault="eos-not-in-loss")
        spans.append(Span(len(head), last + len(eos)))
    return Rendered(text, tuple(spans))


def _texts(chat: Chat, dialogues: Sequence[Sequence[Message]], *, generation: bool) -> list[str | None]:
    """Return the text of each dialogue, None for one that the template refuses."""
    try:
        return [*chat.render_all(dialogues, generation=generation)]
    except MemoryError:
        raise
    except Exception:  # whatever a foreign template does to these rows; rare: find out which
        return [_text(chat, dialogue, generation=generation) for dialogue in dialogues]


def _text(chat: Chat, dialogue: Sequence[Message], *, generation: bool) -> str | None:
    try:
        return chat.render(dialogue, generation=generation)
    except MemoryError:
        raise
    except Exception:
        return None


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
    """Refuse a row with more than one BOS, or with a BOS that is not its first token.

    Raises:
        RowFault: double-bos.
    """
    if bos is not None and bos != eos and bos in ids[1:]:
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
        part_ids: list[int] = chat.tokenizer.apply_chat_template(
            list(part), add_generation_prompt=generation, **options
        )
        return part_ids

    if template_ids(messages, generation=False) != list(ids):
        raise RowFault("inference-differs")
    if turn and template_ids(messages[:turn], generation=True) != list(ids[:start]):
        raise RowFault("prompt-not-prefix")
