"""A finished dataset that is damaged: each command that reads it names the file, with exit code 5."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.zephyr_data.conftest import Command
from tests.zephyr_data.damage import DAMAGES, flip, relist, reseal
from zephyr_core import manifest

ALL = {**DAMAGES, "flipped": flip}


def first(folder: Path, pattern: str) -> Path:
    return min(folder.glob(pattern))


@pytest.fixture
def dialogues(whole_dialogues: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole_dialogues, tmp_path / "ds"))


@pytest.fixture
def pairs(whole_pairs: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole_pairs, tmp_path / "pairs"))


def kept_row(folder: Path) -> str:
    return str(pl.read_parquet(folder / "audit" / "kept.parquet")["row_key"][0])


# ---- files --------------------------------------------------------------------------------------


READ_BY = {"rules": "audit", "dropped": "audit why", "rewritten": "audit why", "kept": "why"}  # besides verify
CASES = [(table, reader) for table, readers in READ_BY.items() for reader in ("verify", *readers.split())]


@pytest.mark.parametrize("damage", ALL)
@pytest.mark.parametrize(("table", "reader"), CASES)
def test_an_audit_table(table: str, reader: str, damage: str, dialogues: Path, command: Command) -> None:
    row = [kept_row(dialogues)] if reader == "why" else []
    ALL[damage](dialogues / "audit" / f"{table}.parquet")
    ended = command("data", reader, "ds", *row)
    assert ended.refuses(5, f"audit/{table}.parquet"), ended


OPENED = [(table, reader) for table, reader in CASES if reader != "verify" or table == "dropped"]


@pytest.mark.parametrize("damage", ["cut", "empty", "foreign"])
@pytest.mark.parametrize(("table", "reader"), OPENED)
def test_an_audit_table_that_the_manifest_names_as_it_is(
    table: str, reader: str, damage: str, dialogues: Path, command: Command
) -> None:
    row = [kept_row(dialogues)] if reader == "why" else []
    ALL[damage](dialogues / "audit" / f"{table}.parquet")
    relist(dialogues)
    ended = command("data", reader, "ds", *row)
    assert ended.refuses(5, f"audit/{table}.parquet"), ended


def test_audit_tables_that_changed_places(dialogues: Path, command: Command) -> None:
    audit, row = dialogues / "audit", kept_row(dialogues)
    (audit / "dropped.parquet").rename(audit / "aside")
    (audit / "kept.parquet").rename(audit / "dropped.parquet")
    (audit / "aside").rename(audit / "kept.parquet")
    for words in (("verify", "ds"), ("audit", "ds"), ("why", "ds", row)):
        assert command("data", *words).refuses(5, "audit/dropped.parquet"), words
    relist(dialogues)
    for words in (("verify", "ds"), ("audit", "ds"), ("why", "ds", row)):
        assert command("data", *words).refuses(5, "audit/dropped.parquet"), words


def without_turn(table: pl.DataFrame) -> pl.DataFrame:
    return table.drop("turn")


def turn_as_text(table: pl.DataFrame) -> pl.DataFrame:
    return table.with_columns(pl.col("turn").cast(pl.String))


@pytest.mark.parametrize("change", [without_turn, turn_as_text])
def test_an_audit_table_with_other_columns(
    change: Callable[[pl.DataFrame], pl.DataFrame], dialogues: Path, command: Command
) -> None:
    path, row = dialogues / "audit" / "dropped.parquet", kept_row(dialogues)
    change(pl.read_parquet(path)).write_parquet(path)
    relist(dialogues)
    for words in (("verify", "ds"), ("audit", "ds"), ("why", "ds", row)):
        assert command("data", *words).refuses(5, "audit/dropped.parquet"), words


@pytest.mark.parametrize("damage", ALL)
@pytest.mark.parametrize("pattern", ["rated/*.parquet", "data/train_prefs-*.parquet"])
def test_the_rows_behind_a_pair(pattern: str, damage: str, pairs: Path, command: Command) -> None:
    path, kept = first(pairs, pattern), pl.read_parquet(pairs / "audit" / "kept.parquet")
    row = kept.filter(pl.col("split") == "train_prefs")["row_key"][0]
    ALL[damage](path)
    for words in (("verify", "pairs"), ("why", "pairs", row)):
        assert command("data", *words).refuses(5, path.relative_to(pairs).as_posix()), words
    if damage in ("cut", "empty", "foreign") and "rated" in pattern:
        relist(pairs)
        assert command("data", "why", "pairs", row).refuses(5, path.relative_to(pairs).as_posix())


# ---- the manifest -------------------------------------------------------------------------------


REQUIRED = (
    *("kind", "step", "options", "inputs", "bytes_read", "rules", "counts", "splits", "dropped_digest"),
    *("versions", "seconds", "finished", "files", "format"),
)


def without(key: str) -> Callable[[dict[str, Any]], object]:
    return lambda content: content.pop(key)


def with_value(key: str, value: object) -> Callable[[dict[str, Any]], object]:
    return lambda content: content.update({key: value})


SHAPES: dict[str, Callable[[dict[str, Any]], object]] = {
    **{f"without {key}": without(key) for key in REQUIRED},
    **{f"{key} is a number": with_value(key, 5) for key in ("options", "inputs", "rules", "counts", "splits", "files")},
    "kind is a list": with_value("kind", ["pairs"]),
    "inputs of texts": with_value("inputs", ["x"]),
    "a split without rows": with_value("splits", {"train_sft": {}}),
    "drops that are texts": lambda content: content["counts"].update(dropped={"a/b": "many"}),
    "a file without its digest": with_value("files", {"README.md": {"bytes": 5}}),
    "counts that are null": lambda content: content["counts"].update(rows_read=None),
}


@pytest.mark.parametrize("is_sealed", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_manifest_of_another_shape(shape: str, is_sealed: bool, dialogues: Path, command: Command) -> None:
    """One of the format before the digest of itself has nothing but its shape to be recognised by."""
    row = kept_row(dialogues)
    reseal(dialogues, SHAPES[shape])
    if not is_sealed:
        text = (dialogues / "manifest.json").read_text()
        (dialogues / "manifest.json").write_text(text.replace('"format": 2', '"format": 1'))
    for words in readers(row):
        assert command("data", *words).refuses(5, "ds/manifest.json"), words


def readers(row: str) -> Iterator[tuple[str, ...]]:
    yield from (("verify", "ds"), ("audit", "ds"), ("why", "ds", row))
    yield "clean-ultrachat", "samples:ultrachat", "--out", "ds"


@pytest.mark.parametrize("damage", ["cut", "empty", "foreign", "flipped"])
def test_a_damaged_manifest(damage: str, dialogues: Path, command: Command) -> None:
    row = kept_row(dialogues)
    ALL[damage](dialogues / "manifest.json")
    for words in readers(row):
        assert command("data", *words).refuses(5, "ds/manifest.json"), words


@pytest.mark.parametrize("key", ["cut_rows", "rewritten_words"])
def test_counts_that_every_such_dataset_has(key: str, dialogues: Path, command: Command) -> None:
    reseal(dialogues, lambda content: content["counts"].pop(key))
    assert command("data", "audit", "ds").refuses(5, "ds/manifest.json", key)
    assert command("data", *list(readers(""))[-1]).refuses(5, "ds/manifest.json", key)


ODD_PAIRS: dict[str, Callable[[dict[str, Any]], object]] = {
    "no margins": lambda content: content["counts"].pop("margins"),
    "no pairs": lambda content: content["counts"].update(pairs=0),
    "margins that are no numbers": lambda content: content["counts"].update(margins={"wide": 3}),
    "unknown options": lambda content: content["options"].update(values={"flavour": 1}),
    "a score of another type": lambda content: content["options"]["values"].update(score=[1]),
}


@pytest.mark.parametrize("shape", ODD_PAIRS)
def test_a_manifest_of_pairs_that_its_step_would_not_write(shape: str, pairs: Path, command: Command) -> None:
    row = kept_row(pairs)
    reseal(pairs, ODD_PAIRS[shape])
    words = ("audit", "pairs") if "counts" in ODD_PAIRS[shape].__code__.co_consts else ("why", "pairs", row)
    assert command("data", *words).refuses(5, "pairs/manifest.json"), words


def test_verify_counts_pairs_that_are_not_recorded(pairs: Path, command: Command) -> None:
    reseal(pairs, lambda content: content["counts"].pop("pairs"))
    assert command("data", "verify", "pairs").refuses(5, "None pairs counted")


# ---- finished work ------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", ALL)
@pytest.mark.parametrize("pattern", ["data/train_sft-*.parquet", "audit/dropped.parquet", "README.md"])
def test_damaged_finished_work_is_not_whole(pattern: str, damage: str, dialogues: Path, command: Command) -> None:
    again = ("data", "clean-ultrachat", "samples:ultrachat", "--out", "ds")
    assert "nothing to do" in command(*again).out
    path = first(dialogues, pattern)
    ALL[damage](path)
    assert command(*again).refuses(5, path.relative_to(dialogues).as_posix(), "--out ds --overwrite")


def test_damaged_finished_work_is_made_again_with_overwrite(dialogues: Path, command: Command) -> None:
    flip(first(dialogues, "data/train_sft-*.parquet"))
    again = ("data", "clean-ultrachat", "samples:ultrachat", "--out", "ds", "--overwrite")
    assert command(*again).code == 0
    assert command("data", "verify", "ds").code == 0


@pytest.mark.parametrize("damage", ALL)
def test_pairs_of_a_damaged_dataset_of_pairs(damage: str, pairs: Path, command: Command) -> None:
    path = first(pairs, "rated/*.parquet")
    ALL[damage](path)
    for more in ([], ["--dry-run"]):
        ended = command("data", "binarize", "pairs", "--rejected", "lowest", "--out", "other", *more)
        assert ended.refuses(5, "rated/"), ended
    assert not Path("other").exists()


def test_pairs_of_rows_with_a_flipped_bit_and_the_old_size_and_time(pairs: Path, command: Command) -> None:
    flip(first(pairs, "rated/*.parquet"), keep_time=True)
    assert command("data", "binarize", "pairs", "--out", "other").refuses(5, "rated/", "another sha256")


def test_a_file_among_the_rated_rows_that_nobody_recorded(pairs: Path, command: Command) -> None:
    shutil.copyfile(first(pairs, "rated/*.parquet"), pairs / "rated" / "zzz.parquet")
    assert command("data", "binarize", "pairs", "--out", "other").refuses(5, "rated/zzz.parquet")


def test_manifests_have_the_digests_of_themselves(dialogues: Path) -> None:
    content = manifest.read(dialogues)
    assert content["self_digest"] == manifest.self_digest(content)
    assert all("mtime_ns" in entry for entry in content["files"].values())
