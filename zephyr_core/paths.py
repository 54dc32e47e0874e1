"""Where shipped files are and where results go.

In a checkout `rules/` and `recipes/` are next to the packages; in a wheel they are inside `zephyr_core/shipped/`.
"""

import os
import re
from pathlib import Path

from zephyr_core.errors import UsageError, ZephyrError

RUNS, CACHE = "ZEPHYR_RUNS", "ZEPHYR_CACHE"  # environment variables
RUN = "ZEPHYR_RUN_FOLDER"  # the folder of the run itself, whatever its recipe
SHARED = "artefacts"  # next to the runs of all recipes: what they share, so no recipe may have this name
_PACKAGE = Path(__file__).resolve().parent


def shipped(kind: str) -> Path:
    """Return the folder of shipped files of that kind: "rules" or "recipes"."""
    for folder in (_PACKAGE / "shipped" / kind, _PACKAGE.parent / kind):
        if folder.is_dir():
            return folder
    raise ZephyrError(f"the installation lacks its {kind}/ folder", "install zephyr again from its wheel or checkout")


def is_name(text: str) -> bool:
    """Return whether a text can name a recipe, a step or an artefact: one folder, never a way out of another."""
    return re.fullmatch(r"[A-Za-z0-9._-]+", text) is not None and text.strip(".") != ""


def readable(name: str) -> str:
    """Return a name of the file system as text that any file can hold, bytes that are not UTF-8 in hexadecimal."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def run_directory(recipe: str, step: str = "") -> Path:
    """Return where a step of a recipe writes when no `--out` is given; without a step, the folder of all steps."""
    own = os.environ.get(RUN)
    return (Path(own) if own else Path(os.environ.get(RUNS, "runs")) / recipe) / step


def shared_directory() -> Path:
    """Return the folder that runs share, next to them."""
    return run_directory(SHARED).parent / SHARED


def cache_directory() -> Path:
    """Return the folder for derived tables; ZEPHYR_CACHE overrides it.

    Raises:
        UsageError: it would be in a home folder, and there is none.
    """
    own = os.environ.get(CACHE)
    return Path(own) if own else (expanded(os.environ.get("XDG_CACHE_HOME") or "~/.cache")) / "zephyr"


def expanded(path: str) -> Path:
    """Return a path with a leading `~` expanded to a home folder.

    Raises:
        UsageError: there is no such home folder.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        hint = f"give the full path; {CACHE} sets the cache"
        raise UsageError(f"{path}: there is no such home folder", hint) from None
