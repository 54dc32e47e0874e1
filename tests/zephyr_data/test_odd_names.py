"""Names that are globs, URIs, options or home folders to others are names here, or refused; no other folder is read."""

import io
import os
import re
import shutil
from pathlib import Path

import polars as pl
import pytest

from tests.conftest import ROOT, dialogue
from tests.zephyr_data.conftest import Command
from tests.zephyr_data.rated import generic

NAMES = [
    "run[1]",
    "*?[x]",
    "samples:x",
    "a:b",
    "~",
    "-d",
    "two words",
    "two\nlines",
    ".hidden",
    "50%20",
    "a#b",
    "ü",
    "'",
]
NOT_UTF8 = os.fsdecode(b"r\xff\xfe")
LINES = [dialogue(f"What is a plum, number {n}?", "A plum is a fruit.", row_id=f"x{n}") for n in range(4)]


def key_of(folder: Path) -> str:
    with (folder / "audit" / "kept.parquet").open("rb") as stream:
        return str(pl.read_parquet(stream)["row_key"][0])


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("name", [*NAMES, NOT_UTF8])
def test_an_output_is_where_it_says(name: str, workers: int, tmp_path: Path, command: Command) -> None:
    if workers == 2 and name not in ("*?[x]", "samples:x", NOT_UTF8):
        return  # starting processes takes seconds, and they get paths as the one process does
    (tmp_path / "rows.jsonl").write_text("\n".join(LINES))
    made = ("data", "clean-ultrachat", "rows.jsonl", f"--out={name}", "--workers", workers)
    first = command(*made)
    assert (first.code, (tmp_path / name / "manifest.json").is_file()) == (0, True), first
    assert "nothing to do" in command(*made).out
    place = tmp_path / name
    for words in (("verify", place), ("audit", place), ("why", place, key_of(place)), ("verify", f"./{name}")):
        assert command("data", *words).code == 0, words
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted({name, "rows.jsonl"})


@pytest.mark.parametrize("name", NAMES)
def test_pairs_of_a_dataset_with_that_name(name: str, tmp_path: Path, command: Command) -> None:
    (tmp_path / "rows.jsonl").write_text("\n".join(generic(f"p{n}", [n + 1, 0]) for n in range(3)))
    assert command("data", "binarize", "rows.jsonl", f"--out={name}").code == 0
    source = f"./{name}" if name.startswith(("samples:", "-")) else name  # the first is a prefix, the second an option
    ended = command("data", "binarize", source, "--rejected", "lowest", "--out=other")
    assert ended.code == 0, ended
    assert command("data", "why", "other", key_of(tmp_path / "other")).code == 0


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
@pytest.mark.parametrize("name", NAMES)
def test_a_source_that_exists_is_that_file(name: str, suffix: str, tmp_path: Path, command: Command) -> None:
    source = tmp_path / f"{name}.{suffix}"
    if suffix == "parquet":
        with source.open("wb") as stream:
            pl.DataFrame({"data": [["What is a plum?", "A plum is a fruit."]]}).write_parquet(stream)
    else:
        source.write_text(LINES[0])
    (tmp_path / "run1.jsonl").write_text("\n".join(LINES[1:]))
    typed = f"./{source.name}" if name.startswith(("samples:", "-")) else source.name
    ended = command("data", "clean-ultrachat", typed, "--keep-dropped", "--out=out", "--json")
    assert ended.code == 0, ended
    kept = pl.read_parquet(tmp_path / "out" / "audit" / "kept.parquet")
    assert kept["file"].to_list() == [source.name]
    assert command("data", "why", "out", kept["row_key"][0]).code == 0


def test_a_name_like_a_glob_never_leads_to_another_folder(
    whole_dialogues: Path, tmp_path: Path, command: Command
) -> None:
    (tmp_path / "rows.jsonl").write_text("\n".join(LINES))
    assert command("data", "clean-ultrachat", "rows.jsonl", "--out=ds[1]").code == 0
    shutil.copytree(whole_dialogues, tmp_path / "ds1")
    other = key_of(tmp_path / "ds1")
    assert command("data", "why", "ds1", other).code == 0
    assert command("data", "why", "ds[1]", other).refuses(2, f"ds[1] has no row {other!r}")
    assert "rows read" in command("data", "audit", "ds[1]").out
    shutil.rmtree(tmp_path / "ds[1]")
    for words in (("verify", "ds[1]"), ("audit", "ds[1]"), ("why", "ds[1]", other)):
        assert command("data", *words).refuses(5, "ds[1] is not a finished dataset"), words


@pytest.mark.parametrize("step", ["clean-ultrachat", "binarize"])
@pytest.mark.parametrize("source", ["", " "])
def test_an_empty_source_is_refused(source: str, step: str, tmp_path: Path, command: Command) -> None:
    (tmp_path / "rows.jsonl").write_text("\n".join(LINES))
    assert command("data", step, source, "--out=out").refuses(2, f"a source is {source!r}")
    (tmp_path / "own.toml").write_text(f"[{step}]\nsources = [{source!r}]\n")
    assert command("data", step, "--recipe", "own.toml", "--out=out").refuses(2, f"a source is {source!r}")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("is_folder", [True, False])
def test_a_source_whose_name_is_not_utf8_is_read_and_recorded_in_hexadecimal(
    is_folder: bool, tmp_path: Path, command: Command
) -> None:
    (tmp_path / NOT_UTF8).mkdir()
    (tmp_path / NOT_UTF8 / f"{NOT_UTF8}.jsonl").write_text("\n".join(LINES))
    source = NOT_UTF8 if is_folder else f"{NOT_UTF8}/{NOT_UTF8}.jsonl"
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / f"{NOT_UTF8}.jsonl").write_text("")
    for name, target in (("link", "../far"), ("again.jsonl", f"{NOT_UTF8}.jsonl"), (f"gone{NOT_UTF8}.jsonl", NOT_UTF8)):
        (tmp_path / NOT_UTF8 / name).symlink_to(target)
    assert command("data", "clean-ultrachat", source, "--dry-run", "--json").code == 0
    made = ("data", "clean-ultrachat", source, "--out=out")
    assert command(*made).code == 0
    kept = pl.read_parquet(tmp_path / "out" / "audit" / "kept.parquet")
    assert set(kept["file"]) == {r"r\xff\xfe.jsonl"} and kept.height == len(LINES)
    assert "nothing to do" in command(*made).out
    for words in (("verify", "out"), ("audit", "out"), ("why", "out", kept["row_key"][0])):
        assert command("data", *words).code == 0, words


def test_a_rule_file_whose_name_is_not_utf8_is_refused(tmp_path: Path, command: Command) -> None:
    (tmp_path / "rows.jsonl").write_text(LINES[0])
    name = f"{NOT_UTF8}.toml"
    (tmp_path / name).write_text("")
    ended = command("data", "clean-ultrachat", "rows.jsonl", "--rules", name, "--out=out")
    assert ended.refuses(2, repr(name), "not UTF-8"), ended


@pytest.mark.parametrize("suffix", ["csv", "parquet", "txt"])
def test_a_benchmark_file_with_the_name_of_a_glob(suffix: str, tmp_path: Path, command: Command) -> None:
    (tmp_path / "rows.jsonl").write_text("\n".join([generic("p0", [2, 1]), generic("p1", [2, 1])]))
    path, other = tmp_path / f"b[1].{suffix}", tmp_path / f"b1.{suffix}"
    for prompt, place in (("p0", path), ("p1", other)):
        stream, table = io.BytesIO(prompt.encode()), pl.DataFrame({"prompt": [prompt]})
        if suffix == "csv":
            table.write_csv(stream)
        elif suffix == "parquet":
            table.write_parquet(stream)
        place.write_bytes(stream.getvalue())
    ended = command("data", "binarize", "rows.jsonl", "--benchmark", path.name, "--out=out")
    assert ended.code == 0, ended
    dropped = pl.read_parquet(tmp_path / "out" / "audit" / "dropped.parquet")
    assert [text.partition(": ")[2] for text in dropped["matched"]] == ["p0"]
    path.write_bytes(b"\x00\xff")
    ended = command("data", "binarize", "rows.jsonl", "--benchmark", path.name, "--out=other")
    assert ended.refuses(5, "b[1]"), ended


def test_parquet_files_are_opened_in_one_module() -> None:
    """Of a path, polars makes a glob and pyarrow a URI."""
    reader = re.compile(r"pl\.(read|scan)_parquet|pq\.(ParquetFile|read_)")
    modules = (ROOT / "zephyr_data").rglob("*.py")
    assert [path.name for path in modules if reader.search(path.read_text(encoding="utf-8"))] == ["tables.py"]
