"""Plain English: no word of the list in help, errors, hints, notes, docstrings and docs."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

# What to write instead: again; reported, shown, says; depends on; next to, besides; repair; is not a.
LIST = (r"anew", r"told", r"tells", r"(?:hangs?|hung|hanging) on", r"beside", r"mend(?:s|ed|ing)?", r"nobody's")
PARTICIPLES = {"told", "found", "made", "known", "shown", "beside", "anew", "said", "asked", "built", "seen"}
KEYS_ON_DISK = {("records.py", "known"), ("plan.py", "known")}  # plan.json: whether the rows are counted or assumed
WORDS = re.compile(rf"\b(?:{'|'.join(LIST)}|(?<!there )is no(?! longer))\b", re.IGNORECASE)


def texts_of_code(file: Path) -> Iterator[tuple[int, str]]:
    """Return the texts in a module, docstrings among them, with their lines."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def documents() -> list[Path]:
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def found(name: str, line: int, text: str) -> list[str]:
    return [f"{name}:{line}: {hit[0]}" for hit in WORDS.finditer(text)]


def names_of_code(file: Path) -> Iterator[tuple[int, str]]:
    """Return what a module binds: variables, parameters and functions, with their lines."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.FunctionDef):
            yield node.lineno, node.name


def test_names_are_nouns() -> None:
    hits = [
        f"{file.relative_to(ROOT)}:{line}: {name}"
        for file in sorted(ROOT.glob("zephyr_*/**/*.py"))
        for line, name in names_of_code(file)
        if name.strip("_") in PARTICIPLES and (file.name, name) not in KEYS_ON_DISK
    ]
    assert not hits, "\n".join(hits)


def test_in_the_texts_of_the_code() -> None:
    code = [ROOT / "cli.py", *sorted(ROOT.glob("zephyr_*/**/*.py"))]
    assert len(code) > 150
    hits = [
        hit
        for file in code
        for line, text in texts_of_code(file)
        for hit in found(str(file.relative_to(ROOT)), line, text)
    ]
    assert not hits, "\n".join(hits)


@pytest.mark.parametrize("document", documents(), ids=lambda path: path.name)
def test_in_the_docs(document: Path) -> None:
    lines = enumerate(document.read_text(encoding="utf-8").splitlines(), 1)
    name = str(document.relative_to(ROOT))
    hits = [hit for line, text in lines for hit in found(name, line, text)]
    assert not hits, "\n".join(hits)


@pytest.mark.parametrize(
    ("text", "hits"),
    [("it is made anew", 1), ("what is told hangs on it", 2), ("there is no such file", 0), ("it is no dataset", 1)],
)
def test_the_list_finds_its_words(text: str, hits: int) -> None:
    assert len(found("x.md", 1, text)) == hits
