"""Files of unfinished work that a later run continues from: each counts while its digest, kept next to it, fits."""

from pathlib import Path

from zephyr_core import manifest

SUFFIX = ".sha256"


def seal(temporary: Path, place: Path) -> None:
    """Give a file its name, once its digest is written next to that."""
    _seal_of(place).write_text(manifest.file_digest(temporary), encoding="ascii")
    temporary.replace(place)


def is_sealed(place: Path) -> bool:
    """Return whether the file is there and is the one that was sealed."""
    try:
        return _seal_of(place).read_text(encoding="ascii") == manifest.file_digest(place)
    except (OSError, ValueError):
        return False


def _seal_of(place: Path) -> Path:
    return place.with_name(place.name + SUFFIX)
