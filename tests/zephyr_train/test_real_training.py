"""dDPO on real pairs, and on rows in exactly the published columns."""

import json
import math
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.conftest import shared
from tests.zephyr_train.conftest import World
from zephyr_core import manifest

pytestmark = pytest.mark.long


@pytest.fixture
def real(tmp_path: Path) -> Path:
    """Those pairs that cannot be trained on, and some around them."""
    lines = shared("ultrafeedback/uf_binarized_trl_000-699.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    file = tmp_path / "pairs.jsonl"
    file.write_text("".join(lines[300:400] + lines[470:490] + lines[650:660]), encoding="utf-8")
    return file


def test_real_pairs_are_planned_and_what_cannot_be_trained_on_is_named(world: World, real: Path) -> None:
    record = json.loads(world.zephyr("train", "dpo", "--data", real, "--dry-run", "--json").stdout)
    assert f"2 rows of {real} cannot be trained on: identical-texts" in record["notes"]
    assert f"1 rows of {real} cannot be trained on: empty-rejected" in record["notes"]
    assert record["plan"]["steps_per_epoch"] == math.ceil(record["plan"]["rows"]["rows"] / 8)


@pytest.mark.slow
def test_real_pairs_train_and_what_cannot_be_trained_on_is_named(world: World, real: Path) -> None:
    done = world.zephyr("train", "dpo", "--data", real, "--epochs", 1, "--out", "real")
    plan = manifest.read(world.folder / "real")["plan"]
    assert "2 rows of" in done.stderr, "two pairs of equal texts"
    assert "1 rows of" in done.stderr, "one with an empty side"
    assert plan["steps"] == math.ceil(plan["rows"]["rows"] / 8)
    rows = world.metrics("real")
    assert rows[0]["loss"] == pytest.approx(math.log(2), abs=1e-4)
    margins = pq.read_table(world.folder / "real" / "margins" / "epoch-1.parquet")
    assert margins.num_rows == plan["rows"]["rows"], "one epoch sees each pair once"


def test_the_published_columns_are_read(world: World) -> None:
    """That such rows train too, test_processes shows with some of our own."""
    file = shared("ultrafeedback/h4_ultrafeedback_binarized_16.jsonl")
    record = json.loads(world.zephyr("train", "dpo", "--data", file, "--dry-run", "--json").stdout)
    assert record["plan"]["rows"]["rows"] == 16 and record["plan"]["rows"]["known"]
