"""A row as the tokens that training makes of it: what the template writes, what counts for the loss, each EOS."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from rich.text import Text

from zephyr_core import hub
from zephyr_core.errors import DataError, EnvironmentLack, UsageError, first_line
from zephyr_core.recipe import Recipe
from zephyr_core.template import Chat, Message
from zephyr_look.row_form import DIALOGUES, PAIRS, RATED, trained
from zephyr_look.safe_text import visible
from zephyr_look.screen import Screen
from zephyr_train import models
from zephyr_train.preflight.machine import INSTALL
from zephyr_train.preflight.row_checks import limits_of, tokenizer_of
from zephyr_train.request import TrainRequest
from zephyr_train.tokenizing.packing import IGNORED
from zephyr_train.tokenizing.token_rows import Limits
from zephyr_train.tokenizing.tokens import Tokenized, tokenize_rows

STEPS = {DIALOGUES: "sft", PAIRS: "dpo"}
TEMPLATE, WORDS, LOSS = "template", "text", "loss"
_STYLES = {TEMPLATE: "dim cyan", WORDS: "", LOSS: "black on green"}
_EOS_STYLE = "bold reverse"
_MARKS = {TEMPLATE: "⟨⟩", WORDS: ("", ""), LOSS: "⟦⟧"}
_OF_SETS = ("all-overlong", "no-rows")  # faults that one row by itself always has
_LEAST = 4  # characters of a cut text that are recognised
LEGEND = "⟨template⟩ text ⟦counts for the loss⟧ ‹EOS›"


@dataclass(frozen=True)
class Token:
    """A token of a row: its id, the text that it stands for, what it is, and whether it ends a turn."""

    number: int
    text: str  # empty if a later token has it: several can be bytes of one character
    part: str  # template | text | loss
    is_eos: bool


@dataclass(frozen=True)
class TokenRow:
    """The token rows of a row by name, counts, and what was done to it or why it is left out."""

    sides: dict[str, list[Token]]  # dialogue; or prompt, chosen, rejected
    counts: dict[str, int]
    remarks: list[str]


class TokenView:
    """A model's chat format and the limits of a recipe's steps."""

    def __init__(self, model: str, recipe: Recipe, template: str | None = None) -> None:
        flags = {"recipe": recipe, "template": template}
        options = {kind: TrainRequest.typed(step, flags).options for kind, step in STEPS.items()}
        self._limits: dict[str, Limits] = {kind: limits_of(each) for kind, each in options.items()}
        self._templates = {kind: each.template for kind, each in options.items()}
        self._folder, self._chats = _folder(model), dict[str, Chat]()

    def chat(self, kind: str) -> Chat:
        """Return the tokenizer with the template that rows of a kind are trained with.

        Raises:
            DataError: it cannot be loaded.
            OptionError: it has no such template, no EOS token, or no offsets.
        """
        if kind not in self._chats:
            self._chats[kind] = Chat(_tokenizer(self._folder), self._templates[kind])
        return self._chats[kind]

    def tokens(self, row: dict[str, Any]) -> TokenRow:
        """Return the tokens of a row of row_form.ROW, with the ids and the loss mask of the trainer.

        Raises:
            UsageError: rated answers are not trained on.
        """
        kind = row["kind"]
        if kind == RATED:
            raise UsageError("rated answers are not trained on", "make pairs of them: `zephyr data binarize`")
        if row["unfit"]:
            return TokenRow({}, {}, [f"it cannot be trained on: {row['unfit']}"])
        keyed = trained(row)
        tokenized = tokenize_rows(self.chat(kind), kind, [[keyed]], self._limits[kind])
        faults = [fault for fault in tokenized.faults if fault.name not in _OF_SETS]
        remarks = [*map(_change, tokenized.changed.to_pylist()), *(f"{each.name}: {each.message}" for each in faults)]
        if not tokenized.table.num_rows:
            return TokenRow({}, tokenized.counts, remarks or ["nothing of it is trained on"])
        side_tokens = self._dialogue if kind == DIALOGUES else self._pair
        return TokenRow(side_tokens(keyed.content, tokenized), tokenized.counts, remarks)

    def _dialogue(self, content: Sequence[Sequence[Message]], tokenized: Tokenized) -> dict[str, list[Token]]:
        [ids], [labels] = (tokenized.table[name].to_pylist() for name in ("input_ids", "labels"))
        counts = [label != IGNORED for label in labels]
        return {"dialogue": _tokens(self.chat(DIALOGUES), ids, counts, content[0])}

    def _pair(self, content: Sequence[Sequence[Message]], tokenized: Tokenized) -> dict[str, list[Token]]:
        prompt, chosen, rejected = (
            tokenized.table[f"{name}_ids"].to_pylist()[0] for name in ("prompt", "chosen", "rejected")
        )
        chat = self.chat(PAIRS)
        sides = {"prompt": _tokens(chat, prompt, [False] * len(prompt), content[0])}
        for name, ids in (("chosen", chosen), ("rejected", rejected)):
            sides[name] = _tokens(chat, ids, [True] * len(ids), ())
        return sides


def token_text(row: TokenRow, screen: Screen) -> str:
    """Return the tokens of a row, marked by colour or else by brackets, with counts and remarks."""
    parts = []
    for name, tokens in row.sides.items():
        counted, ends = sum(token.part == LOSS for token in tokens), sum(token.is_eos for token in tokens)
        title = f"{name}  {len(tokens):,} tokens, {counted:,} for the loss, {ends:,} EOS"
        parts += [screen.lines(Text(title, style="bold"), 2), screen.lines(_marked(tokens, screen), 4)]
    parts += [screen.lines(Text(f"note: {visible(remark)}", style="yellow"), 2) for remark in row.remarks]
    return "\n".join(parts)


def legend(screen: Screen) -> str:
    """Return how tokens are marked."""
    if not screen.colour:
        return f"tokens: {LEGEND}"
    text = Text("tokens: ")
    for part in (TEMPLATE, WORDS, LOSS):
        text.append("counts for the loss" if part == LOSS else part, style=_STYLES[part]).append("  ")
    return screen.lines(text.append("EOS", style=_EOS_STYLE))


def _marked(tokens: Sequence[Token], screen: Screen) -> Text:
    text = Text()
    for (part, is_eos), run in groupby(tokens, lambda token: (token.part, token.is_eos)):
        words = visible("".join(token.text for token in run)).replace("\n", "↵\n")
        if screen.colour:
            text.append(words, style=f"{_STYLES[part]} {_EOS_STYLE if is_eos else ''}".strip())
        else:
            start, end = _MARKS[part]
            text.append(f"{start}‹{words}›{end}" if is_eos else f"{start}{words}{end}")
    return text


def _tokens(chat: Chat, ids: Sequence[int], counts: Sequence[bool], messages: Sequence[Message]) -> list[Token]:
    """Return the tokens; those of no message's text are the template's."""
    texts = list(_texts(chat.tokenizer, ids))
    contents = [message["content"] for message in chat.clean(messages)[0]]
    inside = _inside("".join(texts), contents, chat.tokenizer.bos_token or "")
    tokens, place = [], 0
    for number, text, is_counted in zip(ids, texts, counts, strict=True):
        is_words = any(inside[place : place + max(1, len(text))])
        part = LOSS if is_counted else WORDS if is_words else TEMPLATE
        tokens.append(Token(number, text, part, number == chat.tokenizer.eos_token_id))
        place += len(text)
    return tokens


def _texts(tokenizer: Any, ids: Sequence[int]) -> Iterator[str]:
    """Yield the text that each token adds; that of a character in several tokens comes with the last of them."""
    from tokenizers.decoders import DecodeStream

    stream = DecodeStream(skip_special_tokens=False)
    for number in ids:
        yield stream.step(tokenizer.backend_tokenizer, number) or ""


def _inside(text: str, contents: Sequence[str], bos: str) -> list[bool]:
    """Return which characters of a rendered text are those of messages; it may be cut at its start or its end."""
    inside, place = [False] * len(text), len(bos) if text.startswith(bos) else 0
    for content in contents:
        start, stop = _span(text, content, place)
        inside[start:stop] = [True] * (stop - start)
        place = stop
    return inside


def _span(text: str, content: str, place: int) -> tuple[int, int]:
    """Return where a message's text is, from `place` on; if there is only an end of it there, or a start at the end."""
    for whole in (content, content.strip()):
        start = text.find(whole, place)
        if start >= 0:
            return start, start + len(whole)
    cut = next((cut for cut in range(1, len(content) - _LEAST + 1) if text.startswith(content[cut:], place)), None)
    if cut is not None:
        return place, place + len(content) - cut
    length = next((length for length in range(len(content), _LEAST - 1, -1) if text.endswith(content[:length])), 0)
    return (max(place, len(text) - length), len(text)) if length else (place, place)


def _change(change: dict[str, Any]) -> str:
    lengths = f": {change['before_tokens']} → {change['after_tokens']} tokens" if change["before_tokens"] else ""
    return f"{change['what']}{lengths}"


def _folder(name: str) -> Path:
    """Return the folder of a model's configs and tokenizer.

    Raises:
        ModelUnreachable: there is none, or it cannot be fetched.
        DataError: it cannot be used.
    """
    local = models.local_model(name)
    if local is None and not hub.is_hub_id(name):
        hint = "give a model folder or a finished run"
        raise UsageError(f"{name}: not a folder, and not a model id on the Hub", hint)
    folder = local.folder if local else _fetched(name)
    assert folder is not None  # noqa: S101  a local model has one
    fault = next(models.config_faults(folder), None)
    if fault:
        raise DataError(str(fault), fault.hint)
    return folder


def _tokenizer(folder: Path) -> Any:
    try:
        return tokenizer_of(folder)
    except ImportError as fault:
        raise EnvironmentLack(f"tokens need training's packages: {first_line(fault)}", f"`{INSTALL}`") from None
    except Exception as fault:  # whatever transformers raises for a damaged file
        message = f"{folder} has no tokenizer that can be loaded: {first_line(fault)}"
        raise DataError(message, "copy the tokenizer's files next to the config") from None


def _fetched(name: str) -> Path:
    """Return the folder in the Hub's cache, with everything but weights."""

    def choose(names: list[str]) -> list[str]:
        return [models.CONFIG, *(each for each in names if each.endswith(models.FILES) and each != models.CONFIG)]

    snapshot = hub.fetch(name, "model", "main", choose, instead="give a local folder with --tokens")
    return snapshot.files[models.CONFIG].parent
