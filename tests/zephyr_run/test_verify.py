"""`zephyr verify`: every kind of folder of ours, and every file of a run directory."""

import json
import random
import shutil
from pathlib import Path

import pytest

from tests import manifests
from tests.zephyr_run.conftest import Place, flip_byte
from zephyr_core.errors import DataError, UsageError
from zephyr_run.record import Record
from zephyr_run.verify import verify

KINDS = {"student": "new student", "reference": "reference log-probs", "tokens": "token rows", "model": "dSFT run"}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run directory of four folders, each with one file, next to two that runs share."""
    folder, shared = tmp_path / "runs" / "quick", tmp_path / "runs" / "artefacts"
    for name, kind in (("student", "student"), ("sft", "model"), ("dpo", "model")):
        (folder / name).mkdir(parents=True)
        (folder / name / "model.safetensors").write_text(f"weights of {name}")
        manifests.write(folder / name, kind)
    for name in ("reference-0", "tokens-0"):
        (shared / name).mkdir(parents=True)
        (shared / name / "rows").write_text(f"rows of {name}")
        manifests.write(shared / name, name.partition("-")[0])
    job = {"tokens": str(shared / "tokens-0"), "reference": str(shared / "reference-0")}
    (folder / "dpo" / "job.json").write_text(json.dumps(job))
    manifests.write(folder / "dpo", "model")
    (folder / "recipe").mkdir()
    (folder / "recipe" / "quick.toml").write_text("")
    (folder / "samples.jsonl").write_text("{}\n")
    record = Record.read(folder, "quick")
    record.note("student", state="whole")
    record.note("reference", artefact="reference-0")
    record.seal()
    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_folder(tmp_path: Path, kind: str) -> None:
    (tmp_path / "file").write_text("as it was")
    manifests.write(tmp_path, kind)
    result, text = verify(tmp_path)
    assert KINDS[kind] in text and result["verified"][0]["files"] == 1
    (tmp_path / "file").write_text("as it is")
    with pytest.raises(DataError, match=r"file has 8 bytes, not 9") as refused:
        verify(tmp_path)
    assert refused.value.exit_code == 5


def test_a_run_directory_with_all_that_it_made_and_used(run: Path) -> None:
    names = [Path(one["folder"]).name for one in verify(run)[0]["verified"]]
    assert names == ["dpo", "sft", "student", "reference-0", "tokens-0", "quick"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("student/model.safetensors", "student: model.safetensors has changed: another sha256"),
        ("dpo/job.json", "dpo: job.json has changed"),
        ("sft/manifest.json", "sft: manifest.json is damaged"),
        ("../artefacts/tokens-0/rows", "tokens-0: rows has changed"),
        ("../artefacts/reference-0/manifest.json", "reference-0: manifest.json is damaged"),
        ("recipe/quick.toml", "quick: recipe/quick.toml is missing"),
        ("samples.jsonl", "quick: samples.jsonl has changed"),
        ("run.json", "quick: run.json is damaged"),
    ],
)
def test_any_file_that_changed_is_named(run: Path, name: str, message: str) -> None:
    file = run / name
    if file.stat().st_size:
        flip_byte(file)
    else:
        file.unlink()
    with pytest.raises(DataError, match="not as recorded") as refused:
        verify(run)
    assert message in str(refused.value)


def test_a_step_that_was_whole_and_has_lost_its_manifest_is_a_fault(run: Path) -> None:
    (run / "student" / "manifest.json").unlink()
    with pytest.raises(DataError, match=r"student: manifest.json is missing"):
        verify(run)


def test_a_file_that_nobody_named_is_a_fault_but_of_a_training_run(run: Path) -> None:
    (run / "sft" / "notes.txt").write_text("mine")
    verify(run)
    (run / "student" / "more.safetensors").write_text("mine")
    with pytest.raises(DataError, match=r"more.safetensors is not in the manifest"):
        verify(run)


def test_what_zephyr_did_not_make_is_nothing_to_verify(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(UsageError, match="holds nothing finished"):
            verify(folder)


def test_a_run_that_was_moved_is_verified_with_the_artefacts_next_to_it(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run.parent, tmp_path / "moved")
    flip_byte(tmp_path / "moved" / "artefacts" / "tokens-0" / "rows")
    verify(run)
    with pytest.raises(DataError, match=r"moved/artefacts/tokens-0: rows has changed"):
        verify(tmp_path / "moved" / "quick")


@pytest.mark.slow
def test_of_twenty_flipped_bytes_each_is_found_or_changes_nothing(copy: Place) -> None:
    draw, runs = random.Random(20261130), copy.folder / "runs"
    files = [path for path in sorted(runs.rglob("*")) if path.is_file() and path.stat().st_size]
    for file in draw.sample(files, 20):
        content = file.read_bytes()
        place, bit = draw.randrange(len(content)), draw.randrange(8)
        file.write_bytes(content[:place] + bytes([content[place] ^ 1 << bit]) + content[place + 1 :])
        with pytest.raises(DataError) as refused:
            verify(copy.run)
        assert file.name in str(refused.value), (file, place, bit)
        file.write_bytes(content)
    verify(copy.run)
