"""job.json: read back as it was written, by its types; what identifies a run and what does not."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from tests.zephyr_train.jobs import job
from zephyr_core.errors import DataError
from zephyr_core.kinds import JOB, RECORD
from zephyr_train.job import FREE, NOT_KEPT, Job
from zephyr_train.options import DPOOptions, SFTOptions

OTHER = {
    "model": "m", "data": "d", "revision": "r", "gpu_memory": 1.0, "set": ("a=1",), "save_every": 7, "tensorboard": True, "on_faulty": "drop",
}  # fmt: skip


@pytest.mark.parametrize(("step", "kind"), [("sft", SFTOptions), ("dpo", DPOOptions), ("reference", DPOOptions)])
def test_a_job_is_read_back_as_it_was_written(tmp_path: Path, step: str, kind: type) -> None:
    original = job(tmp_path, step, settings={"max_grad_norm": 0.5})
    original.write(tmp_path)
    assert Job.read(tmp_path) == original
    assert type(Job.read(tmp_path).options) is kind


def test_options_that_do_not_identify_a_run_are_those_listed(tmp_path: Path) -> None:
    assert set(FREE) == set(OTHER)
    first = job(tmp_path)
    for name, value in OTHER.items():
        other = job(tmp_path, options={name: value})
        assert (other.digest, first.differences(other)) == (first.digest, []), name
    for name, value in {"beta": 0.2, "seed": 1, "lora_targets": ("q_proj",), "eval_every": 3}.items():
        other = job(tmp_path, options={name: value})
        assert other.digest != first.digest and first.differences(other) == [name]


def test_the_digest_of_a_job_is_that_of_earlier_versions() -> None:
    """Checkpoints are found by it."""
    fixed = {"settings": {"x": 1}, "out": "/o", "reference_digest": "d", "numerics": "fp32", "layout": "shared"}
    digests = {
        "sft": "665e9c0ea5914060714e5e7503de2274e3f5fe5e200bc6cbd674aeeaadcb1b5c",
        "dpo": "619447dc6aceff4ff223749536937f28abc9f32625c5f68b9c9bc29a4a47fe4c",
    }
    changes: dict[str, dict[str, Any]] = {"sft": {}, "dpo": {"beta": 0.05, "set": ("a=1",), "save_every": 5}}
    for step, digest in digests.items():
        assert dataclasses.replace(job(Path("/o"), step, options=changes[step]), **fixed).digest == digest


def test_options_that_the_job_does_not_keep_are_not_on_disk(tmp_path: Path) -> None:
    job(tmp_path, options=OTHER).write(tmp_path)
    content = json.loads((tmp_path / JOB).read_text())
    assert not set(content["options"]) & set(NOT_KEPT) and content["options"].keys() == content["origins"].keys()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": "10"}, "steps is '10', not an integer"),
        ({"options": {"beta": "x"}}, "options.beta is 'x', not a number"),
        ({"options": {"no_such": 1}}, "no_such"),
        ({"options": {"beta": -1.0}}, "beta is -1.0"),
        ({"no_such": 1}, "no_such"),
        ({"origins": None}, "origins is None, not an object"),
    ],
)
def test_a_damaged_job_names_its_file_and_key(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    job(tmp_path).write(tmp_path)
    content = json.loads((tmp_path / JOB).read_text())
    (tmp_path / JOB).write_text(json.dumps(content | change))
    with pytest.raises(DataError) as fault:
        Job.read(tmp_path)
    assert str(tmp_path / JOB) in str(fault.value) and message in str(fault.value)


@pytest.mark.parametrize("text", [None, "", "{", "[]", "{}"])
def test_a_job_that_cannot_be_read_is_an_error_with_a_hint(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / JOB).write_text(text)
    with pytest.raises(DataError, match="is damaged, or from another version") as fault:
        Job.read(tmp_path)
    assert fault.value.hint


def test_a_run_of_an_older_zephyr_is_named(tmp_path: Path) -> None:
    (tmp_path / RECORD).write_text(json.dumps({"step": "dpo", "model_digest": "m"}))
    with pytest.raises(DataError, match="was made by an older zephyr") as fault:
        Job.read(tmp_path)
    assert "--fresh" in str(fault.value.hint)


def test_the_options_of_another_step_are_not_had(tmp_path: Path) -> None:
    assert job(tmp_path, "sft").sft_options.packs and job(tmp_path, "dpo").dpo_options.beta == 0.1
    with pytest.raises(AssertionError, match="a job of sft has no options of dDPO"):
        _ = job(tmp_path, "sft").dpo_options
