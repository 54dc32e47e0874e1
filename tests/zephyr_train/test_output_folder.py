"""The disk that a run asks for: what is missing for its checkpoints and its model."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from zephyr_core import recipe
from zephyr_train.preflight import machine
from zephyr_train.preflight.examine import examine
from zephyr_train.request import TrainRequest

pytestmark = pytest.mark.usefixtures("here")
MISSING = 1_000  # bytes
Lacks = Callable[..., list[str]]


@pytest.fixture
def lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lacks:
    """Examine the disk for a run that begins, on which MISSING bytes are missing."""

    def of_machine(*, fresh: bool = False) -> list[str]:
        parameters = {"recipe": recipe.load("tiny"), "out": str(tmp_path / "run"), "attention": "sdpa", "fresh": fresh}
        found = examine(TrainRequest.typed("sft", parameters), dry=True, with_inputs=False)
        assert found.plan is not None and found.plan.disk is not None
        needs.append(found.plan.disk.total)
        return [fault.name for fault in found.lacks]

    needs: list[int] = []
    assert of_machine() == []
    free = needs[0] - MISSING
    assert free > 0
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda place: shutil._ntuple_diskusage(0, 0, free))
    assert of_machine() == ["no-disk"]
    return of_machine


@pytest.mark.parametrize("place", ["run.state/checkpoint-300/optimizer.pt", "run/weights/model.safetensors"])
@pytest.mark.parametrize("fresh", [False, True])
def test_what_a_run_has_written_before_it_does_not_ask_for_again(
    lacks: Lacks, tmp_path: Path, place: str, fresh: bool
) -> None:
    """`--fresh` discards it before it writes."""
    file = tmp_path / place
    file.parent.mkdir(parents=True)
    file.write_bytes(bytes(MISSING - 1))
    assert lacks(fresh=fresh) == ["no-disk"]
    file.write_bytes(bytes(MISSING))
    assert lacks(fresh=fresh) == []


def test_a_finished_run_asks_for_nothing(lacks: Lacks, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "manifest.json").write_text("{}")
    assert lacks() == []
    assert lacks(fresh=True) == ["no-disk"]
