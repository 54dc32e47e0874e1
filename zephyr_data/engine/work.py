"""A run's unfinished work: `<out>.partial/`, which a later run continues and which is never mistaken for a dataset."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from zephyr_core import folder as folders
from zephyr_core import manifest
from zephyr_core.reading import json_file

PLAN = "plan.json"


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
        """
        with folders.lock(self.folder / "lock", busy=f"another run is writing to {self.out}"):
            try:
                yield
            finally:
                if not any(self.blocks.glob("*.parquet")):  # nothing that a later run could use
                    with suppress(OSError):
                        folders.discard(self.folder)

    def begin(self, plan: dict[str, object]) -> str:
        """Keep an earlier run's blocks if its plan is the same, else remove them; return what was done."""
        shutil.rmtree(self.dataset, ignore_errors=True)
        folders.restore(self.out)
        plan = json.loads(json.dumps(plan))
        recorded = self.folder / PLAN
        earlier = json_file(recorded)
        done = sum(1 for _ in self.blocks.glob("*.parquet"))
        if earlier == plan and done:
            message = f"continuing: {done} blocks are done"
        elif done:
            changed = ", ".join(sorted(key for key in plan if earlier.get(key) != plan[key]))
            message = f"starting over: {changed} changed since the run that stopped"
            shutil.rmtree(self.blocks)
        else:
            message = "starting"
        self.blocks.mkdir(parents=True, exist_ok=True)
        for half in self.blocks.glob("*.tmp"):
            half.unlink()
        manifest.write_json(recorded, plan)
        return message

    def publish(self) -> None:
        """Move the finished dataset to its place, and remove the blocks."""
        folders.publish(self.dataset, self.out)
        shutil.rmtree(self.blocks)
