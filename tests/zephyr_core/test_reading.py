import tomllib
from pathlib import Path

import pytest

from zephyr_core.errors import DataError, RecipeError, UsageError
from zephyr_core.reading import checked, table_faults


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff\xfe", b"\x00", 100_000 * b"[", b"1" * 5_000],
    ids=["empty", "cut", "not UTF-8", "a null", "deep", "a number of 5,000 digits"],
)
def test_a_damaged_file_is_named_with_the_form_it_should_have(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "x.json"
    file.write_bytes(content)
    with pytest.raises(DataError, match=r"x\.json is not valid JSON: "):
        checked(file)


def test_a_missing_one_or_a_folder_cannot_be_read(tmp_path: Path) -> None:
    for name in ("absent.toml", "."):
        with pytest.raises(RecipeError, match="cannot be read") as refused:
            checked(tmp_path / name, tomllib.loads, form="TOML", error=RecipeError, hint="give another")
        assert refused.value.hint == "give another"


def test_what_the_libraries_of_tables_say_names_the_file(tmp_path: Path) -> None:
    import polars as pl
    import pyarrow.parquet as pq

    file = tmp_path / "x.parquet"
    pl.DataFrame({"a": [1, 2]}).write_parquet(file)
    whole = file.read_bytes()
    for content in (whole[:-9], b"", b"PAR1", whole[:8] + b"\x00" * 20 + whole[28:]):
        file.write_bytes(content)
        for read in (pl.read_parquet, pq.read_table):
            with pytest.raises(DataError, match=r"x\.parquet is damaged or cannot be read"), table_faults(file):
                read(file)
    file.write_bytes(whole)
    with pytest.raises(DataError, match=r"x\.parquet"), table_faults(file):
        pl.read_parquet(file, columns=["b"])
    with pytest.raises(UsageError, match="ours"), table_faults(file):
        raise UsageError("ours passes")
    with pytest.raises(KeyboardInterrupt), table_faults(file):
        raise KeyboardInterrupt
