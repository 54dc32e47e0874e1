"""runs/RECIPE/run.json: what `zephyr run` did for each step, and of what each output was made."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zephyr_core import folder as folders
from zephyr_core.errors import NoSpace
from zephyr_core.manifest import write_text_whole
from zephyr_core.reading import json_file

NAME = "run.json"
LOCK = ".run.lock"
PATIENCE = 15.0  # seconds for the command of a killed run to notice that it is alone


@dataclass
class Record:
    """The record of a run; `steps` holds an entry for each step that was begun.

    An entry: command, state (running | whole | failed), exit_code, seconds (of the making), manifest and content
    (digests of the output), made_of (step before → content), discards (mark of an output that is being replaced),
    artefact (the name of its folder).
    """

    folder: Path
    recipe: str
    steps: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path, recipe: str) -> "Record":
        """Return the record of a run directory; an empty one where there is none that can be read."""
        try:
            steps = {str(name): _entry(entry) for name, entry in json_file(folder / NAME)["steps"].items()}
        except (ValueError, KeyError, TypeError, AttributeError):
            steps = {}
        return cls(folder, recipe, steps)

    def entry(self, step: str) -> Mapping[str, Any]:
        """Return what is on record of a step, which may be nothing."""
        return self.steps.get(step, {})

    def note(self, step: str, **changes: Any) -> None:
        """Change a step's entry and write the record whole; None takes a key away."""
        merged = {**self.steps.get(step, {}), **changes}
        self.steps[step] = {key: value for key, value in merged.items() if value is not None}
        content = {"format": 1, "recipe": self.recipe, "steps": self.steps}
        write_text_whole(self.folder / NAME, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def _entry(found: Any) -> dict[str, Any]:
    """Return a step's entry; what it is made of, which others look into, is by name or not at all."""
    entry = dict(found)
    return entry if isinstance(entry.get("made_of", {}), dict) else entry | {"made_of": {}}


@contextmanager
def held(folder: Path, say: Callable[[str], None]) -> Iterator[int]:
    """Hold a run directory and yield the lock's file descriptor.

    A command that is given the descriptor holds the lock too; so whoever comes after a killed run waits for the command
    that it left behind.

    Raises:
        NoSpace: it cannot be made or written.
        RunInProgress: another run holds it.
    """
    lock_file = folder / LOCK
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock_file.touch()
    except OSError as fault:
        hint = "make the folder writable, or name another place for runs in ZEPHYR_RUNS"
        raise NoSpace(f"{folder} cannot be a run directory: {fault.strerror}", hint) from None
    waiting = f"{folder} is held by another run, or by the command of one that was killed: waiting"
    busy = f"another `zephyr run` or `zephyr ablate` is at work in {folder}"
    with folders.held(
        lock_file, busy=busy, hint="wait for it", patience=PATIENCE, on_wait=lambda: say(waiting)
    ) as lock:
        yield lock
