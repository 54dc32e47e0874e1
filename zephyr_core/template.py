"""The one place that renders a chat: training text is made by the template in the saved tokenizer.

The text of a turn is escaped before it is rendered, because otherwise it could do what only the template may do: end
a turn, or begin one.
"""

import datetime
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

from zephyr_core.errors import OptionError
from zephyr_core.faults import Fault, OptionFault
from zephyr_core.keys import json_key, text_key

Message = dict[str, str]
# Roles as rows spell them, in any letter case → as templates know them (docs/dataset.md).
ROLES = {
    **dict.fromkeys(("system", "developer"), "system"),
    **dict.fromkeys(("user", "human", "prompter"), "user"),
    **dict.fromkeys(("assistant", "ai", "bard", "bot", "chatgpt", "gpt", "model"), "assistant"),
}

# One line for a turn's head, one for its text. The markers around a reply and its EOS add no bytes; they let
# transformers and TRL say which tokens are the assistant's.
ZEPHYR_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>\n' }}"
    "{% if message['role'] == 'assistant' %}"
    "{% generation %}{{ message['content'] + eos_token }}{% endgeneration %}"
    "{% else %}"
    "{{ message['content'] + eos_token }}"
    "{% endif %}"
    "{{ '\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}"
)

# A template that writes the day's date writes this one, since tokens must not depend on the day: the date that the
# templates of Llama 3 fall back on.
DAY = datetime.date(2024, 7, 26)

# To the tokenizer a role marker is plain text. At the beginning of a line only the escape distinguishes it from a new
# turn of the template; inside a line it cannot be mistaken for one.
_ROLE_MARKER = re.compile(r"^<(?=\|(?:system|user|assistant)\|>)", re.MULTILINE)
_LEADING_BLANK = re.compile(r"\A\s+")  # it would merge with the template's line break


@dataclass(frozen=True)
class Cleaned:
    """What `Chat.clean` did to one dialogue: literals escaped, replies stripped of leading white space."""

    escaped: int = 0
    stripped_turns: int = 0


class _Clock(datetime.datetime):
    """A clock that has stopped."""

    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> Self:
        """Return the beginning of DAY."""
        return cls(DAY.year, DAY.month, DAY.day, tzinfo=tz)


@contextmanager
def _on_the_day(tokenizer: Any) -> Iterator[None]:
    """Let templates read DAY, by the clock of the module that renders them: the tokenizer has no option for it."""
    names = type(tokenizer).apply_chat_template.__globals__["render_jinja_template"].__globals__
    clock, names["datetime"] = names["datetime"], _Clock
    try:
        yield
    finally:
        names["datetime"] = clock


def role_of(role: str) -> str:
    """Return a role as templates know it, or in lower case if they do not."""
    return ROLES.get(role.lower(), role.lower())


def chat_fault(tokenizer: Any, template: str) -> Fault | None:
    """Return why `tokenizer` cannot render and tokenize chats with that template, or None."""
    if template == "model" and not tokenizer.chat_template:
        return OptionFault(
            "no-template",
            "the model's tokenizer has no chat template",
            'write `template = "zephyr"` under [sft] and [dpo] of the recipe',
        )
    if template == "model" and isinstance(tokenizer.chat_template, dict) and "default" not in tokenizer.chat_template:
        names = ", ".join(tokenizer.chat_template)
        return OptionFault(
            "no-template",
            f"the model's tokenizer has chat templates of other names, and no default one: {names}",
            "copy the one to use to chat_template.jinja in the model's folder",
        )
    if tokenizer.eos_token is None:
        return Fault(
            "eos-not-in-loss",
            "the tokenizer has no EOS token, so no turn can end",
            "set `eos_token` in the model's tokenizer_config.json",
        )
    if not tokenizer.is_fast:
        return Fault(
            "no-fast-tokenizer",
            f"{type(tokenizer).__name__} is a slow tokenizer: it does not give the positions of its tokens in the text",
            "use a model whose folder has a tokenizer.json",
        )
    return None


class Chat:
    """A tokenizer with its template; `template` is "zephyr", or "model" for the one that it came with.

    The tokenizer is changed in place, so that saving it saves what training used: its chat template, and its pad
    token if it had none (EOS; harmless, since labels and masks are made here and never read from the pad token).

    Raises:
        OptionError: the tokenizer has no template, no EOS token, or no offsets.
    """

    def __init__(self, tokenizer: Any, template: str = "zephyr") -> None:
        if fault := chat_fault(tokenizer, template):
            raise OptionError(str(fault), fault.hint)
        if template == "zephyr":
            tokenizer.chat_template = ZEPHYR_TEMPLATE
        self.pad_added = tokenizer.pad_token is None
        if self.pad_added:
            tokenizer.pad_token = tokenizer.eos_token
        self.tokenizer = tokenizer
        self.template: str = tokenizer.get_chat_template()
        self.digest = text_key(self.template)
        self.is_zephyr = template == "zephyr"
        self._literals = _literal_pattern(tokenizer)

    @property
    def day(self) -> str | None:
        """Return the date that the template writes, whatever the day; None if it writes none."""
        return DAY.isoformat() if "strftime_now" in self.template else None

    @property
    def eos(self) -> str:
        """Return the text of the EOS token."""
        return str(self.tokenizer.eos_token)

    def record(self) -> dict[str, object]:
        """Return what a run records about its chat format."""
        pad = {"pad": self.tokenizer.pad_token, "pad_added": self.pad_added}
        digests = {"template_digest": self.digest, "tokenizer_digest": self.tokenizer_digest, "day": self.day}
        return {"template": self.template, "eos": self.eos, **pad, **digests}

    def render(self, messages: Sequence[Message], *, generation: bool) -> str:
        """Return the text of a dialogue; with `generation`, up to where the assistant begins to speak."""
        return self.render_all([messages], generation=generation)[0]

    def render_all(self, dialogues: Sequence[Sequence[Message]], *, generation: bool) -> list[str]:
        """Return the text of each dialogue.

        Raises:
            jinja2.TemplateError: the template refuses one of them.
        """
        if not dialogues:
            return []
        texts: list[str] = self.apply([list(messages) for messages in dialogues], generation=generation, tokenize=False)
        return texts

    def apply(self, messages: Any, *, generation: bool, **options: Any) -> Any:
        """Return what the tokenizer's `apply_chat_template` makes of messages on DAY, whatever the day."""
        with _on_the_day(self.tokenizer) if self.day else nullcontext():
            return self.tokenizer.apply_chat_template(messages, add_generation_prompt=generation, **options)

    def encode(self, texts: Sequence[str]) -> list[Any]:
        """Return the tokenizers.Encoding of each rendered text: no BOS is added, nothing cut or padded.

        Offsets count characters and cover every one of them.
        """
        encodings: list[Any] = self._exact.encode_batch(list(texts), add_special_tokens=False)
        return encodings

    def clean(self, messages: Sequence[Message]) -> tuple[list[Message], Cleaned]:
        """Return the messages without anything that only the template may say, and how much was changed.

        A literal special token (`</s>`) would become a real one, and a role marker at a line's beginning would read
        as a turn: both get a space after their first character. White space at the start of a reply would merge with
        the template's line break and move the end of the prompt, so it is removed.
        """
        cleaned: list[Message] = []
        escaped = stripped = 0
        for message in messages:
            content = message["content"]
            if message["role"] == "assistant":
                content, times = _LEADING_BLANK.subn("", content)
                stripped += times
            content, times = self._escape(content)
            escaped += times
            cleaned.append({"role": message["role"], "content": content})
        return cleaned, Cleaned(escaped, stripped)

    def _escape(self, text: str) -> tuple[str, int]:
        text, times = self._literals.subn(lambda match: f"{match[0][0]} {match[0][1:]}", text)
        if self.is_zephyr and "<|" in text:
            text, markers = _ROLE_MARKER.subn("< ", text)
            times += markers
        return text, times

    def possible_tokens(self) -> dict[str, int]:
        """Return token → number of those that a row can hold: of the special ones, EOS, pad and the template's."""
        special = {token.content for token in self.tokenizer.added_tokens_decoder.values() if token.special}
        special |= set(self.tokenizer.all_special_tokens)
        named = {token for token in special if token in self.template}
        named |= {self.eos, str(self.tokenizer.pad_token)}
        tokens: dict[str, int] = self.tokenizer.get_vocab()
        return {token: number for token, number in tokens.items() if token not in special or token in named}

    @cached_property
    def tokenizer_digest(self) -> str:
        """Return the hex sha256 of the tokenizer's definition, without the state that calls leave in it."""
        return json_key(self._definition)

    @cached_property
    def _definition(self) -> dict[str, Any]:
        definition: dict[str, Any] = json.loads(self.tokenizer.backend_tokenizer.to_str())
        return {**definition, "truncation": None, "padding": None}

    @cached_property
    def _exact(self) -> Any:
        """Return the tokenizer with untrimmed offsets: they include a token's leading space."""
        from tokenizers import Tokenizer

        parts = {name: _untrimmed(self._definition.get(name)) for name in ("pre_tokenizer", "post_processor")}
        exact = Tokenizer.from_str(json.dumps({**self._definition, **parts}))
        exact.encode_special_tokens = bool(self.tokenizer.split_special_tokens)
        return exact


def _literal_pattern(tokenizer: Any) -> re.Pattern[str]:
    """Return a pattern of the special tokens' texts. A single character cannot be escaped and is left out."""
    added = (token.content for token in tokenizer.added_tokens_decoder.values() if token.special)
    literals = {text for text in (*tokenizer.all_special_tokens, *added) if len(text) > 1}
    return re.compile("|".join(re.escape(text) for text in sorted(literals, key=lambda text: (-len(text), text))))


def _untrimmed(part: Any) -> Any:
    if isinstance(part, list):
        return [_untrimmed(inner) for inner in part]
    if isinstance(part, dict):
        return {key: False if key == "trim_offsets" else _untrimmed(value) for key, value in part.items()}
    return part
