import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

from tests.hub_server import HubServer, running
from tests.system import COMMAND, SmallDisk, small_disk
from tests.writing_hub import WritingHub, writing_hub
from zephyr_core import recipe
from zephyr_data.cleaning.ultrachat import CLEANING
from zephyr_data.engine.step import DataStep
from zephyr_data.make import DataRequest, refuse_cut_inputs
from zephyr_data.make import run as run_step
from zephyr_data.pairing.binarize import BINARIZING

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("SHARED_FOR_TESTS", ROOT.parent / "shared")) / "data"


def dialogue(*turns: str, row_id: str = "0") -> str:
    return json.dumps({"id": row_id, "data": list(turns)}, ensure_ascii=False)


# What makes a Python process one of a bare machine: no network, and none of training's packages.
BARE = """
import socket, sys
for name in ("torch", "trl", "transformers", "deepspeed", "accelerate", "peft"):
    sys.modules[name] = None
def refuse(*arguments, **named):
    raise OSError("no network")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
"""


@pytest.fixture(scope="session")
def grammar() -> ModuleType:
    """The script that tells the world of the recipe `tiny`."""
    spec = importlib.util.spec_from_file_location("make_grammar", ROOT / "recipes" / "samples" / "make_grammar.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put files with long tests first: with one of them at the end the other workers would only wait for it."""
    long = {item.path for item in items if item.get_closest_marker("long")}
    items.sort(key=lambda item: item.path not in long)


# Files of zephyr_train whose tests share trained models. Without a second process they are trained once anyway.
SHARING = ("damaged", "killed", "lora", "packed_check", "published", "real_training", "silent_faults", "training")


class Scheduling(LoadFileScheduling):
    """Gives each process whole files, and one process all files that share trained models."""

    def _split_scope(self, nodeid: str) -> str:
        file = str(super()._split_scope(nodeid))
        shares = any(file.endswith(f"zephyr_train/test_{name}.py") for name in SHARING)
        return "trained models" if shares else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling | None:
    return Scheduling(config, log) if config.getvalue("dist") == "loadfile" else None


@pytest.fixture
def hub_server(tmp_path: Path) -> Iterator[HubServer]:
    """A server process that answers as the Hub does."""
    with running(tmp_path / "server") as server:
        yield server


@pytest.fixture(scope="session")
def writing_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WritingHub]:
    """A server process to which one can publish, for all tests."""
    with writing_hub(tmp_path_factory.mktemp("hub") / "server") as server:
        yield server


@pytest.fixture
def server(writing_process: WritingHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WritingHub:
    """The same, empty, and taken for the Hub by this process and those that it starts."""
    writing_process.begin()
    writing_process.use(monkeypatch, tmp_path / "home")
    for name, value in writing_process.environment(tmp_path / "home").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(time, "sleep", lambda _: None)  # the client's, between two tries
    return writing_process


News = Callable[[], list[str]]


@pytest.fixture
def news(capsys: pytest.CaptureFixture[str]) -> News:
    """Return the lines of news on stderr since the last call."""

    def lines() -> list[str]:
        return capsys.readouterr().err.splitlines()

    return lines


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write lines to a file under tmp_path and return it."""

    def write_lines(lines: Iterable[str | bytes], name: str = "rows.jsonl") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        whole = b"".join((line if isinstance(line, bytes) else line.encode()) + b"\n" for line in lines)
        path.write_bytes(whole)
        return path

    return write_lines


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """A disk of its own, that a test may fill or make read-only."""
    with small_disk(tmp_path / "disk") as mounted:
        yield mounted


# Of a recipe: a model of a few thousand weights, which is trained in seconds.
SMALL_STUDENT = """[student]
vocabulary = 384
hidden_size = 32
intermediate_size = 64
layers = 2
"""

# Of our own writing, each with what must become of it; the recipe `tiny` has those of the grammar too.
SAMPLES = {"clean-ultrachat": ("samples:ultrachat",), "binarize": ("samples:ultrafeedback",)}


def runner(step: DataStep[Any], folder: Path, default_out: str) -> Callable[..., dict[str, Any]]:
    """Return a function that runs a step's entry point on files and returns the manifest. Further arguments are flags."""

    def run(
        *sources: Path | str, out: str = default_out, workers: int = 1, overwrite: bool = False, **flags: Any
    ) -> dict[str, Any]:
        flags["sources"] = tuple(map(str, sources)) or SAMPLES[step.name]
        request = DataRequest(recipe.load("zephyr-7b-beta"), flags, folder / out, workers, overwrite=overwrite)
        content = run_step(step, request)[0]
        refuse_cut_inputs(content)
        return content

    return run


@pytest.fixture
def clean(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Clean dialogues of files, or the samples."""
    return runner(CLEANING, tmp_path, "out")


@pytest.fixture
def binarize(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Make pairs of rated rows in files, or of the samples."""
    return runner(BINARIZING, tmp_path, "pairs")


def zephyr(
    *arguments: object, cwd: Path | None = None, code: str = COMMAND, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the installed command in a process of its own; `code` starts it."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env={**os.environ, "COLUMNS": "200", **environment},
    )


def shared(name: str) -> Path:
    """Return a file of real rows, or skip the test where they are not at hand."""
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"real rows are not here: {path}")
    return path
