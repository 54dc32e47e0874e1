"""Two machines, rehearsed on one: the real command twice, with a real rendezvous, in every order of arrival."""

import json
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.system import Running, is_one_clear_error
from tests.zephyr_train.conftest import World, weights
from tests.zephyr_train.test_killed import all_gone, complete, has_checkpoint
from zephyr_core import manifest
from zephyr_core.process import FAILURE, stamp

pytestmark = pytest.mark.slow

FIRST, SECOND = 0, 1
DONE = {FIRST: 0, SECOND: 3}


class Machines:
    """Two machines with one folder, each with its own command."""

    def __init__(self, world: World, out: Path, *more: object) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = str(free.getsockname()[1])
        self._world, self._out, self._more = world, out, more
        self.running: dict[int, Running] = {}

    def start(self, rank: int) -> None:
        """Start the command on a machine, and return once its processes wait for the other's."""
        own = self._out if rank == FIRST else self._out.with_name(f"{self._out.name}.node1")
        before = stamp(own / "launch.yaml")
        self.begin(rank)
        self.running[rank].reach(lambda: stamp(own / "launch.yaml") not in (None, before))

    def begin(self, rank: int) -> None:
        words = ["train", "sft", "--nodes", 2, "--gpus", 2, "--recipe", "quick.toml", "--out", self._out, *self._more]
        place = {"NODE_RANK": str(rank), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": self._port}
        self.running[rank] = Running(*words, cwd=self._world.folder, OMP_NUM_THREADS="1", **place)

    def reach(self, reached: Callable[[], bool]) -> None:
        self.running[SECOND].reach(lambda: reached() or self.running[FIRST].process.poll() is not None)

    def end(self) -> dict[int, int]:
        return {rank: running.end() for rank, running in self.running.items()}

    def said(self, rank: int) -> str:
        return self.running[rank].output


@pytest.fixture(scope="module")
def undisturbed(world: World) -> Path:
    """Return a run of two machines, of which the second one came first."""
    out = world.folder / "two-machines"
    machines = Machines(world, out)
    machines.start(SECOND)
    assert not out.exists(), "the first machine makes what they share"
    machines.start(FIRST)
    assert machines.end() == DONE, machines.said(FIRST) + machines.said(SECOND)
    assert "waits for the first one at 127.0.0.1:" in machines.said(SECOND)
    return out


def test_two_machines_have_the_losses_of_one_process_and_leave_one_folder(world: World, undisturbed: Path) -> None:
    """The last step is left out: there two processes fill up an odd row."""
    losses = [[row["loss"] for row in world.metrics(out)][:-1] for out in (undisturbed, world.run("sft"))]
    assert losses[0] == pytest.approx(losses[1], abs=1e-4)
    job = json.loads((undisturbed / "job.json").read_text())
    assert (job["backend"], job["world"], job["options"]["nodes"]) == ("ddp", 2, 2)
    assert not list(undisturbed.parent.glob("two-machines?*")), "neither checkpoints nor the second machine's files"
    assert set(manifest.read(undisturbed)["files"]) == set(manifest.read(world.run("sft"))["files"])


def test_machines_that_are_killed_continue_in_any_order_to_the_undisturbed_weights(
    world: World, undisturbed: Path
) -> None:
    out = world.folder / "two-killed"
    machines = Machines(world, out)
    machines.begin(FIRST)
    machines.begin(SECOND)
    machines.reach(lambda: has_checkpoint(out))
    machines.running[SECOND].end(signal.SIGKILL)
    killed = time.monotonic()
    assert machines.running[FIRST].end() == 4
    assert time.monotonic() - killed < 30, "the first machine ends with the second"
    assert "the command that started rank 1 on " in machines.said(FIRST) and is_one_clear_error(machines.said(FIRST))
    assert all_gone(out)

    machines.start(FIRST)
    machines.begin(SECOND)
    machines.reach(lambda: len(complete(out)) == 2)
    for running in machines.running.values():
        running.process.send_signal(signal.SIGKILL)
    assert machines.end() == {FIRST: 137, SECOND: 137}
    assert all_gone(out) and (out / FAILURE).is_file(), "there is an older failure to stumble over"

    machines.start(SECOND)
    machines.start(FIRST)
    assert machines.end() == DONE, machines.said(FIRST) + machines.said(SECOND)
    assert "continuing the run" in machines.said(FIRST)
    assert weights(out) == weights(undisturbed)
    assert world.metrics(out) == world.metrics(undisturbed)


def test_with_fresh_the_first_machine_discards_and_the_second_waits(world: World, undisturbed: Path) -> None:
    """With DeepSpeed, whose processes accelerate starts, as those of every run on GPUs."""
    machines = Machines(world, undisturbed, "--zero", 2)
    machines.begin(FIRST)
    assert machines.end() == {FIRST: 2} and "discard it with --fresh" in machines.said(FIRST)
    before = weights(undisturbed)

    machines = Machines(world, undisturbed, "--zero", 2, "--fresh")
    machines.start(SECOND)
    time.sleep(2)
    assert weights(undisturbed) == before, "it neither discards nor takes the old run for this one"
    machines.start(FIRST)
    assert machines.end() == DONE, machines.said(FIRST) + machines.said(SECOND)
    assert json.loads((undisturbed / "job.json").read_text())["backend"] == "deepspeed-2"
    assert manifest.read(undisturbed)["verified"] and weights(undisturbed) != before
