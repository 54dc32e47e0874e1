"""Versions on record against those installed here."""

import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from zephyr_core import this_code


def installed(name: str) -> str:
    """Return the installed version of a package, of Python or of zephyr's own code; "absent" where there is none."""
    if name == "python":
        return platform.python_version()
    if name in (own := this_code.versions()):
        return own[name]
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"


def otherwise(manifests: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return a line for each version on record that is not the one installed, given step → manifest."""
    recorded = {name: was for content in manifests.values() for name, was in content.get("versions", {}).items()}
    return [f"{name} {was} → {installed(name)}" for name, was in sorted(recorded.items()) if installed(name) != was]
