"""Which zephyr is running: its version and a digest of its code, since one version can be many states of a checkout."""

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

import zephyr_core

PACKAGES = Path(__file__).parent.parent
CODE = "zephyr code"  # its name in a record's versions


def versions(*packages: str) -> dict[str, str]:
    """Return the versions that a record has: of zephyr itself, and of those packages that are installed."""
    return {"zephyr-toolkit": zephyr_core.__version__, CODE: digest()[:12], **installed(*packages)}


def installed(*packages: str) -> dict[str, str]:
    """Return the version of each package that is installed."""
    from importlib.metadata import PackageNotFoundError, version

    by_package = {}
    for name in packages:
        with suppress(PackageNotFoundError):
            by_package[name] = version(name)
    return by_package


def digest() -> str:
    """Return the sha256 over names and contents of the Python files of `zephyr_*` next to this package.

    Rules and recipes are not part of it: they have digests and values of their own in every record.
    """
    return _digest(("zephyr_*/**/*.py",))


def digest_of(places: Sequence[str], package: str = "") -> str:
    """Return the digest of the files that `files_of` returns."""
    return _digest(_patterns(places, package))


def files_of(places: Sequence[str], package: str = "") -> list[str]:
    """Return the files of some places: patterns, folders, and a package by its dotted name."""
    return [file.relative_to(PACKAGES).as_posix() for file in _files(_patterns(places, package))]


def _patterns(places: Sequence[str], package: str) -> tuple[str, ...]:
    own = [package.replace(".", "/")] if package else []
    return tuple(place if place.endswith(".py") else f"{place}/**/*.py" for place in (*places, *own))


def _files(patterns: tuple[str, ...]) -> list[Path]:
    return sorted({file for pattern in patterns for file in PACKAGES.glob(pattern) if file.is_file()})


@cache
def _digest(patterns: tuple[str, ...]) -> str:
    whole = hashlib.sha256()
    for file in _files(patterns):  # this leaves out the broken links of editors
        name, content = file.relative_to(PACKAGES).as_posix(), hashlib.sha256(file.read_bytes()).hexdigest()
        whole.update(f"{name} {content}\n".encode())
    return whole.hexdigest()
