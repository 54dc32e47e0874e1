"""`zephyr status`: every state that a step can be in."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests import manifests
from tests.zephyr_run.conftest import NAMES, RECIPE, flip_byte
from zephyr_core import manifest, recipe
from zephyr_run.record import Record
from zephyr_run.run import RunRequest
from zephyr_run.status import status


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run directory with whole outputs, as far as their manifests tell."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "quick.toml").write_text(RECIPE)
    folder = tmp_path / "runs" / "quick"
    for name, split in (("clean-ultrachat", "train_sft"), ("binarize", "train_prefs")):
        (folder / name / "data").mkdir(parents=True)
        (folder / name / "data" / "rows.parquet").write_text(f"rows of {name}")
        splits = {"test": {"rows": 1, "rows_digest": "f" * 64}, split: {"rows": 1234, "rows_digest": "ab" * 32}}
        manifests.write(folder / name, "pairs", splits=splits)
    for name in ("sft", "dpo"):
        (folder / name / "model").mkdir(parents=True)
        (folder / name / "model" / "model.safetensors").write_text(f"weights of {name}")
        (folder / name / "plan.json").write_text('{"steps": 12}')
        manifests.write(folder / name, "model")
    (folder / "student").mkdir()
    (folder / "student" / "model.safetensors").write_text("random weights")
    manifests.write(folder / "student", "student", vocabulary=1024)
    artefact = tmp_path / "runs" / "artefacts" / "reference-0"
    artefact.mkdir(parents=True)
    manifests.write(artefact, "reference", digest="cd" * 32, rows={"train": 5, "test": 2})
    Record.read(folder, "quick").note("reference", artefact="reference-0")
    return Path("runs/quick")


def states(*, hashed: bool = False) -> dict[str, Any]:
    found, _ = status(RunRequest(recipe.load("quick.toml")), hashed=hashed)
    return {name: step["state"] for name, step in found["steps"].items()}


def test_missing_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "quick.toml").write_text(RECIPE)
    assert states() == dict.fromkeys(NAMES, "missing")
    assert [path.name for path in tmp_path.iterdir()] == ["quick.toml"], "looking writes nothing"


def test_whole_with_rows_steps_and_digests(run: Path) -> None:
    result, table = status(RunRequest(recipe.load("quick.toml")), hashed=True)
    weights = manifest.file_digest(run / "sft" / "model" / "model.safetensors")
    lines = [line.split() for line in table.splitlines()]
    assert lines[:4] == [
        ["runs/quick"],
        ["clean-ultrachat", "whole", "1,234", "rows", "abababababab"],
        ["binarize", "whole", "1,234", "rows", "abababababab"],
        ["student", "whole", "1,024", "tokens", manifest.file_digest(run / "student" / "model.safetensors")[:12]],
    ]
    assert lines[4] == ["sft", "whole", "12", "steps", weights[:12]]
    assert lines[5] == ["reference", "whole", "7", "pairs", "cdcdcdcdcdcd"]
    assert table.endswith("report: not there yet")
    (run / "report.html").write_text("page")
    assert status(RunRequest(recipe.load("quick.toml")), hashed=False)[0]["report"] == "runs/quick/report.html"
    assert result["steps"]["sft"]["digest"] == weights


def test_stopped_half_way(run: Path) -> None:
    (run / "dpo" / "manifest.json").unlink()
    (run / "dpo" / "metrics.jsonl").write_text('{"step": 3, "split": "train"}\n{"step": 4, "split": "train"}\n{"st')
    (run / "binarize").rename(run / "binarize.partial")
    found, _ = status(RunRequest(recipe.load("quick.toml")), hashed=False)
    assert found["steps"]["binarize"]["state"] == found["steps"]["dpo"]["state"] == "stopped half-way"
    assert found["steps"]["dpo"]["amount"] == "4 of 12 steps"


def test_damaged_by_size_or_time_and_only_with_verify_by_digest_alone(run: Path) -> None:
    rows = run / "binarize" / "data" / "rows.parquet"
    before = rows.stat().st_mtime_ns
    flip_byte(rows)
    assert states()["binarize"] == "damaged: data/rows.parquet has changed: another sha256"
    os.utime(rows, ns=(before, before))
    assert states()["binarize"] == "whole", "a disk that flips a bit changes no time"
    assert states(hashed=True)["binarize"] == "damaged: data/rows.parquet has changed: another sha256"
    (run / "sft" / "model" / "model.safetensors").unlink()
    (run / "clean-ultrachat" / "data" / "rows.parquet").write_text("short")
    assert states()["sft"] == "damaged: model/model.safetensors is missing"
    assert states()["clean-ultrachat"] == "damaged: data/rows.parquet has 5 bytes, not 23"
    (run / "dpo" / "manifest.json").write_text("{")
    assert states()["dpo"] == "damaged: manifest.json is damaged"


def test_stale_and_what_hangs_on_it(run: Path) -> None:
    record = Record.read(run, "quick")
    record.note("sft", made_of={"clean-ultrachat": "another"})
    found = states()
    assert found["sft"] == "stale: built from another clean-ultrachat"
    assert found["dpo"] == found["reference"] == "stale: built from sft, which is stale"
    assert found["binarize"] == "whole"
    record.note("sft", made_of=None)
    assert set(states().values()) == {"whole"}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 1}', '{"format": 1, "files": [1]}', "\x00"])
def test_a_manifest_that_says_nothing_is_damaged(run: Path, text: str) -> None:
    for name in ("binarize", "dpo"):
        (run / name / "manifest.json").write_text(text)
    found = states(hashed=True)
    assert found["binarize"] == found["dpo"] == "damaged: manifest.json is damaged"


@pytest.mark.parametrize("text", ["", "[]", '{"steps": 1', '{"steps": [12]}', "garbage}"])
@pytest.mark.parametrize("name", ["job.json", "plan.json", "metrics.jsonl", "../run.json"])
def test_looking_survives_damaged_files(run: Path, name: str, text: str) -> None:
    (run / "dpo" / name).write_text(text)
    assert states()["dpo"] == (f"damaged: plan.json has {len(text)} bytes, not 13" if name == "plan.json" else "whole")


def test_what_a_damaged_record_was_made_of_is_not_known(run: Path) -> None:
    (run / "run.json").write_text(json.dumps({"steps": {"dpo": {"made_of": ["x"]}, "sft": {"made_of": None}}}))
    assert states()["dpo"] == states()["sft"] == "whole"


def test_a_file_is_no_step(run: Path) -> None:
    (run / "binarize").rename(run / "away")
    (run / "binarize").write_text("mine")
    assert states()["binarize"] == "missing"


def test_a_record_that_cannot_be_read_is_none(run: Path) -> None:
    (run / "run.json").write_text(json.dumps({"steps": [1]}))
    assert states()["clean-ultrachat"] == "whole"
    assert states()["reference"] == "missing", "nobody says which it is"


def test_of_a_record_what_does_not_fit_is_left_out(run: Path) -> None:
    entry = {"state": 1, "seconds": "x", "content": "c", "unknown": [1]}
    (run / "run.json").write_text(json.dumps({"steps": {"sft": entry, "dpo": 7}}))
    assert Record.read(run, "quick").steps == {"sft": {"content": "c"}}
