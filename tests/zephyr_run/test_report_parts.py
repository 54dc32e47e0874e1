"""What of a run the page shows: drops by stage, examples, rows of a test."""

from pathlib import Path

from tests import manifests
from tests.zephyr_run import report_run
from zephyr_run.report import bars, examples, on_disk


def test_stages_stand_in_the_order_in_which_rows_meet_them() -> None:
    stages = bars.by_stage(
        {"duplicates/x": 1, "phrases/a": 2, "phrases/b": 5, "read/c": 1, "new/d": 1}, ["read", "phrases", "duplicates"]
    )
    assert {stage: list(reasons) for stage, reasons in stages.items()} == {
        "read": ["c"], "phrases": ["b", "a"], "duplicates": ["x"], "new": ["d"],
    }  # fmt: skip


def test_examples_are_of_different_stages_and_of_common_reasons(tmp_path: Path) -> None:
    rows = [
        ("phrases/a", "0"),
        ("phrases/a", "1"),
        ("phrases/b", "2"),
        ("read/x", None),
        ("read/x", "r"),
        ("read/y", "s"),
    ]
    rows += [("duplicates/d", "digest"), ("language/l", "l")]
    place = {"file": "f", "line": 1, "turn": None}
    kept = [{"stage": name.split("/")[0], "rule": name.split("/")[1], "matched": text, **place} for name, text in rows]
    report_run.parquet(tmp_path / "audit" / "dropped.parquet", kept)
    counts = {"phrases/a": 2, "phrases/b": 9, "read/x": 3, "read/y": 1, "language/l": 1, "duplicates/d": 99}
    assert [row["matched"] for row in examples.dropped(tmp_path, counts)] == ["2", "r", "l"]


def test_what_has_no_match_is_shown_last(tmp_path: Path) -> None:
    place = {"file": "f", "line": 1, "turn": None}
    rows = [{"stage": stage, "rule": "x", "matched": text, **place} for stage, text in (("gates", None), ("read", "r"))]
    report_run.parquet(tmp_path / "audit" / "dropped.parquet", rows)
    assert [row["matched"] for row in examples.dropped(tmp_path, {"gates/x": 9, "read/x": 1})] == ["r", None]


def test_a_model_of_a_mixture_was_tested_on_the_test_rows_of_all_its_datasets(tmp_path: Path) -> None:
    part = {"source": "A", "digest": "d", "rows": 7, "available": 9, "share": 0.5, "test_rows": 10}
    rows = {"rows": 14, "unit": "dialogues", "mixture": [part, {**part, "source": "B", "test_rows": 5}]}
    manifests.write(tmp_path / "sft", "model", plan={"rows": rows})
    run = on_disk.read(tmp_path, "tiny")
    assert run.test_rows(run.steps["sft"]) == 15
