from pathlib import Path

import pytest

from zephyr_core.sealed import is_sealed, seal


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "x.tmp").write_bytes(b"rows")
    seal(tmp_path / "x.tmp", tmp_path / "x.parquet")
    return tmp_path / "x.parquet"


def test_a_sealed_file_counts(place: Path) -> None:
    assert is_sealed(place) and place.read_bytes() == b"rows"
    assert sorted(path.name for path in place.parent.iterdir()) == ["x.parquet", "x.parquet.sha256"]


@pytest.mark.parametrize("damage", ["flipped", "cut", "gone", "a folder", "no seal", "an empty seal", "not text"])
def test_anything_else_does_not(place: Path, damage: str) -> None:
    seal_file = place.with_name("x.parquet.sha256")
    match damage:
        case "flipped":
            place.write_bytes(b"rowz")
        case "cut":
            place.write_bytes(b"row")
        case "gone":
            place.unlink()
        case "a folder":
            place.unlink()
            place.mkdir()
        case "no seal":
            seal_file.unlink()
        case "an empty seal":
            seal_file.write_bytes(b"")
        case "not text":
            seal_file.write_bytes(b"\xff")
    assert not is_sealed(place)


def test_a_seal_without_its_file_is_that_of_a_killed_command(place: Path) -> None:
    (place.parent / "x.tmp").write_bytes(b"newer")
    seal(place.parent / "x.tmp", place)
    assert is_sealed(place)
    place.write_bytes(b"rows")  # killed after the newer seal was written
    assert not is_sealed(place)
