"""Sources of rows: which files, splits and digest they have, and what is said when something is missing."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from tests import manifests
from tests.zephyr_train.row_shapes import (
    DRAWING,
    PAIRS,
    published_pair,
    text_pair,
    trainer_pair,
    turn,
    write_lines,
    write_parquet,
)
from zephyr_core.errors import WrongFolder
from zephyr_train.errors import ModelUnreachable, RowsUnfit
from zephyr_train.preflight.prompt_overlap import overlap
from zephyr_train.reader import Source, open_data
from zephyr_train.rows import row_files


def test_damaged_files_are_named_with_the_row(tmp_path: Path) -> None:
    rows = [text_pair(*pair) for pair in PAIRS]
    lines = write_lines(tmp_path / "a.jsonl", rows).read_bytes()
    (tmp_path / "a.jsonl").write_bytes(b"\n" + lines[:-9])
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(lines)[:-12])
    whole = write_parquet(tmp_path / "c.parquet", rows).read_bytes()
    (tmp_path / "c.parquet").write_bytes(whole[:-30])
    write_lines(tmp_path / "d.jsonl", [rows[0], [1]])
    write_lines(tmp_path / "e.jsonl", [rows[0], rows[1], rows[2] | {"chosen": 7}])
    for name, message in (
        ("a.jsonl", "a.jsonl, row 4 is not JSON"),
        ("b.jsonl.gz", "b.jsonl.gz cannot be read past row"),
        ("c.parquet", "c.parquet cannot be read past row 0"),
        ("d.jsonl", "d.jsonl, row 2: not an object but list"),
        ("e.jsonl", "e.jsonl, row 3: column 'chosen' has a different type"),
    ):
        with pytest.raises(RowsUnfit) as fault:
            open_data(str(tmp_path / name), "pairs").table("train")
        assert message in str(fault.value)


def test_lists_gz_bom_and_nan_are_read(tmp_path: Path) -> None:
    rows = [text_pair(*pair) | {"score": float("nan")} for pair in PAIRS[:2]]
    (tmp_path / "a.json").write_text(json.dumps(rows, indent=1))
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(write_lines(tmp_path / "b.jsonl", rows).read_bytes()))
    (tmp_path / "c.jsonl").write_bytes(b"\xef\xbb\xbf" + (tmp_path / "b.jsonl").read_bytes())
    tables = [open_data(str(tmp_path / name), "pairs").table("train") for name in ("a.json", "b.jsonl.gz", "c.jsonl")]
    assert tables[0].num_rows == 2 and tables[0].equals(tables[1]) and tables[0].equals(tables[2])


def _local_copy(folder: Path) -> Source:
    write_parquet(folder / "data" / "train_prefs-00000-of-00002.parquet", [published_pair(*PAIRS[0])])
    write_parquet(folder / "data" / "train_prefs-00001-of-00002.parquet", [published_pair(*PAIRS[1])])
    write_parquet(
        folder / "data" / "test_prefs-00000-of-00001.parquet",
        [published_pair(*PAIRS[0]), published_pair("b", "c", "d")],
    )
    write_parquet(folder / "data" / "train_sft-00000-of-00001.parquet", [{"messages": []}])
    return open_data(str(folder), "pairs")


def test_a_local_copy_has_both_splits_and_its_shards_in_order(tmp_path: Path) -> None:
    source = _local_copy(tmp_path)
    assert (source.layout, source.commit, source.has_test) == ("published", None, True)
    assert [row[0]["content"] for row in source.table("train")["prompt"].to_pylist()] == [DRAWING, "Which plum?"]
    assert overlap(source).exact == 1
    (tmp_path / "data" / "train_prefs-00000-of-00002.parquet").unlink()
    with pytest.raises(RowsUnfit, match="lacks data/train_prefs-00000-of-00002"):
        open_data(str(tmp_path), "pairs")


def test_the_digest_follows_the_rows_and_the_kind(tmp_path: Path) -> None:
    first, second = _local_copy(tmp_path / "a"), _local_copy(tmp_path / "b")
    assert first.digest == second.digest
    write_parquet(tmp_path / "b" / "data" / "train_prefs-00001-of-00002.parquet", [published_pair("other", "c", "d")])
    assert open_data(str(tmp_path / "b"), "pairs").digest != first.digest
    assert open_data(str(tmp_path / "a"), "dialogues").digest != first.digest


def test_one_file_read_as_another_kind_has_another_digest(tmp_path: Path) -> None:
    row = text_pair(*PAIRS[0]) | {"messages": [turn("user", "a"), turn("assistant", "b")]}
    path = str(write_lines(tmp_path / "a.jsonl", [row]))
    assert open_data(path, "pairs").digest != open_data(path, "dialogues").digest


def test_without_a_test_split_there_is_none(tmp_path: Path) -> None:
    source = open_data(str(write_lines(tmp_path / "a.jsonl", [text_pair(*PAIRS[0])])), "pairs")
    assert not source.has_test and overlap(source).exact == 0
    with pytest.raises(KeyError):
        source.table("test")


def test_splits_are_told_by_file_or_folder_name() -> None:
    assert row_files.splits_of(["data/test.jsonl", "data/train-1.jsonl", "data/train-0.jsonl", "README.md"]) == {
        "test": ["data/test.jsonl"],
        "train": ["data/train-0.jsonl", "data/train-1.jsonl"],
    }
    assert row_files.splits_of(["default/train_sft/0000.parquet"]) == {"train_sft": ["default/train_sft/0000.parquet"]}
    assert row_files.splits_of(["b.jsonl", "a.jsonl", ".cache/c.jsonl", "trainer.jsonl"]) == {
        "train": ["a.jsonl", "b.jsonl", "trainer.jsonl"]
    }


def _ours(folder: Path, counts: dict[str, dict[str, Any]], kind: str = "pairs") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for split, count in counts.items():
        rows = [trainer_pair(f"{split} {number}", "yes", "no") for number in range(max(count["rows"], 1))]
        write_parquet(folder / "data" / f"{split}-00000-of-00001.parquet", rows)
    manifests.write(folder, kind, splits=counts)
    return folder


def test_our_directory_is_named_by_its_rows_digests(tmp_path: Path) -> None:
    counts = {name: {"rows": 2, "rows_digest": name} for name in ("train_prefs", "test_prefs", "train_sft")}
    source = open_data(str(_ours(tmp_path / "a", counts)), "pairs")
    assert (source.layout, source.has_test, source.table("test").num_rows) == ("zephyr", True, 2)
    other = counts | {"train_sft": {"rows": 1, "rows_digest": "x"}}
    assert open_data(str(_ours(tmp_path / "b", other)), "pairs").digest == source.digest
    other = counts | {"test_prefs": {"rows": 2, "rows_digest": "x"}}
    assert open_data(str(_ours(tmp_path / "c", other)), "pairs").digest != source.digest
    other = counts | {"test_prefs": {"rows": 0, "rows_digest": "x"}}
    assert not open_data(str(_ours(tmp_path / "d", other)), "pairs").has_test


def test_our_directory_without_the_split_names_the_command_that_makes_it(tmp_path: Path) -> None:
    counts = {name: {"rows": 1, "rows_digest": name} for name in ("train_sft", "test_sft")}
    with pytest.raises(RowsUnfit, match="no split train_prefs: its splits with rows are test_sft, train_sft") as fault:
        open_data(str(_ours(tmp_path / "a", counts)), "pairs")
    assert "zephyr data binarize" in str(fault.value.hint)
    manifests.write(tmp_path / "b", "model")
    with pytest.raises(WrongFolder, match="b is a dSFT run, not a dataset"):
        open_data(str(tmp_path / "b"), "pairs")


def test_a_file_that_the_manifest_does_not_know_is_refused(tmp_path: Path) -> None:
    folder = _ours(tmp_path, {"train_prefs": {"rows": 1, "rows_digest": "x"}})
    file = folder / "data" / "train_prefs-00000-of-00001.parquet"
    file.write_bytes(file.read_bytes() + b" ")
    with pytest.raises(RowsUnfit, match=r"train_prefs-00000-of-00001.parquet of .* has .* bytes, not"):
        open_data(str(folder), "pairs")
    file.unlink()
    with pytest.raises(RowsUnfit, match="is missing"):
        open_data(str(folder), "pairs")


def test_what_is_not_there_or_empty_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelUnreachable, match="not a file or folder") as fault:
        open_data(str(tmp_path / "none"), "pairs")
    assert "zephyr data binarize" in str(fault.value.hint)
    with pytest.raises(RowsUnfit, match="has no file of rows"):
        open_data(str(tmp_path), "pairs")
    with pytest.raises(RowsUnfit, match="not a file of rows"):
        open_data(__file__, "pairs")
    with pytest.raises(RowsUnfit, match="can be trained on: 1 identical-texts"):
        open_data(str(write_lines(tmp_path / "a.jsonl", [text_pair("a", "b", "b")])), "pairs").table("train")
