"""A run's unfinished work: `<out>.partial/`, which a later run continues and which is never mistaken for a dataset."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from zephyr_core import folder as folders
from zephyr_core import manifest
from zephyr_core.errors import EnvironmentLack
from zephyr_core.reading import json_file

PLAN = "plan.json"
_LOCK = "lock"
_PUBLISHED = "published"  # the digest of the dataset that the blocks have become


class Work:
    """The folder next to the output that holds finished blocks and, at the end, the dataset before its rename."""

    def __init__(self, out: Path) -> None:
        self.out, self.folder = out, folders.partial_of(out)
        self.blocks = self.folder / "blocks"
        self.dataset = self.folder / "dataset"

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Lock the output against other runs; the lock ends with the process, however that ends.

        Raises:
            RunInProgress: another run holds it.
            NoSpace: the folder cannot be written.
            EnvironmentLack: the folder vanished.
        """
        if (self.folder / _LOCK).is_dir():
            remove(self.folder / _LOCK)
        with folders.lock(self.folder / _LOCK, busy=f"another run is writing to {self.out}"):
            try:
                yield
            except FileNotFoundError as fault:
                if not Path(fault.filename or "").is_relative_to(self.folder):
                    raise
                raise EnvironmentLack(f"{self.folder} was removed meanwhile", "run the command again") from None
            finally:
                if not any(self.blocks.glob("*.parquet")):  # nothing that a later run could use
                    with suppress(OSError):
                        self._clear()

    def is_settled(self) -> bool:
        """Return whether no run is at work here, and none has left anything."""
        return not self.folder.exists() and not folders.older_of(self.out).exists()

    def settle(self) -> None:
        """Undo or finish what a killed run left of its publishing; only the holder of the lock may."""
        folders.restore(self.out)
        if manifest.is_whole(self.out):
            remove(folders.older_of(self.out))
            if self._is_published():
                remove(self.blocks)

    def begin(self, plan: dict[str, object]) -> str:
        """Keep an earlier run's blocks if its plan is the same, else remove them; return what was done."""
        remove(self.dataset)
        plan = json.loads(json.dumps(plan))
        recorded = self.folder / PLAN
        earlier = json_file(recorded)
        done = sum(1 for _ in self.blocks.glob("*.parquet"))
        if earlier == plan and done:
            message = f"continuing: {done} blocks are done"
        elif done:
            changed = ", ".join(sorted(key for key in plan if earlier.get(key) != plan[key]))
            message = f"starting over: {changed} changed since the run that stopped"
            remove(self.blocks)
        else:
            message = "starting"
        if not self.blocks.is_dir():
            remove(self.blocks)
        self.blocks.mkdir(parents=True, exist_ok=True)
        for half in self.blocks.glob("*.tmp"):
            remove(half)
        if recorded.is_dir():
            remove(recorded)
        manifest.write_json(recorded, plan)
        return message

    def publish(self) -> None:
        """Move the finished dataset to its place, and remove the blocks."""
        manifest.write_text_whole(self.folder / _PUBLISHED, _digest_of(self.dataset))
        folders.publish(self.dataset, self.out)
        remove(self.blocks)

    def _is_published(self) -> bool:
        try:
            return (self.folder / _PUBLISHED).read_text(encoding="utf-8") == _digest_of(self.out)
        except (OSError, ValueError):
            return False

    def _clear(self) -> None:
        """Remove the folder, the lock last: whoever gets the next one finds the rest gone."""
        for path in self.folder.iterdir():
            if path.name != _LOCK:
                remove(path)
        (self.folder / _LOCK).unlink()
        self.folder.rmdir()


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _digest_of(dataset: Path) -> str:
    return manifest.file_digest(dataset / manifest.NAME)
