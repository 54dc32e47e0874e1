"""A JSON array in a .json file is read like JSON Lines: row N of the array is line N."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import dialogue
from tests.zephyr_data.conftest import Command
from tests.zephyr_data.rated import generic, same
from zephyr_core.errors import PartlyDone
from zephyr_data.errors import SourceError
from zephyr_data.sources.arrays import BrokenArray, rows_of

Make = Callable[..., dict[str, Any]]
Write = Callable[..., Path]
PAIRS = [generic(f'Prompt {number},\n[with] "quotes" and é', [2, 1]) for number in range(4)]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(rows=st.lists(VALUES, max_size=5), indent=st.sampled_from([None, 0, 2]), ascii_only=st.booleans())
def test_each_row_of_an_array_is_a_line(rows: list[Any], indent: int | None, ascii_only: bool) -> None:
    text = json.dumps(rows, indent=indent, ensure_ascii=ascii_only)
    lines = list(
        rows_of(b"\xef\xbb\xbf " + text.encode("utf-8", "surrogatepass" if ascii_only else "replace") + b"\r\n")
    )
    assert all(line.count(b"\n") == 1 and line.endswith(b"\n") for line in lines)
    assert len(lines) == len(rows) and (not ascii_only or [json.loads(line) for line in lines] == rows)


@pytest.mark.parametrize("indent", [None, 2])
def test_an_array_gives_what_its_rows_as_lines_give(
    indent: int | None, write: Write, binarize: Make, clean: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from functools import partial

    from zephyr_data.sources.blocks import read_blocks

    monkeypatch.setattr("zephyr_data.engine.inputs.read_blocks", partial(read_blocks, block_bytes=150))
    dialogues = [dialogue("What is a plum?", f"A fruit, number {number}.") for number in range(4)]
    for make, lines in ((binarize, PAIRS), (clean, dialogues)):
        name = "pairs" if make is binarize else "dialogues"
        array = write([json.dumps([json.loads(line) for line in lines], indent=indent)], f"{name}.json")
        assert same(
            make(array, out=f"of-{name}", workers=1 if indent else 2),
            make(write(lines, f"{name}.jsonl"), out=f"plain-{name}"),
        )
    kept = pl.read_parquet(tmp_path / "of-pairs" / "audit" / "kept.parquet")
    assert sorted(kept["line"]) == [1, 2, 3, 4]


def test_errors_and_stories_name_the_row(write: Write, command: Command, tmp_path: Path) -> None:
    rows = [
        PAIRS[0],
        "7",
        PAIRS[1],
        '{"prompt": "p",\n "prompt": "p", "responses": []}',
        '{"prompt": NaN, "responses": []}',
    ]
    path = write(["[", ",\n\n".join(rows), "]"], "x.json")
    path.write_bytes(path.read_bytes().replace(b"Prompt 1", b"Prompt \xff"))
    assert command("data", "binarize", path, "--out=out").code == 0
    dropped = pl.read_parquet(tmp_path / "out" / "audit" / "dropped.parquet").sort("line")
    assert dropped.select("line", "rule").rows() == [
        (2, "not-an-object"),
        (3, "not-utf8"),
        (4, "duplicate-key"),
        (5, "wrong-type"),
    ]
    assert '{"prompt": "p",  "prompt": "p", "responses": []}' in command("data", "why", "out", "x.json:4").out
    mixed = write([f"[{PAIRS[0]},\n{json.dumps({'prompt': 'p', 'chosen': 'a', 'rejected': 'b'})}]"], "mixed.json")
    assert command("data", "binarize", mixed, "--out=mixed").refuses(5, "mixed.json, line 2: the row holds")


BROKEN = {
    "cut": (lambda text: text[: text.rindex("responses")], "is broken at row 4 of its array: "),
    "cut between rows": (lambda text: text[: text.rindex(', {"prompt')], "is broken at row 4 of its array: the array does not end"),
    "no comma": (lambda text: text.replace('}, {"prompt', '} {"prompt', 1), "at row 2 of its array: no comma stands before it"),
    "more": (lambda text: f"{text} {{}}", "at row 5 of its array: the array has ended, but the file goes on"),
    "deep": (lambda text: text.replace(', {"prompt', ', {"x":' + "[" * 99_999, 1), "at row 2 of its array: "),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_what_can_be_read_of_a_broken_array_is_written(name: str, write: Write, binarize: Make, tmp_path: Path) -> None:
    damage, words = BROKEN[name]
    path = write([damage(f"[{', '.join(PAIRS)}]")], "x.json")
    with pytest.raises(PartlyDone, match=words):
        binarize(path)
    assert len(pl.read_parquet(tmp_path / "pairs" / "audit" / "kept.parquet")) == int(words.split("at row ")[1][0]) - 1


@pytest.mark.parametrize(
    ("text", "words"), [("[]", "hold no rows"), ("[}", "broken at row 1"), ("[", "broken at row 1")]
)
def test_an_array_without_a_row_is_an_error(text: str, words: str, write: Write, command: Command) -> None:
    assert command("data", "binarize", write([text], "x.json"), "--out=o").refuses(5, words)


def test_json_lines_may_have_that_suffix_too(write: Write, binarize: Make) -> None:
    assert same(binarize(write(PAIRS, "x.json"), out="a"), binarize(write(PAIRS, "x.jsonl"), out="b"))


def test_too_large_an_array_is_refused(write: Write, clean: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zephyr_data.sources.arrays.LARGEST", 20)
    with pytest.raises(SourceError, match=r"x\.json is an array of more than 0 MiB") as caught:
        clean(write([f"[{PAIRS[0]}]"], "x.json"))
    assert "jq -c '.[]'" in str(caught.value.hint)


def test_the_place_of_a_fault_is_counted_in_characters_of_the_file() -> None:
    with pytest.raises(BrokenArray, match=r"row 2 of its array: Expecting value at character 7 of the file"):
        list(rows_of('["é", x]'.encode()))
