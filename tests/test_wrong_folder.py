"""A command given a folder of another kind says what the folder is and what is meant, with exit code 2."""

from pathlib import Path

import pytest

import cli
from tests.zephyr_core.test_kinds import folder_of
from zephyr_core import kinds
from zephyr_core.errors import ZephyrError

# Command with {folder} → kinds that it takes, or has its own words for; the other ones are named for what they are.
DATASETS = ("dialogues", "pairs")
MODELS = ("sft-run", "dpo-run", "model", "student", kinds.UNFINISHED)
COMMANDS = {
    "data verify {folder}": DATASETS,
    "data audit {folder}": DATASETS,
    "data why {folder} b-0035": DATASETS,
    "data clean-ultrachat {folder} --dry-run": (),
    "data binarize {folder} --dry-run": ("pairs",),
    "data binarize --recipe tiny --limit 5 --overwrite --out {folder}": DATASETS,
    "train sft --recipe tiny --dry-run --data {folder}": DATASETS,
    "train dpo --recipe tiny --dry-run --data {folder}": DATASETS,
    "train dpo --recipe tiny --dry-run --model {folder}": MODELS,
    "train sft --recipe tiny --dry-run --model {folder}": MODELS,
    "train measure {folder} --pairs {run}": MODELS,
    "train measure {run} --pairs {folder}": ("dpo-run",),
    "train suspects {folder}": ("dpo-run",),
    "reproduce {folder}": ("whole-run",),
}
KNOWN = tuple(kind for kind in kinds.WORDS if kind not in (kinds.OTHER, kinds.ABSENT))
CASES = [(command, kind) for command, taken in COMMANDS.items() for kind in KNOWN if kind not in taken]


@pytest.mark.parametrize(("command", "kind"), CASES)
def test_it_says_what_the_folder_is_and_what_is_meant(
    command: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder_of("dpo-run", tmp_path / "run")
    folder_of("model", tmp_path / "run" / "model")
    folder = folder_of(kind, tmp_path / "given")
    before = sorted(folder.rglob("*"))
    words = [word.format(folder="given", run="run") for word in command.split()]
    with pytest.raises(ZephyrError) as fault:
        cli.app(words, standalone_mode=False)
    assert fault.value.exit_code == 2
    assert f"given is {kinds.WORDS[kind][0]}, not " in str(fault.value)
    assert fault.value.hint
    assert sorted(folder.rglob("*")) == before


def test_a_whole_run_given_as_model_names_its_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder_of("whole-run", tmp_path / "runs" / "tiny")
    folder_of("sft-run", tmp_path / "runs" / "tiny" / "sft")
    with pytest.raises(
        ZephyrError, match="wrong-folder: runs/tiny is a whole run of `zephyr run`, not a model"
    ) as fault:
        cli.app(["train", "dpo", "--recipe", "tiny", "--dry-run", "--model", "runs/tiny"], standalone_mode=False)
    assert "→ a model is runs/tiny/sft" in str(fault.value)
