"""Pairs and dialogues in the column shapes that people publish."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

DRAWING = "how can i develop a habit of drawing daily"
DRAWING_ID = "086b3e24f29b8956a01059f79c56db35d118a06fb6b844b095737d042795cd43"  # facts §2
PAIRS = [
    (DRAWING, "Draw at noon.", "Do not."),
    ("Which plum?", "The ripe one.\n", "I refuse. 你好"),
    ("Hi", "Hello!", ""),
]


def turn(role: str, text: str | None) -> dict[str, Any]:
    return {"role": role, "content": text}


def trainer_pair(prompt: str, chosen: str, rejected: str) -> dict[str, Any]:
    answers = ([turn("assistant", text)] for text in (chosen, rejected))
    return dict(zip(("prompt", "chosen", "rejected"), ([turn("user", prompt)], *answers), strict=True))


def published_pair(prompt: str, chosen: str, rejected: str) -> dict[str, Any]:
    whole = ([turn("user", prompt), turn("assistant", text)] for text in (chosen, rejected))
    return {"prompt": prompt, **dict(zip(("chosen", "rejected"), whole, strict=True)), "score_chosen": 4.5}


def text_pair(prompt: str, chosen: str, rejected: str) -> dict[str, Any]:
    return {"prompt": prompt, "chosen": chosen, "rejected": rejected, "metadata": {"n": 1}}


def from_value_pair(prompt: str, chosen: str, rejected: str) -> dict[str, Any]:
    sides = {name: {"from": "gpt", "value": text} for name, text in (("chosen", chosen), ("rejected", rejected))}
    return {"conversations": [{"from": "human", "value": prompt}], **sides}


def write_lines(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def write_parquet(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path
