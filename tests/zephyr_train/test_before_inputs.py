"""What `--dry-run --machine` says before model and rows exist: options and machine, never the inputs."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import zephyr
from zephyr_core import recipe
from zephyr_train.preflight import examine as examining
from zephyr_train.preflight import machine
from zephyr_train.preflight.examination import Examination
from zephyr_train.request import TrainRequest


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder on a machine without a GPU."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(machine, "gpus_here", list)


def examination(step: str, **changes: Any) -> Examination:
    request = TrainRequest.typed(step, {"recipe": recipe.load("tiny"), **changes})
    return examining.examine(request, dry=True, with_inputs=False)


def names(seen: Examination) -> tuple[list[str], list[str]]:
    return [fault.name for fault in seen.faults], [lack.name for lack in seen.lacks]


@pytest.mark.parametrize("step", ["sft", "dpo"])
@pytest.mark.parametrize(
    ("changes", "faults", "lacks"),
    [
        ({}, [], []),
        ({"attention": "flash_attention_3", "precision": "bf16"}, [], ["missing-package", "missing-gpu"]),
        ({"gpus": 3}, ["batch-does-not-divide"], []),
        ({"set": ("no_such_thing=1",)}, ["unknown-option"], []),
        ({"data": "nowhere.jsonl", "model": "nowhere/at/all"}, [], []),
    ],
)
def test_options_and_machine_are_judged_and_inputs_are_not(
    step: str, changes: dict[str, Any], faults: list[str], lacks: list[str]
) -> None:
    assert names(examination(step, **changes)) == (faults, lacks)


def test_no_input_is_looked_for_and_a_broken_model_is_left_to_the_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("find_rows", "find_model", "examine_rows", "examine_output"):
        monkeypatch.setattr(examining, name, None)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{")
    assert names(examination("sft", model="model")) == ([], [])


def test_a_disk_without_room_for_the_checkpoints_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda place: shutil._ntuple_diskusage(9, 8, 1))
    assert names(examination("dpo"))[1] == ["no-disk"]


def test_the_command_writes_nothing_and_its_code_is_that_of_a_dry_run(tmp_path: Path) -> None:
    words = ("train", "sft", "--recipe", "tiny", "--dry-run", "--machine")
    assert zephyr(*words, cwd=tmp_path).returncode == 0
    done = zephyr(*words, "--gpus", "3", cwd=tmp_path)
    assert done.returncode == 2 and "batch-does-not-divide" in done.stderr
    assert zephyr(*(word for word in words if word != "--dry-run"), cwd=tmp_path).returncode == 2
    assert [*tmp_path.iterdir()] == []
