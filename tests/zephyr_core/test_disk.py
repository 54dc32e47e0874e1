"""A full disk, a forbidden folder and a file in the way are each one error with a hint."""

import errno
import os
from pathlib import Path

import polars as pl
import pytest

from zephyr_core.disk import clear_disk_errors, require_space
from zephyr_core.errors import DataError, NoSpace


@pytest.mark.parametrize(
    "fault",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        OSError("could not write: No space left on device"),
        pl.exceptions.ComputeError("No space left on device (os error 28)"),
    ],
)
def test_a_full_disk_is_recognised_however_a_library_wraps_it(fault: Exception) -> None:
    with (
        pytest.raises(NoSpace, match="no space left while writing runs/x") as caught,
        clear_disk_errors(Path("runs/x")),
    ):
        raise fault
    assert caught.value.exit_code == 4 and caught.value.hint == "free some and run the command again"


def test_a_device_that_takes_no_more_is_a_full_disk(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full on this system")
    with (
        pytest.raises(NoSpace, match="no space left") as caught,
        clear_disk_errors(tmp_path, continues=True),
        Path("/dev/full").open("w") as full,
    ):
        full.write("x")
        full.flush()
    assert str(caught.value.hint).endswith("it continues")


def test_a_forbidden_folder_is_named_with_the_hint() -> None:
    for number in (errno.EACCES, errno.EPERM, errno.EROFS):
        fault = OSError(number, os.strerror(number), "runs/x/rows.parquet")
        with pytest.raises(NoSpace) as caught, clear_disk_errors(Path("runs/x"), hint="give another --out"):
            raise fault
        assert str(caught.value) == "runs/x/rows.parquet: permission denied"
        assert caught.value.hint == "give another --out"


def test_a_file_in_the_way_of_a_folder_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NoSpace, match="a file is in the way"), clear_disk_errors(tmp_path / "file" / "x"):
        (tmp_path / "file" / "x").mkdir(parents=True)


def test_other_errors_pass_unchanged(tmp_path: Path) -> None:
    for fault in (
        OSError(errno.EIO, "input/output error"),
        KeyError("x"),
        DataError("No space left on device, it says"),
    ):
        with pytest.raises(type(fault)) as caught, clear_disk_errors(tmp_path):
            raise fault
        assert caught.value is fault


def test_room_is_looked_for_where_the_folder_will_be(tmp_path: Path) -> None:
    require_space(tmp_path / "runs" / "new", 0, "give another --out")
    with pytest.raises(NoSpace, match=rf"needed at {tmp_path}, .* are free") as caught:
        require_space(tmp_path / "runs" / "new", 1e30, "give another --out")
    assert caught.value.hint == "free some, or give another --out"


def test_a_place_that_cannot_be_written_has_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda place, mode: False)
    with pytest.raises(NoSpace, match=f"{tmp_path} cannot be written: permission denied") as caught:
        require_space(tmp_path / "new", 0, "give another --out")
    assert caught.value.hint == "give another --out"
