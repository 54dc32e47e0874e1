"""A small byte-level tokenizer, and dialogues and pairs as the reader gives them."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from zephyr_core.template import Chat
from zephyr_train.tokenizing.keyed_rows import batches_by_key
from zephyr_train.tokenizing.packing import packed_batches, packed_schema
from zephyr_train.tokenizing.token_rows import Limits
from zephyr_train.tokenizing.tokens import Tokenized, tokenize_rows

SPECIALS = ("<unk>", "<s>", "</s>")
SENTENCES = [
    "How do I boil an egg?\nPut it into hot water for six minutes.",
    "Thank you. You are welcome!\n\nAsk again, at any time.",
    "def cook(egg):\n    return water + 6\n  # two  spaces",
]
LINES = "def cook(egg):\n    return 6\n  x\n  y\n  z\n"  # teaches the pair of a line break and a space

MESSAGE = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))


def small_tokenizer(*, texts: list[str] | None = None, trim: bool = True) -> Any:
    inner = Tokenizer(models.BPE(unk_token=SPECIALS[0]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    inner.post_processor = processors.ByteLevel(trim_offsets=trim)
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=list(SPECIALS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    inner.train_from_iterator(texts or SENTENCES * 3, trainer)
    names = dict(zip(("unk_token", "bos_token", "eos_token"), SPECIALS, strict=True))
    return PreTrainedTokenizerFast(tokenizer_object=inner, clean_up_tokenization_spaces=False, **names)


def sentencepiece_tokenizer() -> Any:
    """As Mistral's, with a few pieces."""
    letters = "▁abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ<|>.,!?"
    merges = [("h", "o"), ("▁", "w"), ("▁w", "a"), ("t", "e"), ("te", "r"), ("▁wa", "ter"), ("|", ">"), ("<", "|")]
    pieces = [*SPECIALS, *(f"<0x{byte:02X}>" for byte in range(256)), *letters, *("".join(pair) for pair in merges)]
    names = dict(zip(("unk_token", "bos_token", "eos_token"), SPECIALS, strict=True))
    inner = sentencepiece_bpe(pieces, merges)
    return PreTrainedTokenizerFast(tokenizer_object=inner, clean_up_tokenization_spaces=False, **names)


def sentencepiece_bpe(pieces: list[str], merges: list[tuple[str, str]]) -> Tokenizer:
    """Spaces are ▁, one stands before each piece of text, unknown characters fall back to bytes."""
    inner = Tokenizer(
        models.BPE(
            {piece: at for at, piece in enumerate(pieces)},
            merges,
            unk_token=SPECIALS[0],
            byte_fallback=True,
            fuse_unk=True,
        )
    )
    inner.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    inner.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    inner.add_special_tokens(list(SPECIALS))
    return inner


def small_chat(template: str | None = None, **options: Any) -> Chat:
    """A chat in the Zephyr format, or in a model's own template."""
    tokenizer = small_tokenizer(**options)
    tokenizer.chat_template = template
    return Chat(tokenizer, "model" if template else "zephyr")


def special(text: str) -> AddedToken:
    return AddedToken(text, special=True)


def turns(*texts: str, system: str | None = None) -> list[dict[str, str]]:
    """User and assistant by turns."""
    head = [] if system is None else [{"role": "system", "content": system}]
    return head + [{"role": ("user", "assistant")[at % 2], "content": text} for at, text in enumerate(texts)]


def dialogue_table(*dialogues: list[dict[str, str]]) -> pa.Table:
    identities = [dialogue[0]["content"] for dialogue in dialogues]
    return pa.table({"prompt_id": identities, "messages": pa.array(dialogues, MESSAGE)})


def pair_table(*pairs: tuple[str, str, str]) -> pa.Table:
    columns = {
        "prompt": [turns(prompt) for prompt, _, _ in pairs],
        "chosen": [[{"role": "assistant", "content": chosen}] for _, chosen, _ in pairs],
        "rejected": [[{"role": "assistant", "content": rejected}] for _, _, rejected in pairs],
    }
    arrays = {name: pa.array(column, MESSAGE) for name, column in columns.items()}
    return pa.table({"prompt_id": pa.array([prompt for prompt, _, _ in pairs], pa.string()), **arrays})


@dataclass
class SmallSource:
    """What token sets need of a reader.Source."""

    kind: str
    tables: dict[str, pa.Table]
    digest: str = "00"
    name: str = "small"
    dropped: dict[str, int] = field(default_factory=dict)
    read: list[str] = field(default_factory=list)

    @property
    def files(self) -> dict[str, tuple[Path, ...]]:
        return dict.fromkeys(self.tables, ())

    def table(self, split: str) -> pa.Table:
        self.read.append(split)
        return self.tables[split]


def tokenize_dialogues(chat: Chat, table: pa.Table, limits: Limits) -> Tokenized:
    return tokenize_rows(chat, "dialogues", batches_by_key(table, "dialogues"), limits)


def tokenize_pairs(chat: Chat, table: pa.Table, limits: Limits) -> Tokenized:
    return tokenize_rows(chat, "pairs", batches_by_key(table, "pairs"), limits)


def packed_rows(table: pa.Table, max_length: int) -> tuple[pa.Table, dict[str, int]]:
    """Return the packed rows of a token table, and what packing counted."""
    batches, counts = packed_batches(table, max_length)
    return pa.Table.from_batches(list(batches), schema=packed_schema()), counts
