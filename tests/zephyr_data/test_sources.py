"""Kinds of file, shapes and faults: each has a clear outcome, none is a crash."""

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import zstandard

from tests.conftest import dialogue
from zephyr_core.errors import PartlyDone, UsageError
from zephyr_core.keys import row_key
from zephyr_core.manifest import read as read_manifest
from zephyr_data.errors import MixedShapes, SourceError
from zephyr_data.json_digests import list_keys
from zephyr_data.sources import blocks
from zephyr_data.sources.blocks import Block, read_blocks
from zephyr_data.sources.dialogue_turns import find_fault
from zephyr_data.sources.files import RawFile, kind_of, local_files
from zephyr_data.sources.parse import _read_fast, parse

Clean = Callable[..., dict[str, Any]]
Write = Callable[..., Path]
GOOD = dialogue("How do I boil an egg?", "Put it into boiling water for eight minutes.")


def raw_file(path: Path) -> RawFile:
    return RawFile("test", path.name, path, kind_of(path) or "plain")


def parsed(path: Path) -> pl.DataFrame:
    tables = [parse(item)[0] for item in read_blocks(raw_file(path)) if isinstance(item, Block)]
    return pl.concat(tables)


FAULTS = {
    '{"id": "1"}': "read/no-turns",
    '{"id": "1", "data": null}': "read/no-turns",
    '{"id": "1", "data": []}': "read/no-turns",
    '{"id": "1", "data": ["Hi"]}': "read/ends-with-user-turn",
    '{"id": "1", "data": ["Hi", ""]}': "read/empty-turn",
    '{"id": "1", "data": ["Hi", " \\n\\t"]}': "read/empty-turn",
    '{"id": "1", "data": ["Hi", "\\u200b"]}': "read/empty-turn",
    '{"id": "1", "data": ["\\ufeff\\u2060 \\u00ad", "Hello"]}': "read/empty-turn",
    '{"id": "1", "data": ["Hi", null]}': "read/null-turn",
    '{"id": "1", "data": ["Hi", 5]}': "read/wrong-type",
    '{"id": "1", "data": ["Hi", {"a": 1}]}': "read/wrong-type",
    '{"id": "1", "data": "Hi"}': "read/wrong-type",
    '{"id": "1", "data": ["Hi", "a\\u0000b"]}': "read/nul-in-text",
    '{"id": "1", "data": ["Hi", "\\ud83d"]}': "read/lone-surrogate",
    '{"id": "1", "data": ["Hi", "Hello"], "data": ["Bye", "Later"]}': "read/duplicate-key",
    '{"id": "1", "data": ["Hi", NaN]}': "read/wrong-type",
    '{"id": "1", "data": ["Hi"': "read/unreadable-line",
    '{"id": "1", "data": ["a"]} {"id": "2", "data": ["b"]}': "read/unreadable-line",
    "plain prose": "read/unreadable-line",
    "[1, 2]": "read/not-an-object",
    "null": "read/not-an-object",
    "[" * 5000: "read/unreadable-line",
}


@pytest.mark.parametrize(("line", "reason"), FAULTS.items())
def test_a_bad_line_is_a_recorded_drop_and_its_neighbours_stay(write: Write, line: str, reason: str) -> None:
    table = parsed(write([GOOD, line, GOOD]))
    assert table["dropped_by"].to_list() == [None, reason, None]
    assert table["line"].to_list() == [1, 2, 3]


def test_bytes_that_are_no_text(write: Write) -> None:
    table = parsed(write([GOOD, b'{"id": "1", "data": ["Hi", "\xff"]}', b'{"id": "1", "data": ["Hi\x00", "a"]}', GOOD]))
    assert table["dropped_by"].to_list() == [None, "read/not-utf8", "read/unreadable-line", None]


def messages(*pairs: tuple[str, str], key: str = "messages", role: str = "role", text: str = "content") -> str:
    return json.dumps({"id": "1", key: [{role: who, text: content} for who, content in pairs]})


@pytest.mark.parametrize(
    ("pairs", "reason"),
    [
        ([("user", "Hi"), ("assistant", "Hello")], None),
        ([("User", "Hi"), ("ASSISTANT", "Hello")], None),
        ([("assistant", "Hello"), ("user", "Hi")], "read/starts-with-assistant"),
        ([("user", "Hi"), ("user", "Hi?"), ("assistant", "Hello"), ("assistant", "x")], "read/two-user-turns-in-a-row"),
        ([("user", "Hi"), ("assistant", "a"), ("assistant", "b")], "read/two-assistant-turns-in-a-row"),
        ([("user", "Hi"), ("system", "Be kind"), ("assistant", "Hello")], "read/system-turn"),
        ([("system", "Be kind")], "read/no-turns"),
        ([("system", "Be\0kind"), ("user", "Hi"), ("assistant", "Hello")], "read/nul-in-text"),
        ([("user", "Hi"), ("tool", "x")], "read/tool-turn"),
        ([("user", "Hi"), ("referee", "x")], "read/unknown-role"),
        ([("assistant", "Hello")], "read/starts-with-assistant"),
        ([("assistant", " "), ("user", "Hi"), ("assistant", "Hello")], "read/empty-turn"),
        ([("assistant", "Hello"), ("assistant", "Hi")], "read/starts-with-assistant"),
        ([("user", "Hi"), ("assistant", "")], "read/empty-turn"),
        ([("user", "Hi"), ("assistant", "\u3164\ufe0f")], "read/empty-turn"),
        ([("user", "\u200b."), ("assistant", "❤\ufe0f")], None),
    ],
)
def test_faults_of_messages(write: Write, pairs: list[tuple[str, str]], reason: str | None) -> None:
    assert parsed(write([messages(*pairs)]))["dropped_by"].to_list() == [reason]


def test_shapes_agree_on_key_and_turns(write: Write) -> None:
    pairs = [("human", "Hi"), ("gpt", "Hello")]
    shapes = {
        "a.jsonl": dialogue("Hi", "Hello"),
        "b.jsonl": messages(("user", "Hi"), ("assistant", "Hello")),
        "c.jsonl": messages(*pairs, key="conversations", role="from", text="value"),
    }
    for name, line in shapes.items():
        table = parsed(write([line], name))
        assert table["turns"].to_list() == [["Hi", "Hello"]]
        assert table["row_key"].to_list() == [row_key(["Hi", "Hello"])]


def test_a_number_as_id_is_kept_as_text(write: Write) -> None:
    fast, slow = (
        write(['{"id": 7, "data": ["Hi", "a"]}'], "f.jsonl"),
        write(['{"id": 7, "data": ["Hi", "a"]}', "x"], "s.jsonl"),
    )
    assert parsed(fast)["id"].to_list() == ["7"]
    assert parsed(slow)["id"].to_list() == ["7", None]


@pytest.mark.parametrize("first", ["data", "messages"])
def test_mixed_shapes_are_refused_with_place_and_hint(write: Write, clean: Clean, first: str) -> None:
    lines = [GOOD, messages(("user", "Hi"), ("assistant", "Hello"))]
    path = write(lines if first == "data" else lines[::-1])
    with pytest.raises(MixedShapes, match=r"rows\.jsonl, line 2") as caught:
        clean(path)
    assert "split the file" in str(caught.value.hint)


def test_mixed_shapes_in_a_later_block_are_refused(write: Write, clean: Clean, monkeypatch: pytest.MonkeyPatch) -> None:
    many = [GOOD] * 50 + [messages(("user", "Hi"), ("assistant", "Hello"))] * 50
    path = write(many)
    monkeypatch.setattr("zephyr_data.engine.inputs.read_blocks", lambda file: read_blocks(file, block_bytes=1000))
    with pytest.raises(MixedShapes, match=r"from line \d+ on hold 'messages'|line 5\d"):
        clean(path)


def test_two_shapes_in_two_files_are_read(write: Write, clean: Clean) -> None:
    other = messages(("user", "Name a fruit with a stone."), ("assistant", "A plum is a fruit with a stone."))
    assert clean(write([GOOD], "a.jsonl"), write([other], "b.jsonl"))["counts"]["kept_rows"] == 2


def test_no_dialogue_column_names_what_was_found(write: Write, clean: Clean) -> None:
    with pytest.raises(SourceError, match=r"line 1: no dialogue column; found 'prompt', 'chosen'"):
        clean(write(['{"prompt": "a", "chosen": "b"}']))


@pytest.mark.parametrize("ending", [b"\r\n", b"\n"])
def test_bom_and_line_ends(tmp_path: Path, ending: bytes) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.encode() + ending + ending + GOOD.encode())  # a blank line, no last newline
    table = parsed(path)
    assert table["dropped_by"].to_list() == [None, None]
    assert table["line"].to_list() == [1, 3]


def test_utf16_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(GOOD.encode("utf-16"))
    with pytest.raises(SourceError, match="UTF-16"):
        parsed(path)


def test_a_very_long_line_is_read(write: Write) -> None:
    long = dialogue("Hi", "word " * 8_000_000)  # 40 MB
    assert parsed(write([GOOD, long, GOOD]))["dropped_by"].to_list() == [None, None, None]


def test_a_line_without_end_is_refused(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "LONGEST_LINE", 4096)
    path = write(["[" + "1," * 10_000])
    with pytest.raises(SourceError, match="a line of more than") as caught:
        list(read_blocks(raw_file(path), block_bytes=1024))
    assert "convert a JSON array" in str(caught.value.hint)


def packed(kind: str, data: bytes) -> bytes:
    return gzip.compress(data) if kind == "gz" else zstandard.compress(data)


@pytest.mark.parametrize("kind", ["gz", "zst"])
def test_compressed_files_of_several_members(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"x.jsonl.{kind}"
    path.write_bytes(packed(kind, GOOD.encode() + b"\n") * 3)
    assert parsed(path)["line"].to_list() == [1, 2, 3]


@pytest.mark.parametrize("kind", ["gz", "zst"])
def test_a_compressed_file_comes_in_blocks_of_the_size_asked_for(tmp_path: Path, kind: str) -> None:
    lines = [dialogue(os.urandom(200).hex(), os.urandom(200).hex()) for _ in range(3000)]
    path = tmp_path / f"x.jsonl.{kind}"
    path.write_bytes(packed(kind, "\n".join(lines).encode()))
    blocks = [item for item in read_blocks(raw_file(path), block_bytes=300_000) if isinstance(item, Block)]
    assert sum(block.rows for block in blocks) == 3000
    assert all(block.length + 1000 >= 300_000 for block in blocks[:-1])
    assert all(block.length < 600_000 for block in blocks)


@pytest.mark.parametrize("kind", ["gz", "zst"])
def test_a_file_cut_inside_a_block_is_partly_done(tmp_path: Path, clean: Clean, kind: str) -> None:
    lines = [
        dialogue(f"What is {os.urandom(40).hex()}?", f"It is a number: {os.urandom(40).hex()}.") for _ in range(2000)
    ]
    whole = packed(kind, "\n".join(lines).encode())
    path = tmp_path / f"x.jsonl.{kind}"
    path.write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(PartlyDone, match=r"ends inside a compressed block, after line \d+") as caught:
        clean(path)
    assert caught.value.exit_code == 3
    content = read_manifest(tmp_path / "out")
    assert 0 < content["counts"]["kept_rows"] < 2000
    assert content["inputs"][0]["fault"].startswith("ends inside a compressed block, after line ")
    with pytest.raises(PartlyDone, match="lacks the rest of"):  # asked again, it still lacks it
        clean(path)


def test_damaged_gzip_is_partly_done(tmp_path: Path, clean: Clean) -> None:
    lines = [
        dialogue(f"What is {os.urandom(40).hex()}?", f"It is a number: {os.urandom(40).hex()}.") for _ in range(2000)
    ]
    whole = bytearray(gzip.compress("\n".join(lines).encode()))
    whole[len(whole) // 2 : len(whole) // 2 + 64] = bytes(64)
    path = tmp_path / "x.jsonl.gz"
    path.write_bytes(whole)
    with pytest.raises(PartlyDone, match="is damaged"):
        clean(path)


def test_parquet_is_read_and_a_broken_one_named(tmp_path: Path, clean: Clean) -> None:
    turns = [["How do I boil an egg?", "Put it into boiling water for eight minutes."], ["Hi there", ""], None]
    path = tmp_path / "x.parquet"
    pl.DataFrame({"data": turns}, schema={"data": pl.List(pl.String)}).write_parquet(path)
    assert parsed(path)["dropped_by"].to_list() == [None, "read/empty-turn", "read/no-turns"]
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(SourceError, match=r"x\.parquet is damaged or cannot be read"):
        clean(path)


def test_parquet_with_messages_or_other_columns(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.parquet", tmp_path / "bad.parquet"
    pl.DataFrame(
        {"messages": [[{"content": "Hi", "role": "user"}, {"content": "Hello", "role": "assistant"}]]}
    ).write_parquet(good)
    pl.DataFrame({"text": ["Hi"]}).write_parquet(bad)
    assert parsed(good)["turns"].to_list() == [["Hi", "Hello"]]
    with pytest.raises(SourceError, match="no dialogue column; found 'text'"):
        parsed(bad)
    pl.DataFrame({"data": [[1, 2]]}).write_parquet(bad)
    assert parsed(bad)["dropped_by"].to_list() == ["read/wrong-type"], "as in JSON"


def test_folder_glob_and_file_name_the_same_rows(tmp_path: Path, write: Write) -> None:
    write([GOOD], "raw/a.jsonl")
    write([GOOD], "raw/b.jsonl")
    write([GOOD], "raw/.hidden/c.jsonl")
    write(["x"], "raw/notes.txt")
    folder, pattern = str(tmp_path / "raw"), str(tmp_path / "raw" / "*.jsonl")
    assert [file.name for file in local_files(folder).files] == ["a.jsonl", "b.jsonl"]
    assert [file.name for file in local_files(pattern).files] == ["a.jsonl", "b.jsonl"]
    assert [file.name for file in local_files(str(tmp_path / "raw" / "a.jsonl")).files] == ["a.jsonl"]


def test_what_is_not_there_or_not_readable_is_named(tmp_path: Path, write: Write, clean: Clean) -> None:
    with pytest.raises(UsageError, match="no raw file"):
        clean(tmp_path / "none.jsonl")
    with pytest.raises(SourceError, match="suffix"):
        clean(write(["[]"], "x.csv"))
    path = write([GOOD])
    with pytest.raises(UsageError, match="named twice"):
        clean(path, path)


def test_fast_and_slow_path_give_the_same_rows(write: Write) -> None:
    lines = [dialogue("Hi é 😀", f'Line\n{number}\t\\ " /', row_id=str(number)) for number in range(20)]
    fast, slow = parsed(write(lines, "f.jsonl")), parsed(write([*lines, "bad"], "s.jsonl"))
    assert _read_fast("\n".join([*lines, "bad"]).encode(), 21) is None
    assert fast.drop("file").equals(slow.head(20).drop("file"))


UNUSED = [
    '{"x": 1, "x": 2, "data": ["What is a plum?", "It is a fruit."]}',
    '{"x": NaN, "data": ["What is a pear?", "It is a fruit."]}',
    b'{"x": "\xff", "data": ["What is a fig?", "It is a fruit."]}',
    '{"x": "\\ud83d", "data": ["What is a date?", "It is a fruit."]}',
    '{"id": 12345678901234567890123, "data": ["What is a kiwi?", "It is a fruit."]}',
    '{"data": ["What is a lime?", 12345678901234567890123]}',
    '{"data": ["What is a nut?", "It is a fruit."], "y": ' + "[" * 300 + "]" * 300 + "}",
    ' {"data": ["What is a leek?", "It is a plant."]}',
]


@pytest.mark.parametrize("line", UNUSED)
def test_a_line_fares_the_same_whatever_stands_around_it(write: Write, line: str | bytes) -> None:
    columns = ("id", "turns", "dropped_by", "row_key", "matched")
    alone = parsed(write([line], "alone.jsonl")).select(columns)
    among_good = parsed(write([GOOD, line], "good.jsonl")).select(columns)
    among_bad = parsed(write([GOOD, line, "bad"], "bad.jsonl")).select(columns)
    assert alone.row(0) == among_good.row(1) == among_bad.row(1)


def test_a_number_too_long_is_a_wrong_type(write: Write) -> None:
    assert parsed(write([GOOD, UNUSED[5]]))["dropped_by"].to_list() == [None, "read/wrong-type"]


def test_a_column_of_nulls_is_a_column(write: Write) -> None:
    assert parsed(write(['{"data": null}', '{"data": null}']))["dropped_by"].to_list() == ["read/no-turns"] * 2


def test_fast_row_keys_are_the_contract_s() -> None:
    texts = [["a"], ["é", '\u2028\x7f\x1f\x00 " \\ /'], []]
    assert list_keys(pl.Series(texts, dtype=pl.List(pl.String))) == [row_key(turns) for turns in texts]


def test_find_fault_names_the_first() -> None:
    assert find_fault(None, ["Hi", "", "", "x"]) == ("empty-turn", 1, "")
    assert find_fault(None, ["Hi", "Hello"]) is None
