"""A split as a file for other trainers: read again, its rows are the same; the file is whole or not there."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.conftest import zephyr
from tests.system import SmallDisk
from tests.zephyr_train.row_shapes import text_pair, trainer_pair, turn, write_lines
from zephyr_core.errors import DataError, NoSpace, PartlyDone, UsageError
from zephyr_look.export import FORMS, export
from zephyr_look.opening import open_dataset
from zephyr_train.reader import open_data
from zephyr_train.tokenizing.keyed_rows import keyed_rows

TALKS = [
    {
        "messages": [
            turn("user", "A?"),
            turn("assistant", "B") | {"weight": 0},
            turn("user", "C"),
            turn("assistant", "D"),
        ]
    },
    {"messages": [turn("system", "S"), turn("user", "A\u2028?"), turn("assistant", "  \x1b 你")], "prompt_id": "own"},
]


def keys(file: Path, kind: str) -> set[tuple[str, str | None]]:
    """Return what training reads."""
    return {row.name for row in keyed_rows(open_data(str(file), kind).table("train"), kind)}


@pytest.mark.parametrize("form", FORMS)
def test_dialogues_read_again_are_the_same_rows(form: str, tmp_path: Path) -> None:
    file, out = write_lines(tmp_path / "a.jsonl", TALKS), tmp_path / "new" / "b.jsonl"
    assert "2 rows of train" in export(str(file), form, out, None)
    assert keys(out, "dialogues") == keys(file, "dialogues") and len(keys(out, "dialogues")) == 2
    assert list(out.parent.iterdir()) == [out]


@pytest.mark.parametrize("form", FORMS)
def test_pairs_read_again_are_the_same_rows(form: str, tmp_path: Path) -> None:
    turns = [turn("user", "A?"), turn("assistant", "B"), turn("user", "C?")]
    rows = [trainer_pair("A?", "B", "C") | {"score_chosen": 4.5}, trainer_pair("A?", "D", "C") | {"prompt": turns}]
    file, out = write_lines(tmp_path / "a.jsonl", rows), tmp_path / "b.jsonl"
    export(str(file), form, out, None)
    assert keys(out, "pairs") == keys(file, "pairs")
    assert json.loads(out.read_text().splitlines()[0])["score_chosen"] == 4.5


def test_sharegpt_has_the_names_that_it_is_known_by(tmp_path: Path) -> None:
    export(str(write_lines(tmp_path / "a.jsonl", TALKS)), "sharegpt", tmp_path / "b.jsonl", None)
    row = json.loads((tmp_path / "b.jsonl").read_text().split("\n")[1])
    assert [one["from"] for one in row["conversations"]] == ["system", "human", "gpt"]
    export(
        str(write_lines(tmp_path / "c.jsonl", [trainer_pair("A?", "B", "C")])), "sharegpt", tmp_path / "d.jsonl", None
    )
    row = json.loads((tmp_path / "d.jsonl").read_text())
    assert (row["chosen"], row["rejected"]) == ({"from": "gpt", "value": "B"}, {"from": "gpt", "value": "C"})
    assert row["conversations"] == [{"from": "human", "value": "A?"}]


def test_cleaning_reads_an_export_of_its_own_dataset(clean: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    clean(limit=40)
    export(str(tmp_path / "out"), "sharegpt", tmp_path / "b.jsonl", "train_sft")
    clean(tmp_path / "b.jsonl", out="again")
    first, second = (
        open_dataset(str(tmp_path / name), splits) for name, splits in (("out", ["train_sft"]), ("again", []))
    )
    keys = [set(pl.concat(each.frames(["key"]))["key"]) for each in (first, second)]
    assert keys[0] == keys[1] and len(keys[0]) > 30, "it splits them again"


def test_what_cannot_be_trained_on_is_left_out_and_counted(tmp_path: Path) -> None:
    file = write_lines(tmp_path / "a.jsonl", [text_pair("a", "b", "c"), text_pair("a", "b", "b")])
    with pytest.raises(PartlyDone, match=r"1 rows of train.*not in it: 1 identical-texts"):
        export(str(file), "jsonl", tmp_path / "b.jsonl", None)
    assert len(keys(tmp_path / "b.jsonl", "pairs")) == 1


def test_nothing_is_overwritten_and_nothing_half_written_stays(tmp_path: Path) -> None:
    file = write_lines(tmp_path / "a.jsonl", TALKS)
    with pytest.raises(UsageError, match="exists already"):
        export(str(file), "jsonl", file, None)
    with pytest.raises(UsageError, match="one split"):
        export(str(file), "jsonl", tmp_path / "b.jsonl", "all")
    two = {"prompt": [turn("user", "a")], "chosen": [turn("assistant", "b")] * 2, "rejected": [turn("assistant", "c")]}
    several = write_lines(tmp_path / "c.jsonl", [trainer_pair("A?", "B", "C"), two])
    with pytest.raises(DataError, match=r"c\.jsonl, row 2: 'chosen' has 2 messages"):
        export(str(several), "sharegpt", tmp_path / "d.jsonl", None)
    rated = write_lines(tmp_path / "e.jsonl", [{"prompt": "P?", "responses": [{"response": "x", "score": 2}]}])
    with pytest.raises(UsageError, match="rated answers"):
        export(str(rated), "jsonl", tmp_path / "d.jsonl", None)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jsonl", "c.jsonl", "e.jsonl"]


@pytest.mark.slow
def test_a_full_disk_leaves_no_file(disk: SmallDisk, tmp_path: Path) -> None:
    file = write_lines(tmp_path / "a.jsonl", TALKS)
    disk.fill()
    with pytest.raises(NoSpace):
        export(str(file), "jsonl", disk.folder / "b.jsonl", None)
    assert [path.name for path in disk.folder.iterdir()] == ["ballast"]


@pytest.mark.long
def test_a_plan_of_training_reads_an_export(tmp_path: Path) -> None:
    write_lines(tmp_path / "a.jsonl", [trainer_pair(f"{number}?", "yes", "no") for number in range(9)])
    done = zephyr("data", "export", "a.jsonl", "--to", "sharegpt", "--out", "b.jsonl", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "b.jsonl: 9 rows of train of a.jsonl, as sharegpt\n")
    plan = zephyr("train", "dpo", "--recipe", "tiny", "--data", "b.jsonl", "--dry-run", cwd=tmp_path)
    assert "9 pairs" in plan.stdout
