"""A model of ours that does not match its manifest is not trained further; the error names file and command."""

import os
import shutil
from pathlib import Path

import pytest

from tests import manifests
from tests.zephyr_train.jobs import job
from tests.zephyr_train.model_folder import look, request
from zephyr_core import manifest
from zephyr_core.errors import DATA, DataError
from zephyr_train.models import local_model
from zephyr_train.safetensor_headers import WEIGHTS
from zephyr_train.train import run
from zephyr_train.training.weights import damage_faults, model_digest, require_loadable

pytestmark = pytest.mark.usefixtures("here")

SHARD = "model-00001-of-00001.safetensors"


def flip(file: Path) -> None:
    """Change one bit, and the time of change."""
    content = bytearray(file.read_bytes())
    content[-9] ^= 1
    file.write_bytes(content)


@pytest.fixture
def finished(foreign: Path, tmp_path: Path) -> Path:
    """A finished run of dSFT with that model."""
    out = tmp_path / "run"
    shutil.move(foreign, out / "model")
    job(out, "sft").write(out)
    return manifests.write(out, "model")


def test_an_undamaged_model_of_ours_has_no_fault(finished: Path, student: Path) -> None:
    for name in (finished, finished / "model", student):
        assert look(name).faults == look(name, dry=False).faults == []
        require_loadable(name / "model" if name == finished else name)


@pytest.mark.parametrize("file", ["model/config.json", f"model/{WEIGHTS}", "model/tokenizer.json"])
@pytest.mark.parametrize("below", ["", "model"])
def test_a_damaged_file_of_a_run_is_named_with_the_command_that_repairs_it(
    finished: Path, file: str, below: str
) -> None:
    flip(finished / file)
    (fault, *_) = look(finished / below).faults
    assert fault.name == "broken-model" and f"{finished / file} has changed" in fault.message
    assert "`zephyr train sft --fresh`" in fault.hint and "`zephyr run`" in fault.hint
    with pytest.raises(DataError, match="has changed"):
        require_loadable(finished / "model")
    (finished / file).unlink()
    for dry in (True, False):
        if file != "model/config.json":
            assert f"{finished / file} is missing" in look(finished / below, dry=dry).faults[0].message


@pytest.mark.parametrize("file", ["config.json", WEIGHTS, "tokenizer.json"])
def test_a_run_compares_every_sha256_though_size_and_time_are_as_recorded(student: Path, here: Path, file: str) -> None:
    copy = Path(shutil.copytree(student, here / "student"))
    before = (copy / file).stat()
    flip(copy / file)
    os.utime(copy / file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert [*damage_faults(copy)] == [], "a dry run trusts them"
    with pytest.raises(DataError, match="has changed: another sha256") as refusal:
        run(request(copy))
    assert refusal.value.exit_code == DATA and str(copy / file) in str(refusal.value)
    assert "zephyr train student --fresh" in str(refusal.value) + str(refusal.value.hint)


def test_weights_are_read_once_by_a_run(student: Path, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = Path(shutil.copytree(student, here / "student"))
    digested: list[str] = []
    digest = manifest.file_digest
    monkeypatch.setattr(manifest, "file_digest", lambda path: digested.append(path.name) or digest(path))
    assert look(copy, dry=False).faults == []
    model_digest(copy)
    assert digested.count(WEIGHTS) == 1


@pytest.mark.parametrize("content", ["{", "", '{"format": 2, "kind": "student"', "\x00"])
def test_a_manifest_that_is_cut_short_is_named(student: Path, finished: Path, here: Path, content: str) -> None:
    copy = Path(shutil.copytree(student, here / "student"))
    for where in (copy, finished):
        (where / "manifest.json").write_text(content)
    for where, model in ((copy, copy), (finished, finished), (finished, finished / "model")):
        for dry in (True, False):
            (fault,) = look(model, dry=dry).faults
            assert fault.name == "broken-model" and str(where / "manifest.json") in fault.message


def test_a_weight_file_that_takes_precedence_is_found(finished: Path) -> None:
    (finished / "model" / WEIGHTS).rename(finished / "model" / SHARD)
    manifests.write(finished, "model")
    shutil.copy(finished / "model" / SHARD, finished / "model" / WEIGHTS)
    assert f"{WEIGHTS} is not in the manifest" in look(finished).faults[0].message
    assert f"{WEIGHTS} is not in the manifest" in look(finished, dry=False).faults[0].message


def test_a_foreign_manifest_says_nothing_about_a_model(foreign: Path) -> None:
    (foreign / "manifest.json").write_text('{"files": ["a"], "format": 7}')
    assert look(foreign).faults == look(foreign, dry=False).faults == []
    assert local_model(str(foreign)) is not None
