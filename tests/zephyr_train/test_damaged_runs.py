"""A finished run of which one byte is damaged is neither taken for whole nor reported on."""

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests import manifests
from tests.zephyr_train.damaging import Change, cut, damaged, empty, flipped, gone
from tests.zephyr_train.jobs import job
from zephyr_core.errors import DataError, WrongFolder
from zephyr_train import train
from zephyr_train.errors import RowsUnfit
from zephyr_train.results import measure, sources
from zephyr_train.results.suspects import report
from zephyr_train.training import metrics_file


def finished_run(out: Path) -> Path:
    """Write a finished dDPO run with made-up content, and its token rows."""
    tokens = out.with_name("tokens")
    tokens.mkdir(parents=True)
    (tokens / "train.arrow").write_bytes(b"rows" * 20)
    (tokens / "test.arrow").write_bytes(b"rows" * 20)
    manifests.write(tokens, "tokens", digest="t")
    job(out, tokens=str(tokens)).write(out)
    (out / "model").mkdir()
    (out / "model" / "model.safetensors").write_bytes(b"weights" * 9)
    (out / "metrics.jsonl").write_text('{"step": 1, "split": "train", "loss": 0.5}\n')
    (out / "plan.json").write_text('{"steps": 10}\n')
    (out / "margins").mkdir()
    for epoch in (1, 2):
        rows = {"key": ["a", "b"], "prompt_id": ["p", "q"], "margin": [-1.0, 0.25 * epoch]}
        pq.write_table(pa.table(rows), out / "margins" / f"epoch-{epoch}.parquet")
    return manifests.write(out, "model", step="dpo")


FILES = (
    "model/model.safetensors",
    "metrics.jsonl",
    "plan.json",
    "job.json",
    "margins/epoch-1.parquet",
    "manifest.json",
)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("change", [flipped, cut, empty, gone])
def test_a_finished_run_is_not_taken_for_whole_when_it_is_damaged(tmp_path: Path, name: str, change: Change) -> None:
    out = finished_run(tmp_path / "run")
    request: Any = SimpleNamespace(out=out, fresh=False)
    train._refuse_damaged(request)
    if (name, change) in {("manifest.json", gone), ("job.json", gone)}:
        return  # without a manifest it is unfinished, and continues; without a job preflight refuses it
    with damaged(out / name, change):
        with pytest.raises(DataError, match=f"run is damaged: {name} ") as fault:
            train._refuse_damaged(request)
        assert fault.value.exit_code == 5 and "--fresh" in str(fault.value.hint)
        request.fresh = True
        train._refuse_damaged(request)


# ---- reports ------------------------------------------------------------------------------------

READ = ("manifest.json", "job.json", "margins/epoch-1.parquet", "margins/epoch-2.parquet", "../tokens/train.arrow")


@pytest.mark.parametrize("name", READ)
@pytest.mark.parametrize("change", [flipped, cut, empty])
def test_suspects_are_not_drawn_from_what_is_damaged(tmp_path: Path, name: str, change: Change) -> None:
    out = finished_run(tmp_path / "run")
    assert report(out, 5)[0][0]["key"] == "a"
    with damaged(out / name, change, unseen=True), pytest.raises(RowsUnfit, match=f"is damaged: .*{Path(name).name}"):
        report(out, 5)


def test_an_epoch_that_is_gone_or_was_put_there_is_noticed(tmp_path: Path) -> None:
    out = finished_run(tmp_path / "run")
    shutil.copy(out / "margins" / "epoch-2.parquet", out / "margins" / "epoch-3.parquet")
    with pytest.raises(RowsUnfit, match=r"epoch-3.parquet is not in the manifest"):
        report(out, 5)
    (out / "margins" / "epoch-3.parquet").rename(out / "margins" / "epoch-x.parquet")
    with (
        damaged(out / "margins" / "epoch-2.parquet", gone),
        pytest.raises(RowsUnfit, match=r"epoch-2.parquet is missing"),
    ):
        report(out, 5)


@pytest.mark.parametrize("change", [flipped, cut, empty])
def test_margins_of_an_unfinished_run_that_cannot_be_read_are_named(tmp_path: Path, change: Change) -> None:
    out = finished_run(tmp_path / "run")
    (out / "manifest.json").unlink()
    (out / "job.json").unlink()
    assert report(out, 5)[0]
    file = out / "margins" / "epoch-1.parquet"
    pq.write_table(pa.table({"key": ["a"], "margin": [1.0]}), file)
    with pytest.raises(RowsUnfit, match=r"epoch-1.parquet is damaged or cannot be read"):
        report(out, 5)
    with damaged(file, change, unseen=True), pytest.raises(RowsUnfit, match=r"epoch-1.parquet"):
        report(out, 5)


@pytest.mark.parametrize("name", ["manifest.json", "job.json", "../tokens/test.arrow", "../tokens/manifest.json"])
@pytest.mark.parametrize("change", [flipped, cut, empty])
def test_nothing_is_measured_on_damaged_pairs(tmp_path: Path, name: str, change: Change) -> None:
    out = finished_run(tmp_path / "run")
    assert measure._tokens(out) == tmp_path / "tokens"
    with damaged(out / name, change, unseen=True), pytest.raises(RowsUnfit, match=f"is damaged: .*{Path(name).name}"):
        measure._tokens(out)


def test_another_folder_is_named_by_its_kind_and_not_as_damaged(tmp_path: Path) -> None:
    with pytest.raises(WrongFolder, match="a dataset of preference pairs, not a dDPO run"):
        sources.check_run(manifests.write(tmp_path / "pairs", "pairs"))
    with pytest.raises(WrongFolder, match="a dSFT run, not a dDPO run"):
        sources.check_run(manifests.write(tmp_path / "sft", "model"))


@pytest.mark.parametrize("line", ["[]", "7", '{"step": "x", "split": "train"}', '{"loss": 1.0}', "[" * 100_000, "{"])
def test_what_is_not_a_row_of_metrics_is_left_out(tmp_path: Path, line: str) -> None:
    (tmp_path / metrics_file.NAME).write_text('{"step": 1, "split": "train"}\n' + line + "\n")
    assert metrics_file.read(tmp_path) == [{"step": 1, "split": "train"}]
