"""A small world for training tests: embedded rows, a student of a few thousand weights, real processes."""

import json
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import SMALL_STUDENT, zephyr
from tests.system import Running
from tests.zephyr_train.model_folder import build
from zephyr_train.preflight import machine

RECIPE = f"""
extends = "tiny"
about = "for tests"
[clean-ultrachat]
sources = ["samples:ultrachat"]
limit = 110
[binarize]
sources = ["samples:ultrafeedback"]
test_prompts = 2
{SMALL_STUDENT}[sft]
epochs = 1
global_batch_size = 8
max_length = 256
save_every = 4
[dpo]
epochs = 2
global_batch_size = 8
micro_batch_size = 4
max_length = 256
max_prompt_length = 128
save_every = 4
learning_rate = 1e-3
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder on a machine without a GPU, where no model was found sound before."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("ZEPHYR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(machine, "gpus_here", list)
    yield folder


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model of ours."""
    return build(tmp_path_factory.mktemp("built") / "student")


@pytest.fixture
def foreign(student: Path, tmp_path: Path) -> Path:
    """A model of somebody else: without a manifest of ours."""
    folder = Path(shutil.copytree(student, tmp_path / "foreign"))
    (folder / "manifest.json").unlink()
    return folder


@dataclass
class World:
    """A folder with a recipe and its datasets, in which commands run."""

    folder: Path

    def zephyr(
        self, *arguments: object, fails: bool = False, recipe: str = "quick.toml"
    ) -> subprocess.CompletedProcess[str]:
        """Run a command with the recipe; it must end with 0, or not, when `fails`."""
        recipe_options = () if {"suspects", "publish", "pull"} & {*arguments} else ("--recipe", recipe)
        done = zephyr(*arguments, *recipe_options, cwd=self.folder, OMP_NUM_THREADS="1")
        assert (done.returncode != 0) == fails, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def run(self, name: str) -> Path:
        return self.folder / "runs" / "quick" / name

    def metrics(self, out: Path | str, split: str = "train") -> list[dict[str, Any]]:
        lines = (self.folder / out / "metrics.jsonl").read_text().splitlines()
        return [row for row in map(json.loads, lines) if row["split"] == split]

    def kill_when(
        self,
        arguments: list[object],
        reached: Callable[[], bool],
        by: signal.Signals = signal.SIGKILL,
        recipe: str = "quick.toml",
    ) -> int:
        """Start a command, kill it as soon as `reached`, return its exit code; its workers must be gone soon after."""
        running = Running(*arguments, "--recipe", recipe, cwd=self.folder, OMP_NUM_THREADS="1")
        running.reach(reached)
        return running.end(by)


PROMPTS = ("Name a river", "Name a tree", "Count to three", "Say hello", "What is rain", "Who bakes bread")
GOOD = ("Gladly: {} is a fine thing to ask, and here is a whole sentence about it.", "Of course. {}? Here you are.")
BAD = ("no", "{}? go away", "dunno dunno dunno dunno dunno")


@pytest.fixture(scope="session")
def published_pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """48 pairs in the columns of the published set, in one file: no test split, and whole steps of 8."""
    file = tmp_path_factory.mktemp("published") / "pairs.jsonl"
    with file.open("w") as stream:
        for number in range(48):
            prompt = f"{PROMPTS[number % 6]}, please ({number})."
            good, bad = GOOD[number % 2].format(prompt), BAD[number % 3].format(prompt)
            user_turn = {"role": "user", "content": prompt}
            chosen, rejected = ([user_turn, {"role": "assistant", "content": text}] for text in (good, bad))
            row = {"prompt": prompt, "prompt_id": f"{number:064x}", "chosen": chosen, "rejected": rejected}
            stream.write(json.dumps({**row, "messages": chosen, "score_chosen": 8.0, "score_rejected": 2.0}) + "\n")
    return file


def weights(out: Path) -> bytes:
    """Return the bytes of a run's weight file."""
    return (out / "model" / "model.safetensors").read_bytes()


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """The two datasets of the embedded samples, and a dSFT model."""
    folder = tmp_path_factory.mktemp("world")
    (folder / "quick.toml").write_text(RECIPE)
    world = World(folder)
    world.zephyr("data", "clean-ultrachat")
    world.zephyr("data", "binarize")
    world.zephyr("train", "sft")
    return world


@pytest.fixture(scope="session")
def aligned(world: World) -> World:
    """The same with a dDPO model."""
    world.zephyr("train", "dpo")
    return world
