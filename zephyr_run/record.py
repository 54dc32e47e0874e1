"""runs/RECIPE/run.json: what `zephyr run` did for each step, what each output was built from, what the run keeps."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Unpack

from zephyr_core import folder as folders
from zephyr_core import kinds, paths
from zephyr_core.console import say
from zephyr_core.errors import NoSpace, UsageError
from zephyr_core.kinds import RECORD
from zephyr_core.manifest import file_entry, self_digest, write_json
from zephyr_core.reading import json_file
from zephyr_core.records import FileEntry, StepEntry
from zephyr_core.shape import fitting, misfit

LOCK = ".run.lock"
FORMAT = 2  # 1 had neither files nor a digest of itself
KEPT = ("recipe/*", "samples.jsonl", "report.html")
PATIENCE = 15.0  # seconds for the command of a killed run to notice that the run is gone


@dataclass
class Record:
    """The record of a run; `steps` has an entry for each step that was started."""

    folder: Path
    recipe: str
    steps: dict[str, StepEntry] = field(default_factory=dict)
    files: dict[str, FileEntry] = field(default_factory=dict)  # what the run keeps next to its steps

    @classmethod
    def read(cls, folder: Path, recipe: str) -> "Record":
        """Return the record of a run directory; an empty one if there is no readable one."""
        return cls(folder, recipe, entries(folder), kept_files(folder))

    def entry(self, step: str) -> StepEntry:
        """Return what is on record for a step, which may be nothing."""
        return self.steps.get(step, {})

    def note(self, step: str, **changes: Unpack[StepEntry]) -> None:
        """Change a step's entry and write the record whole; None removes a key."""
        merged = {**self.entry(step), **changes}
        self.steps[step] = fitting({key: value for key, value in merged.items() if value is not None}, StepEntry)
        self._write()

    def seal(self) -> None:
        """Record the digests of the files that the run keeps next to its steps, as they are now."""
        paths = [path for pattern in KEPT for path in sorted(self.folder.glob(pattern))]
        self.files = {path.relative_to(self.folder).as_posix(): file_entry(path) for path in paths}
        self._write()

    def _write(self) -> None:
        content = {"format": FORMAT, "recipe": self.recipe, "steps": self.steps, "files": self.files}
        write_json(self.folder / RECORD, {**content, "self_digest": self_digest(content)})


def entries(folder: Path) -> dict[str, StepEntry]:
    """Return the entries of a run directory's record, in the order in which steps ran; what is damaged is left out."""
    steps = json_file(folder / RECORD).get("steps")
    entries_by_name = steps.items() if isinstance(steps, dict) else ()
    return {name: fitting(entry, StepEntry) for name, entry in entries_by_name if isinstance(entry, dict)}


def kept_files(folder: Path) -> dict[str, FileEntry]:
    """Return the recorded files of a run directory, besides its steps; none if the record of them is damaged."""
    files = json_file(folder / RECORD).get("files", {})
    return files if misfit(files, dict[str, FileEntry]) is None else {}


def faults(folder: Path) -> Iterator[folders.FileFault]:
    """Yield what is not as recorded: run.json itself, and the files that the run keeps next to its steps."""
    content = json_file(folder / RECORD)
    if content.get("format") != 1 and content.get("self_digest") != self_digest(content):
        yield folders.FileFault(RECORD, "is damaged")
    yield from folders.file_faults(folder, kept_files(folder))


def refuse_foreign(folder: Path) -> None:
    """Refuse a folder that was named for a run and holds something else.

    Raises:
        UsageError: it is a file, another kind of zephyr folder, or holds other files.
    """
    kinds.refuse(folder, kinds.WHOLE_RUN)
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file", "give a folder with --out")
    if folder.absolute().name == paths.SHARED:
        raise UsageError(f"{folder} is where runs keep what they share", "give a folder of another name with --out")
    is_begun = (folder / RECORD).exists() or (folder / LOCK).exists()
    if folder.is_dir() and any(folder.iterdir()) and not is_begun:
        raise UsageError(f"{folder} holds other files and no run", "give an empty or new folder with --out")


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
