"""kill -9 in dSFT, in the reference pass and in dDPO: the same command continues, to the weights of an undisturbed run."""

import json
import time
from pathlib import Path

import pytest

from tests.zephyr_train.conftest import World, weights
from tests.zephyr_train.damaging import damage_file, flipped

pytestmark = pytest.mark.long


def has_checkpoint(out: Path) -> bool:
    return any(out.with_name(out.name + ".state").glob("checkpoint-*/complete.json"))


def workers_of(out: Path) -> list[str]:
    lines = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = process.read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if "zephyr_train.worker" in line and str(out) in line:
            lines.append(line)
    return lines


def all_gone(out: Path) -> bool:
    deadline = time.monotonic() + 10
    while workers_of(out) and time.monotonic() < deadline:
        time.sleep(0.1)
    return not workers_of(out)


def complete(out: Path) -> list[Path]:
    """Return the checkpoints that were written to their end, the oldest first."""
    marks = out.with_name(out.name + ".state").glob("checkpoint-*/complete.json")
    return sorted((mark.parent for mark in marks), key=lambda path: int(path.name.rpartition("-")[2]))


@pytest.fixture(scope="module")
def stopped(world: World) -> Path:
    """A dSFT run, killed when it had two checkpoints."""
    out = world.folder / "stopped"
    world.kill_when(["train", "sft", "--out", out], lambda: len(complete(out)) == 2)
    assert all_gone(out), "a worker outlives the command that started it"
    assert not (out / "manifest.json").exists()
    return out


def test_a_stopped_run_is_not_continued_otherwise(world: World, stopped: Path, tmp_path: Path) -> None:
    others = tmp_path / "others.jsonl"
    others.write_text(300 * (Path(__file__).parent / "two_dialogues.jsonl").read_text())  # enough for several steps
    command = ["train", "sft", "--out", stopped]
    for change, differences in (
        (["--gpus", 2], "backend, world, gpus"),
        (["--zero", 3], "backend, zero"),
        (["--seed", 1], "seed"),
        (["--set", "max_grad_norm=0.5"], "settings"),
        (["--data", others], "tokens_digest"),
    ):
        done = world.zephyr(*command, *change, fails=True)
        assert "made differently; these differ: " in done.stderr
        assert differences in done.stderr
    job = (stopped / "job.json").read_text()
    (stopped / "job.json").write_text(job.replace(json.loads(job)["template_digest"], "another"))
    assert "template_digest" in world.zephyr(*command, fails=True).stderr
    (stopped / "job.json").write_text(job)
    assert world.zephyr(*command, "--resume", "--fresh", fails=True).returncode == 2


def test_dsft_continues_before_a_damaged_checkpoint_and_ends_with_the_undisturbed_weights_and_metrics(
    world: World, stopped: Path
) -> None:
    """That none is left, test_checkpoints shows; from the newest, dDPO below."""
    newest = complete(stopped)[-1]
    damage_file(newest / "model.safetensors", flipped)
    done = world.zephyr("train", "sft", "--out", stopped)
    assert f"{newest.name} is damaged: model.safetensors has changed" in done.stderr
    assert "continuing the run" in done.stderr
    assert weights(stopped) == weights(world.run("sft"))
    for split in ("train", "test"):
        assert world.metrics(stopped, split) == world.metrics(world.run("sft"), split)


def test_the_reference_pass_and_dpo_killed_end_with_the_undisturbed_weights(
    aligned: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    world, undisturbed = aligned, aligned.run("dpo")
    monkeypatch.setenv("ZEPHYR_RUNS", str(tmp_path / "runs"))  # where no reference is
    inputs = ["--model", world.run("sft"), "--data", world.run("binarize")]
    command = ["train", "dpo", *inputs, "--out", tmp_path / "killed"]
    artefacts = tmp_path / "runs" / "artefacts"

    world.kill_when(command, lambda: any(artefacts.glob("reference-*.partial/job.json")))
    assert all_gone(artefacts)
    assert not [folder for folder in artefacts.glob("reference-*") if not folder.name.endswith(".partial")]

    world.kill_when(command, lambda: has_checkpoint(tmp_path / "killed"))
    assert all_gone(tmp_path / "killed")
    assert "continuing the run" in world.zephyr(*command).stderr

    assert weights(tmp_path / "killed") == weights(undisturbed)
    assert world.metrics(tmp_path / "killed") == world.metrics(undisturbed)
    for epoch in (1, 2):
        margins = [
            (out / "margins" / f"epoch-{epoch}.parquet").read_bytes() for out in (tmp_path / "killed", undisturbed)
        ]
        assert margins[0] == margins[1], "each row's margin is kept across the kill"


def test_resume_wants_something_to_continue(world: World) -> None:
    done = world.zephyr("train", "sft", "--out", world.folder / "nothing", "--resume", fails=True)
    assert "has no run to continue" in done.stderr
