"""`zephyr run` as typed: which steps, exit codes, the plan on a bare machine, two at once, ctrl-c."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

from tests.conftest import BARE, zephyr
from tests.zephyr_run.conftest import NAMES, RECIPE, Place
from zephyr_core import manifest


@pytest.fixture(scope="module")
def with_rows(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A run up to its pairs, of which tests take copies."""
    folder = tmp_path_factory.mktemp("rows")
    (folder / "quick.toml").write_text(RECIPE)
    place = Place(folder)
    assert place.outcomes("--to", "binarize") == {"clean-ultrachat": "done", "binarize": "done"}
    return place


def test_from_and_to_choose_the_steps(empty: Place, with_rows: Place) -> None:
    shutil.copytree(with_rows.run, empty.run)
    assert empty.outcomes("--from", "binarize", "--to", "binarize") == {"binarize": "skipped"}
    assert "binarize comes before sft" in empty.chain("--from", "sft", "--to", "binarize", code=2).stderr
    assert f"the steps are {', '.join(NAMES)}" in empty.chain("--from", "eval", code=2).stderr
    done = empty.chain("--from", "reference", code=4)
    assert "runs/quick/sft has no finished model" in done.stderr
    assert "reference ended with exit code 4; not run: dpo" in done.stderr
    assert empty.record()["reference"]["state"] == "failed" and "dpo" not in empty.record()


def test_other_sources_are_used_kept_and_compared(empty: Place) -> None:
    rows = [{"id": str(row), "data": [f"What is plum {row}?", f"Plum {row} is a blue one."]} for row in range(8)]
    (empty.folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = ("--dialogues", "rows.jsonl", "--to", "clean-ultrachat")
    assert empty.outcomes(*words) == {"clean-ultrachat": "done"}
    assert "rows.jsonl" in empty.record()["clean-ultrachat"]["command"]
    kept = (empty.run / "recipe" / "quick.toml").read_text()
    assert f'sources = ["{empty.folder / "rows.jsonl"}"]' in kept
    assert empty.outcomes(*words) == {"clean-ultrachat": "skipped"}
    assert "these differ: sources" in empty.chain("--to", "clean-ultrachat", code=2).stderr
    assert f'sources = ["{empty.folder / "rows.jsonl"}"]' in (empty.run / "recipe" / "quick.toml").read_text()


def test_a_step_that_fails_stops_the_rest_with_its_exit_code(empty: Place) -> None:
    done = empty.chain("--dialogues", "absent.jsonl", code=2)
    assert "no raw file at 'absent.jsonl'" in done.stderr
    assert "clean-ultrachat ended with exit code 2; not run: binarize, student, sft, reference, dpo" in done.stderr
    assert not (empty.run / "binarize").exists() and not (empty.run / "report.html").exists()
    (empty.folder / "cut.jsonl").write_text("not json\n")
    assert "clean-ultrachat ended with exit code 5" in empty.chain("--dialogues", "cut.jsonl", code=5).stderr


def test_a_recipe_that_cannot_be_carried_out_is_refused_before_the_first_step(empty: Place) -> None:
    empty.change_recipe("[dpo]", "[dpo]\nbeta = -1.0")
    assert "beta is -1.0" in empty.chain(code=2).stderr
    assert not empty.run.exists()


def test_the_papers_plan_needs_neither_network_nor_torch(tmp_path: Path) -> None:
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "sitecustomize.py").write_text(BARE)  # for every process that a command starts, too
    (tmp_path / "here").mkdir()
    words = ("run", "--dry-run", "--recipe", "zephyr-7b-beta")
    bare = {"PYTHONPATH": str(tmp_path / "bare"), "HF_HOME": str(tmp_path / "cache")}
    done = zephyr(*words, cwd=tmp_path / "here", **bare)
    assert done.returncode == 0, done.stderr
    names = [name for name in NAMES if name != "student"]  # the paper's is a model on the Hub
    for number, name in enumerate(names, start=1):
        assert f"== {number} of 5: {name}" in done.stdout
        group = "train" if name in ("sft", "reference", "dpo") else "data"
        assert f"$ zephyr {group} {name} --recipe zephyr-7b-beta\n" in done.stdout
    for line in (
        "sources          stingning/ultrachat",
        "size             230,975",
        "not looked at: openbmb/UltraFeedback is on the Hub",
        "batch   512 = 16/GPU × 16 GPUs × 2",
        "→ 3     none        yes                30.7  fits",
        "forward passes, no gradients: 2 pairs per GPU × 16 GPUs, 1,024 tokens a row at most",
        "rows    61,135 pairs (",
        "steps   5,733 = 1,911 × 3 epochs, 574 of them warm-up",
        "→ 3     cached      yes                15.8  fits",
        "missing-package: torch, transformers, trl, accelerate, deepspeed not installed",
    ):
        assert line in done.stdout, line
    assert list((tmp_path / "here").iterdir()) == []
    told = json.loads(zephyr(*words, "--json", cwd=tmp_path / "here", **bare).stdout)
    plans = {step["step"]: step["plan"] for step in told["steps"]}
    assert plans["dpo"]["plan"]["steps"] == 5733
    assert plans["binarize"]["options"]["sources"] == ["openbmb/UltraFeedback"]


def test_rows_that_are_not_here_are_the_papers_for_the_papers_sources_alone(empty: Place) -> None:
    assert "61,135" not in empty.chain("--dry-run").stdout
    told = json.loads(empty.chain("--dry-run", "--json", "--dialogues", "absent.jsonl", code=2).stdout)
    plans = {step["step"]: step["plan"] for step in told["steps"]}
    assert plans["dpo"]["plan"]["rows"]["rows"] is None and plans["dpo"]["plan"]["steps"] is None
    error = told["steps"][0]["error"]
    assert plans["clean-ultrachat"] is None and "no raw file at 'absent.jsonl'" in error, "why a step has no plan"


def test_a_plan_with_faults_is_told_whole_and_ends_with_their_code(empty: Place) -> None:
    empty.change_recipe("save_every = 4", "save_every = 4\nmicro_batch_size = 3")
    done = empty.chain("--dry-run", code=2)
    assert "would write runs/quick/clean-ultrachat" in done.stdout
    assert "batch-does-not-divide: 3 = 3/GPU × 1 GPUs" in done.stdout
    assert "== 6 of 6: dpo" in done.stdout
    assert "the plan has faults: dpo" in done.stderr
    assert not empty.run.exists()


def test_a_place_that_cannot_hold_runs_is_told(empty: Place) -> None:
    (empty.folder / "runs").write_text("a file")
    done = empty.chain(code=4)
    assert "runs/quick cannot be a run directory: Not a directory" in done.stderr and "ZEPHYR_RUNS" in done.stderr


def test_the_kept_recipe_has_every_kind_of_note_and_is_written_anew_when_damaged(empty: Place) -> None:
    recipe = empty.folder / "quick.toml"
    note = 'what = "x\\u007f"\nsince = 2024-01-31\n"a key" = {how = [1.5, true], at = 07:30:00}\n'
    recipe.write_text(recipe.read_text() + "[[deviations]]\n" + note)
    empty.chain("--to", "clean-ultrachat")
    kept = empty.run / "recipe" / "quick.toml"
    whole = kept.read_text()
    assert tomllib.loads(whole)["deviations"][-1] == tomllib.loads(note)
    kept.write_text(whole[:-40])
    empty.chain("--to", "clean-ultrachat")
    assert kept.read_text() == whole


def test_of_two_at_once_the_second_waits(empty: Place, tmp_path: Path) -> None:
    empty.run.mkdir(parents=True)
    hold = "import fcntl, sys, time; file = open(sys.argv[1], 'w'); fcntl.flock(file, fcntl.LOCK_EX); print('held', flush=True)"
    command = [sys.executable, "-c", f"{hold}; time.sleep(2)", str(empty.run / ".run.lock")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout and other.stdout.readline() == "held\n"
        done = empty.chain("--to", "clean-ultrachat")
    assert "is locked by another run, or by a command that a killed run left behind: waiting" in done.stderr
    assert manifest.is_whole(empty.run / "clean-ultrachat")


@pytest.mark.long
@pytest.mark.parametrize("by_terminal", [True, False])
def test_ctrl_c_ends_the_command_too(empty: Place, with_rows: Place, by_terminal: bool) -> None:
    shutil.copytree(with_rows.run, empty.run)
    words = ["run", "--recipe", "quick.toml", "--from", "sft", "--to", "sft"]
    with (empty.folder / "told.txt").open("w") as log:
        run = subprocess.Popen(
            [sys.executable, "-c", "import cli; cli.main()", *words],
            cwd=empty.folder,
            stderr=log,
            stdout=log,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            start_new_session=True,
        )
    deadline = time.monotonic() + 120
    while not (empty.run / "sft" / "job.json").exists():
        assert run.poll() is None and time.monotonic() < deadline, (empty.folder / "told.txt").read_text()
        time.sleep(0.05)
    os.killpg(run.pid, signal.SIGINT) if by_terminal else run.send_signal(signal.SIGINT)
    assert run.wait(30) == 130
    told = (empty.folder / "told.txt").read_text()
    assert told.rstrip().endswith("stopped; the same command continues") and told.count("stopped;") == 1
    assert empty.states()["sft"] == "stopped half-way"
