"""runs/RECIPE/run.json: what `zephyr run` did for each step, and what each output was built from."""

from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Unpack

from zephyr_core import folder as folders
from zephyr_core.console import say
from zephyr_core.errors import NoSpace
from zephyr_core.kinds import RECORD
from zephyr_core.manifest import write_json
from zephyr_core.reading import json_file
from zephyr_core.records import StepEntry
from zephyr_core.shape import fitting

LOCK = ".run.lock"
PATIENCE = 15.0  # seconds for the command of a killed run to notice that the run is gone


@dataclass
class Record:
    """The record of a run; `steps` has an entry for each step that was started."""

    folder: Path
    recipe: str
    steps: dict[str, StepEntry] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path, recipe: str) -> "Record":
        """Return the record of a run directory; an empty one if there is no readable one."""
        return cls(folder, recipe, entries(folder))

    def entry(self, step: str) -> StepEntry:
        """Return what is on record for a step, which may be nothing."""
        return self.steps.get(step, {})

    def note(self, step: str, **changes: Unpack[StepEntry]) -> None:
        """Change a step's entry and write the record whole; None removes a key."""
        merged = {**self.entry(step), **changes}
        self.steps[step] = fitting({key: value for key, value in merged.items() if value is not None}, StepEntry)
        write_json(self.folder / RECORD, {"format": 1, "recipe": self.recipe, "steps": self.steps})


def entries(folder: Path) -> dict[str, StepEntry]:
    """Return the entries of a run directory's record, in the order in which steps ran; what is damaged is left out."""
    steps = json_file(folder / RECORD).get("steps")
    entries_by_name = steps.items() if isinstance(steps, dict) else ()
    return {name: fitting(entry, StepEntry) for name, entry in entries_by_name if isinstance(entry, dict)}


def run_lock(folder: Path) -> AbstractContextManager[int]:
    """Return a context that locks a run directory and yields the lock's file descriptor.

    A command that is given the descriptor holds the lock too, so the next run after a killed one waits for the command
    that it left behind.

    Raises:
        NoSpace: the directory cannot be made or written.
        RunInProgress: another run holds it.
    """
    lock_file = folder / LOCK
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock_file.touch()
    except OSError as fault:
        hint = "make the folder writable, or name another place for runs in ZEPHYR_RUNS"
        raise NoSpace(f"{folder} cannot be a run directory: {fault.strerror}", hint) from None
    waiting = f"{folder} is locked by another run, or by a command that a killed run left behind: waiting"
    busy = f"another `zephyr run` or `zephyr ablate` is running in {folder}"
    return folders.lock(lock_file, busy=busy, hint="wait for it", patience=PATIENCE, on_wait=lambda: say(waiting))
