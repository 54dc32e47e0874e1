"""Real dialogues for the frozen test of truecasing, and damage done to them by a seeded script."""

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks.corpus import SHARED
from zephyr_data.cleaning.language_stage import mark_language
from zephyr_data.schemas import DIALOGUES

SENTENCES = 8  # of an article that make one text of prose
WORD = re.compile(r"[^\W\d_]+")
_FENCED = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_BETWEEN_SENTENCES = re.compile(r"(?<=[.!?]) (?=[A-Z])")
# The end of a sentence and the capital after it. Neither a list's number nor an initial or a title ends one.
_START = re.compile(r"""(?P<token>[^\s"“”'’()\[\]*_]*)[.!?]["”’')*_]*\s+["“‘'(*_]*(?P<word>[A-Z][a-z]*\b)""")
_NO_END = re.compile(r"(?:\w|(?:mr|mrs|ms|dr|st|prof|gen|sr|jr|vs|no|vol|fig)|\W*)", re.IGNORECASE)
_LIST_NUMBER = re.compile(r"(?:^|\n)[ \t*#>-]*\d+\Z")
_TURN_START = re.compile(r"""\s*["“‘'(*_]*(?P<word>[A-Z][a-z]*\b)""")
_PRONOUN = re.compile(r"""(?:^|(?<=[\s("“]))(?P<word>I)(?=['’](?:m|ve|ll|d)\b|,? [a-z]{2})""")


@dataclass(frozen=True)
class Row:
    """A dialogue: its turns, the user's first, and where it stands."""

    file: str
    number: int
    turns: list[str]

    @property
    def is_held(self) -> bool:
        """Return whether it belongs to the half that nobody looks at while tuning; equal prompts stand on one side."""
        return hashlib.blake2b((self.turns[0] or self.turns[1]).encode(), digest_size=1).digest()[0] % 2 == 1


def rows() -> list[Row]:
    """Return the dialogues that the language stage takes for English, each first turn once."""
    found, seen = [], set[str]()
    for row in _all():
        key = row.turns[0] or row.turns[1]
        if key and key not in seen:
            seen.add(key)
            found.append(row)
    foreign = mark_language()(table_of([row.turns for row in found]))["dropped_by"].is_not_null()
    return [row for row, is_foreign in zip(found, foreign, strict=True) if not is_foreign]


def table_of(dialogues: list[list[str]]) -> pl.DataFrame:
    """Return dialogues as a stage reads them."""
    return pl.DataFrame([{"turns": turns} for turns in dialogues], schema=DIALOGUES)


def _all() -> Iterator[Row]:
    for name, turns_of in _SHAPES.items():
        for path in sorted(SHARED.glob(name)):
            for number, value in enumerate(_values(path)):
                for turns in turns_of(value):
                    yield Row(str(path.relative_to(SHARED)), number, turns)


def _values(path: Path) -> list[Any]:
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".json":
        return list(json.loads(text))
    lines = text.splitlines()
    return lines if path.suffix == ".txt" else [json.loads(line) for line in lines]


def _of_article(article: str) -> list[list[str]]:
    sentences = _BETWEEN_SENTENCES.split(article)
    places = [*range(0, len(sentences), SENTENCES), len(sentences)]
    return [["", " ".join(sentences[start:end])] for start, end in pairwise(places)]


def _of_tree(row: Any) -> list[list[str]]:
    """Return the first path of a conversation tree."""
    node, turns = row["prompt"], []
    while node is not None:
        turns.append(node["text"])
        node = next(iter(node["replies"]), None)
    return [turns]


_SHAPES: dict[str, Callable[[Any], list[list[str]]]] = {
    "ultrachat/ultrachat_*.jsonl": lambda row: [[message["content"] for message in row["messages"]]],
    "ultrachat/*_rawshape_*.jsonl": lambda row: [row["data"]],
    "conv/oasst*.jsonl": _of_tree,
    "mt_bench/question.jsonl": lambda row: [row["turns"][:1]],
    "alpaca_eval/reference*.jsonl": lambda row: [[row["instruction"], row["output"]]],
    "seeds/alpaca*.json": lambda row: [[f"{row['instruction']}\n{row['input']}".strip(), row["output"]]],
    "seeds/self_instruct*.jsonl": lambda row: [[row["instruction"]]],
    "ultrafeedback/uf_binarized*.jsonl": lambda row: [[row["prompt"], row["chosen"]]],
    "ultrafeedback/uf_sft*.jsonl": lambda row: [[row["instruction"], row["output"]]],
    "ultrafeedback/rawshape*.jsonl": lambda row: [[row["instruction"], row["completions"][0]["response"]]],
    "text/*.txt": _of_article,
}


# A damage is a place in the text whose letters are lowered.
Damage = Callable[[str, str], Iterator[tuple[int, int]]]


def sentence_starts(text: str, key: str) -> Iterator[tuple[int, int]]:
    """Yield every second word (by a draw) that begins with its only capital and follows the end of a sentence."""
    for match in _START.finditer(_without_code(text)):
        is_end = not _NO_END.fullmatch(match["token"]) and not _LIST_NUMBER.search(
            text[: match.start() + len(match["token"])]
        )
        if is_end and match["word"] != "I" and _is_drawn(f"{key} {match.start('word')}"):
            yield match.span("word")


def turn_starts(text: str, key: str) -> Iterator[tuple[int, int]]:
    """Yield the first word of a turn, where it begins with its only capital."""
    match = _TURN_START.match(text)
    if match and match["word"] != "I":
        yield match.span("word")


def whole_turns(text: str, key: str) -> Iterator[tuple[int, int]]:
    """Yield every word with a capital, code in fences apart."""
    for match in WORD.finditer(_without_code(text)):
        if match[0] != match[0].lower() and len(match[0].lower()) == len(match[0]):
            yield match.span()


def pronouns(text: str, key: str) -> Iterator[tuple[int, int]]:
    """Yield each I that reads as a pronoun: before a word in lower case, or 'm, 've, 'll, 'd."""
    return (match.span("word") for match in _PRONOUN.finditer(_without_code(text)))


def damaged(text: str, spans: list[tuple[int, int]]) -> str:
    """Return the text with those spans in lower case."""
    pieces, done = [], 0
    for start, end in spans:
        pieces += [text[done:start], text[start:end].lower()]
        done = end
    return "".join([*pieces, text[done:]])


def _without_code(text: str) -> str:
    return _FENCED.sub(lambda match: "\n" * len(match[0]), text)


def _is_drawn(key: str) -> bool:
    return hashlib.blake2b(key.encode(), digest_size=1).digest()[0] % 2 == 1
