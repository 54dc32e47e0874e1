"""Text that the thresholds of `zephyr_data.cleaning.language` never saw: real rows, and a machine's prose, by source.

Paragraphs and messages of the machine are drawn by their digest, so a machine gives the same ones each time.
"""

import ast
import gettext
import hashlib
import json
import re
import sysconfig
from collections.abc import Iterable, Iterator
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from benchmarks.corpus import SHARED

LOCALES, PARAGRAPHS = 12, 400  # texts drawn of each language's catalogues; of each other source
CATALOGUES = Path("/usr/share/locale")
DOCUMENTS = {
    "licence texts": "/usr/share/common-licenses/*",
    "release notes of git": "/usr/share/doc/git/RelNotes/*.txt",
    "manual of vim": "/usr/share/vim/vim*/doc/*.txt",
}
_BLANK = re.compile(r"\n\s*\n")


def shared_dialogues() -> Iterator[tuple[str, list[str]]]:
    """Yield (source, turns) of the shared rows, UltraChat's left out: the thresholds were set on them."""
    for path in sorted((SHARED / "multilingual").glob("*.jsonl")):
        yield from ((f"multilingual/{path.stem}", _turns(row)) for row in _rows(path))
    for folder in ("alpaca_eval", "seeds", "mt_bench", "conv", "prefs", "ultrafeedback"):
        for path in sorted((SHARED / folder).rglob("*.json*")):
            if "judg" not in str(path) and "annotations" not in str(path):
                yield from ((folder, _turns(row)) for row in _rows(path))
    for line in (SHARED / "text" / "wiki_demo.txt").read_text(encoding="utf-8").splitlines():
        yield from (("articles", [line[at : at + 500]]) for at in range(0, min(len(line), 20_000), 1_000))


def found_prose() -> Iterator[tuple[str, list[str]]]:
    """Yield (source, [text]) of prose that stands on this machine, where it does."""
    for folder in sorted(CATALOGUES.glob("*/LC_MESSAGES")):
        messages = (text for path in folder.glob("*.mo") for text in _messages(path))
        yield from (("message catalogues", [text]) for text in _drawn(messages, LOCALES))
    for name, pattern in DOCUMENTS.items():
        paths = sorted(Path("/").glob(pattern[1:]))
        texts = (part for path in paths for part in _paragraphs(path.read_text(encoding="utf-8", errors="ignore")))
        yield from ((name, [text]) for text in _drawn(texts, PARAGRAPHS))
    described = (part for package in distributions() for part in _paragraphs(str(package.metadata.get_payload())))
    yield from (("descriptions of packages", [text]) for text in _drawn(described, PARAGRAPHS))
    sources = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    yield from (("docstrings", [text]) for text in _drawn(_docstrings(sources), PARAGRAPHS))


def _rows(path: Path) -> list[Any]:
    text = path.read_text(encoding="utf-8")
    whole: list[Any] = json.loads(text) if text.startswith("[") else [json.loads(line) for line in text.splitlines()]
    return whole


def _turns(row: dict[str, Any]) -> list[str]:
    """Return the texts of a row of any of the shapes: what is asked, then what is answered."""
    names = ("query", "instruction", "prompt", "turns", "conversations", "instances", "output", "response", "chosen")
    names += ("choices", "text", "replies", "value", "content", "input", "completions")
    return [text for name in names if name in row for text in _texts(row[name])]


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value] if value.strip() else []
    if isinstance(value, dict):
        return _turns(value)
    return [text for item in value for text in _texts(item)] if isinstance(value, list) else []


def _messages(path: Path) -> Iterator[str]:
    with path.open("rb") as stream:
        try:
            catalogue = vars(gettext.GNUTranslations(stream))["_catalog"]
        except (OSError, ValueError, LookupError):  # a few have headers that Python cannot read
            return
    yield from (text for key, text in catalogue.items() if key and text != key and _is_prose(text))


def _is_prose(text: str) -> bool:
    letters = sum(letter.isalpha() for letter in text)
    least = 120 if text.isascii() or letters > 100 else 40  # scripts without spaces say more with fewer letters
    return len(text) >= least and letters >= 0.7 * len(text)


def _paragraphs(text: str) -> list[str]:
    return [part.strip() for part in _BLANK.split(text) if len(part.split()) >= 10 and _is_prose(part)]


def _docstrings(paths: Iterable[Path]) -> Iterator[str]:
    documented = ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, documented):
                yield from _paragraphs(ast.get_docstring(node) or "")


def _drawn(texts: Iterable[str], most: int) -> list[str]:
    return sorted(set(texts), key=lambda text: hashlib.sha256(text.encode()).digest())[:most]
