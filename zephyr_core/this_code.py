"""Which zephyr is running: its version and a digest of its code: one version can be many states of a checkout."""

import hashlib
from contextlib import suppress
from functools import cache
from pathlib import Path

import zephyr_core

PACKAGES = Path(__file__).parent.parent
CODE = "zephyr code"  # its name in a record's versions


def versions(*packages: str) -> dict[str, str]:
    """Return what a record says of zephyr itself, and of those packages as far as they are installed."""
    return {"zephyr-toolkit": zephyr_core.__version__, CODE: digest()[:12], **installed(*packages)}


def installed(*packages: str) -> dict[str, str]:
    """Return the version of each package that is installed."""
    from importlib.metadata import PackageNotFoundError, version

    known = {}
    for name in packages:
        with suppress(PackageNotFoundError):
            known[name] = version(name)
    return known


@cache
def digest() -> str:
    """Return the sha256 over names and contents of the Python files of `zephyr_*` that lie beside this package.

    Rules and recipes are no part of it: they have digests and values of their own in every record.
    """
    whole = hashlib.sha256()
    for file in sorted(filter(Path.is_file, PACKAGES.glob("zephyr_*/**/*.py"))):  # an editor leaves broken links
        name, content = file.relative_to(PACKAGES).as_posix(), hashlib.sha256(file.read_bytes()).hexdigest()
        whole.update(f"{name} {content}\n".encode())
    return whole.hexdigest()
