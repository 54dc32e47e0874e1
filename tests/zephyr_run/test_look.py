"""`zephyr run` looks at the training steps first: what they lack stops it before anything is fetched or written."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests import manifests
from tests.conftest import BARE, ROOT, zephyr
from tests.zephyr_run.conftest import RECIPE, Place
from zephyr_core import process, recipe
from zephyr_core.process import Ended
from zephyr_run import invocation
from zephyr_run.errors import StepFailed
from zephyr_run.look import look
from zephyr_run.run import RunRequest

GPU = {"name": "missing-gpu", "message": "16 GPUs", "hint": "--gpus 1, or --zero 0"}
BATCH = {"name": "batch-does-not-divide", "message": "6 of 4", "hint": "3"}
LACKS, FAULTS = (
    Ended(0, json.dumps({"lacks": [GPU], "faults": []})),
    Ended(2, json.dumps({"lacks": [], "faults": [BATCH]})),
)
SOUND = Ended(0, json.dumps({"lacks": [], "faults": []}))


@pytest.fixture
def bare(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """The environment of a machine without network and without training's packages."""
    place = tmp_path_factory.mktemp("bare")
    (place / "sitecustomize.py").write_text(BARE)
    return {"PYTHONPATH": f"{place}:{ROOT}", "HF_HOME": str(place / "cache")}


def test_the_papers_recipe_stops_before_it_fetches_or_writes_anything(tmp_path: Path, bare: Mapping[str, str]) -> None:
    done = zephyr("run", "--set", "dpo.micro_batch_size=3", cwd=tmp_path, **bare)
    assert done.returncode == 4 and done.stdout == ""
    first, *lines, hint = done.stderr.splitlines()
    assert first == "error: not begun, because later steps could not run here:"
    text = "\n".join(lines)
    assert "sft, dpo: missing-package: torch, transformers, trl, accelerate, deepspeed not installed" in text
    assert "  dpo: batch-does-not-divide: 48 = 3/GPU × 16 GPUs does not divide 32" in text
    assert hint == (
        "hint:  nothing was fetched or written; the data steps alone:"
        " `zephyr run --recipe zephyr-7b-beta --set dpo.micro_batch_size=3 --to binarize`"
    )
    assert list(tmp_path.iterdir()) == []


def test_data_steps_alone_need_no_gpu_and_no_package_of_training(empty: Place, bare: Mapping[str, str]) -> None:
    empty.zephyr("run", "--recipe", "quick.toml", "--to", "clean-ultrachat", **bare)
    assert (empty.run / "clean-ultrachat" / "manifest.json").is_file()


@pytest.fixture
def answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Ended]:
    """What the commands of the training steps answer; the words of each are under `asked`."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "quick.toml").write_text(RECIPE)
    ended = {"sft": SOUND, "dpo": SOUND}

    def start(argv: Sequence[str], environment: Mapping[str, str], **_: Any) -> Ended:
        words = argv[len(invocation.argv([])) :]
        assert words[-3:] == ["--dry-run", "--machine", "--json"] and environment["HF_HUB_OFFLINE"] == "1"
        asked.append(words[1])
        return ended[words[1]]

    asked.clear()
    monkeypatch.setattr(process, "start", start)
    return ended


asked: list[str] = []


def looked(first: str | None = None, last: str | None = None, *, fresh: bool = False) -> StepFailed | None:
    request = RunRequest(recipe.load("quick.toml"), first, last, fresh=fresh)
    loaded = request.loaded()
    try:
        look(request.steps(loaded), loaded, request.rebuilds, request.command)
    except StepFailed as fault:
        return fault
    return None


@pytest.mark.parametrize(
    ("first", "last", "fresh", "whole", "steps"),
    [
        (None, None, False, (), ["sft", "dpo"]),
        (None, "binarize", False, (), []),
        (None, "sft", False, (), ["sft"]),
        ("sft", None, False, (), ["dpo"]),  # the first one to make judges itself
        (None, None, False, ("clean-ultrachat", "binarize", "sft"), ["dpo"]),
        (None, None, False, ("sft", "dpo"), []),
        (None, None, True, ("sft", "dpo"), ["sft", "dpo"]),
        ("sft", None, True, ("sft", "dpo"), []),
    ],
)
def test_it_asks_the_training_steps_that_are_to_be_made_later(
    answers: dict[str, Ended], first: str | None, last: str | None, fresh: bool, whole: Sequence[str], steps: list[str]
) -> None:
    for name in whole:
        Path("runs/quick", name).mkdir(parents=True)
        manifests.write(Path("runs/quick", name), "model")
    assert looked(first, last, fresh=fresh) is None
    assert asked == steps


def test_equal_faults_are_said_once_in_the_words_of_the_run(answers: dict[str, Ended]) -> None:
    answers |= {"sft": LACKS}
    fault = looked()
    assert fault and fault.exit_code == 4
    assert "sft: missing-gpu: 16 GPUs\n    → --gpus 1, or --set sft.zero=0" in str(fault)
    answers |= {"sft": FAULTS, "dpo": FAULTS}
    fault = looked()
    assert fault and fault.exit_code == 2
    assert str(fault).count("batch-does-not-divide") == 1 and "sft, dpo: batch" in str(fault)
    assert fault.hint and fault.hint.endswith("`zephyr run --recipe quick.toml --to binarize`")
    for name in ("clean-ultrachat", "binarize"):
        Path("runs/quick", name).mkdir(parents=True)
        manifests.write(Path("runs/quick", name), "dialogues")
    fault = looked()
    assert fault and fault.hint == "nothing was fetched or written", "the data are there already"


def test_a_command_that_gives_no_answer_stops_the_run_with_its_code(answers: dict[str, Ended]) -> None:
    answers |= {"sft": Ended(70, "", "error: a fault of zephyr")}
    fault = looked()
    assert fault and fault.exit_code == 70 and "a fault of zephyr" in str(fault)
