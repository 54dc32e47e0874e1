import json
from pathlib import Path

import pytest

from tests import manifests
from zephyr_core import kinds, manifest
from zephyr_core.errors import DataError, WrongFolder

FILES = {
    kinds.UNFINISHED: ("job.json", {"step": "sft"}),
    kinds.OLD: ("run.json", {"step": "sft", "steps": 12, "model_digest": "m"}),
    "whole-run": ("run.json", {"format": 1, "recipe": "tiny", "steps": {}}),
    "ablations": ("ablations.json", {}),
    "model": ("config.json", {"model_type": "mistral"}),
    kinds.OTHER: ("notes.json", {}),
}


def folder_of(kind: str, place: Path) -> Path:
    """Write what tells a kind of folder; return the folder."""
    if kind == kinds.ABSENT:
        return place
    if kind in FILES:
        place.mkdir(parents=True)
        name, content = FILES[kind]
        (place / name).write_text(json.dumps(content))
        return place
    step = {"sft-run": {"step": "sft"}, "dpo-run": {"step": "dpo"}}.get(kind)
    return manifests.write(place, "model", **step) if step else manifests.write(place, kind)


@pytest.mark.parametrize("kind", kinds.WORDS)
def test_a_folder_is_known_by_what_zephyr_left_in_it(tmp_path: Path, kind: str) -> None:
    assert kinds.kind_of(folder_of(kind, tmp_path / "x")) == kind


@pytest.mark.parametrize("kind", kinds.WORDS)
@pytest.mark.parametrize(
    "requirement", [kinds.DATASET, kinds.MODEL, kinds.DPO_RUN, kinds.WHOLE_RUN, kinds.RAW_DIALOGUES]
)
def test_a_known_folder_of_another_kind_is_refused_with_a_hint(
    tmp_path: Path, kind: str, requirement: kinds.Requirement
) -> None:
    folder = folder_of(kind, tmp_path / "x")
    if kind in (*requirement.kinds, kinds.OTHER, kinds.ABSENT):
        kinds.refuse(folder, requirement)
        return
    with pytest.raises(WrongFolder) as fault:
        kinds.refuse(folder, requirement)
    assert str(fault.value) == f"{folder} is {kinds.WORDS[kind][0]}, not {requirement.phrase}"
    assert fault.value.hint and fault.value.exit_code == 2


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A whole run with one finished step of each kind."""
    folder = folder_of("whole-run", tmp_path / "run")
    for name, kind in (("clean-ultrachat", "dialogues"), ("binarize", "pairs"), ("sft", "sft-run"), ("dpo", "dpo-run")):
        folder_of(kind, folder / name)
    folder_of("model", folder / "dpo" / "model")
    return folder


@pytest.mark.parametrize(
    ("name", "requirement", "meant"),
    [
        ("", kinds.MODEL, "a model is {run}/dpo or {run}/sft"),
        ("", kinds.DATASET, "a dataset is {run}/binarize or {run}/clean-ultrachat"),
        ("", kinds.DPO_RUN, "a dDPO run is {run}/dpo"),
        ("sft", kinds.WHOLE_RUN, "a whole run of `zephyr run` is {run}"),
        ("sft", kinds.DPO_RUN, "a dDPO run is {run}/dpo"),
        ("dpo/model", kinds.DPO_RUN, "a dDPO run is {run}/dpo"),
        ("binarize", kinds.MODEL, "a model is {run}/dpo or {run}/sft"),
    ],
)
def test_what_is_meant_lies_in_the_folder_above_it_or_next_to_it(
    run: Path, name: str, requirement: kinds.Requirement, meant: str
) -> None:
    with pytest.raises(WrongFolder) as fault:
        kinds.refuse(run / name, requirement)
    assert fault.value.hint == meant.format(run=run)


def test_models_of_ablations_are_found_below_their_seeds(tmp_path: Path) -> None:
    folder = folder_of("ablations", tmp_path / "ablations")
    folder_of("sft-run", folder / "seed-42" / "dsft-1")
    with pytest.raises(WrongFolder) as fault:
        kinds.refuse(folder, kinds.MODEL)
    assert fault.value.hint == f"a model is {folder}/seed-42/dsft-1"


def test_the_command_in_a_hint_can_be_pasted(tmp_path: Path) -> None:
    with pytest.raises(WrongFolder) as fault:
        kinds.refuse(folder_of("pairs", tmp_path / "my pairs"), kinds.MODEL)
    assert f"`zephyr train dpo --data '{tmp_path}/my pairs'`" in str(fault.value.hint)


def test_a_dataset_that_is_not_finished_is_said_to_be_so(tmp_path: Path) -> None:
    for folder in (tmp_path / "absent", tmp_path):
        with pytest.raises(DataError, match="is not a finished dataset"):
            kinds.read_dataset(folder)


def test_a_damaged_manifest_names_its_file_and_key(tmp_path: Path) -> None:
    manifests.write(tmp_path, "pairs")
    content = json.loads((tmp_path / manifest.NAME).read_text())
    for change, message in (
        ({"counts": 7}, "counts is 7, not an object"),
        ({"splits": {"a": {}}}, "splits.a.rows is missing"),
    ):
        (tmp_path / manifest.NAME).write_text(json.dumps(content | change))
        with pytest.raises(DataError, match=f"manifest.json is damaged: {message}"):
            kinds.read_dataset(tmp_path)
