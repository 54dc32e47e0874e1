"""A recipe that runs in a minute, and a whole run of it, of which tests take copies."""

import json
import shutil
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import SMALL_STUDENT, zephyr
from tests.system import Running

NAMES = ("clean-ultrachat", "binarize", "student", "sft", "reference", "dpo")
RECIPE = f"""
extends = "tiny"
about = "for tests"
[clean-ultrachat]
sources = ["samples:ultrachat"]
limit = 90
[binarize]
sources = ["samples:ultrafeedback"]
test_prompts = 2
{SMALL_STUDENT}[sft]
epochs = 1
global_batch_size = 8
max_length = 256
save_every = 2
[dpo]
epochs = 1
max_length = 256
max_prompt_length = 128
save_every = 4
learning_rate = 1e-3
"""


@dataclass
class Place:
    """A folder with a recipe, in which commands run."""

    folder: Path

    @property
    def run(self) -> Path:
        return self.folder / "runs" / "quick"

    def zephyr(self, *words: object, code: int = 0, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command; it must end with that exit code."""
        done = zephyr(*words, cwd=self.folder, OMP_NUM_THREADS="1", **environment)
        assert done.returncode == code, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def chain(self, *words: object, code: int = 0) -> subprocess.CompletedProcess[str]:
        return self.zephyr("run", "--recipe", "quick.toml", *words, code=code)

    def outcomes(self, *words: object) -> dict[str, str]:
        """Run the chain; return what became of each step."""
        told = json.loads(self.chain(*words, "--json").stdout)
        return {name: entry["outcome"] for name, entry in told["steps"].items()}

    def states(self, *words: object) -> dict[str, str]:
        told = json.loads(self.zephyr("status", "--recipe", "quick.toml", "--json", *words).stdout)
        return {name: entry["state"] for name, entry in told["steps"].items()}

    def record(self) -> dict[str, Any]:
        return dict(json.loads((self.run / "run.json").read_text())["steps"])

    def weights(self, step: str) -> bytes:
        return (self.run / step / "model" / "model.safetensors").read_bytes()

    def change_recipe(self, before: str, after: str) -> None:
        file = self.folder / "quick.toml"
        assert before in file.read_text()
        file.write_text(file.read_text().replace(before, after))

    def kill_when(self, words: list[object], reached: Callable[[], bool]) -> None:
        """Start `zephyr run` and kill -9 that process, and no other, as soon as `reached`."""
        running = Running("run", "--recipe", "quick.toml", *words, cwd=self.folder, OMP_NUM_THREADS="1")
        running.reach(reached)
        running.end(signal.SIGKILL)


def flip_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.fixture
def empty(tmp_path: Path) -> Place:
    (tmp_path / "quick.toml").write_text(RECIPE)
    return Place(tmp_path)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A run of all steps, which no test may change."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "quick.toml").write_text(RECIPE)
    place = Place(folder)
    (folder / "told.txt").write_text(place.chain().stdout)
    return place


@pytest.fixture
def copy(finished: Place, tmp_path: Path) -> Place:
    """The run's own copy for a test."""
    shutil.copytree(finished.folder, tmp_path, dirs_exist_ok=True)
    return Place(tmp_path)
