"""Versions on record against those installed here."""

import platform
from collections.abc import Iterable

from zephyr_core import this_code
from zephyr_core.records import AnyManifest


def installed(name: str) -> str:
    """Return the installed version of a package, of Python or of zephyr's own code; "absent" if there is none."""
    return {**this_code.installed(name), **this_code.versions(), "python": platform.python_version()}.get(
        name, "absent"
    )


def otherwise(manifests: Iterable[AnyManifest | None]) -> list[str]:
    """Return a line for each version on record that differs from the installed one."""
    return [f"{name} {was} → {installed(name)}" for name, was in _recorded(manifests) if installed(name) != was]


def installed_of(manifests: Iterable[AnyManifest | None]) -> dict[str, str]:
    """Return the installed version of each package that is on record, and of zephyr and its code."""
    return {name: installed(name) for name, _ in _recorded(manifests)} | this_code.versions()


def _recorded(manifests: Iterable[AnyManifest | None]) -> list[tuple[str, str]]:
    return sorted({(name, was) for content in manifests if content for name, was in content["versions"].items()})
