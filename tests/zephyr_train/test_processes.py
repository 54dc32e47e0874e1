"""Two processes, launched by the real command: DeepSpeed ZeRO-3 and DDP give what one process gives."""

import json
import math
from pathlib import Path

import pytest

from tests.zephyr_train.conftest import World, weights
from tests.zephyr_train.test_killed import all_gone, has_checkpoint
from zephyr_core import manifest

pytestmark = pytest.mark.slow


def losses(world: World, out: Path | str) -> list[float]:
    return [row["loss"] for row in world.metrics(out)]


@pytest.fixture(scope="module")
def alone(world: World, published_pairs: Path) -> Path:
    """Return the run of one process."""
    world.zephyr("train", "dpo", "--data", published_pairs, "--out", "alone")
    return world.folder / "alone"


@pytest.mark.parametrize(("zero", "backend"), [(3, "deepspeed-3"), (0, "ddp")])
def test_the_loss_curve_of_two_processes_is_that_of_one(
    world: World, alone: Path, published_pairs: Path, zero: int, backend: str
) -> None:
    out = world.folder / f"two-{zero}"
    command = ["train", "dpo", "--data", published_pairs, "--gpus", 2, "--zero", zero, "--out", out]
    world.zephyr(*command)
    job = json.loads((out / "job.json").read_text())
    assert (job["backend"], job["world"], job["accumulation"]) == (backend, 2, 1)
    assert losses(world, out) == pytest.approx(losses(world, alone), abs=1e-5)
    assert manifest.read(out)["verified"]["logps_difference"] < 1e-4
    assert backend in (out / "model" / "README.md").read_text()


def test_a_second_model_under_zero_3_has_its_own_reference(world: World, published_pairs: Path) -> None:
    """TRL's own cache takes the first model's log-probs here, since ZeRO-3 leaves it only empty weights to hash."""
    first = json.loads((world.folder / "two-3" / "job.json").read_text())["reference"]
    command = ["train", "dpo", "--data", published_pairs, "--gpus", 2, "--zero", 3]
    world.zephyr(*command, "--model", world.run("student"), "--out", "second-dpo")
    second = json.loads((world.folder / "second-dpo" / "job.json").read_text())["reference"]
    assert first != second
    rows = world.metrics("second-dpo")
    assert rows[0]["loss"] == pytest.approx(math.log(2), abs=1e-4)
    assert rows[0]["margin"] == pytest.approx(0, abs=1e-4)


def test_a_zero_3_run_killed_ends_with_the_undisturbed_weights(world: World, published_pairs: Path) -> None:
    out = world.folder / "killed-3"
    command = ["train", "dpo", "--data", published_pairs, "--gpus", 2, "--zero", 3, "--out", out]
    world.kill_when(command, lambda: has_checkpoint(out))
    assert all_gone(out)
    assert "continuing the run" in world.zephyr(*command).stderr
    assert losses(world, out) == losses(world, world.folder / "two-3")
    assert weights(out) == weights(world.folder / "two-3")


def test_dsft_on_two_processes_has_the_losses_of_one(world: World) -> None:
    """The last step of an epoch is left out: there two processes fill up an odd row."""
    world.zephyr("train", "sft", "--gpus", 2, "--zero", 3, "--out", "two-sft")
    assert losses(world, "two-sft")[:-1] == pytest.approx(losses(world, world.run("sft"))[:-1], abs=1e-4)


@pytest.mark.parametrize(("words", "rate"), [((), 5e-7), (("--lora",), 1e-3)], ids=["full", "lora"])
def test_bf16_under_zero_3_begins_at_ln_2_and_is_continued(
    world: World,
    published_pairs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    rate: float,
) -> None:
    """The paper's numerics: bf16 weights, DeepSpeed's fp32 masters, its own rate. Margins are tighter than the guard's."""
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", str(tmp_path / "compiled"))
    (world.folder / "bf16-3.toml").write_text(
        f'extends = "quick.toml"\nabout = "t"\n[dpo]\nprecision = "bf16"\nlearning_rate = {rate}\nzero = 3\ngpus = 2\n'
        "micro_batch_size = 2\nepochs = 1\nsave_every = 2\n"
    )
    command = ["train", "dpo", *words, "--model", world.run("sft"), "--data", published_pairs, "--out"]
    world.zephyr(*command, tmp_path / "whole", recipe="bf16-3.toml")
    job = json.loads((tmp_path / "whole" / "job.json").read_text())
    assert (job["numerics"], job["backend"]) == ("bf16", "deepspeed-3")
    first = world.metrics(tmp_path / "whole")[0]
    assert first["loss"] == pytest.approx(math.log(2), abs=1e-3)
    assert first["margin"] == pytest.approx(0, abs=1e-3)
    assert not (tmp_path / "compiled").exists(), "nothing is compiled at the start of a run"

    killed = tmp_path / "killed"
    world.kill_when([*command, killed], lambda: has_checkpoint(killed), recipe="bf16-3.toml")
    assert "continuing the run" in world.zephyr(*command, killed, recipe="bf16-3.toml").stderr
    assert weights(killed) == weights(tmp_path / "whole")
