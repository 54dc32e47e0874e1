"""Flipped labels come first among the suspects."""

import json
import random
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests import manifests
from tests.zephyr_train.jobs import job
from zephyr_core.errors import OptionError
from zephyr_train.errors import RowsUnfit
from zephyr_train.results import suspects as module
from zephyr_train.results.suspects import Suspect, report, suspects, suspects_text


def keep(run: Path, epoch: int, margins: dict[str, float]) -> None:
    """Write one epoch's margins."""
    (run / "margins").mkdir(exist_ok=True)
    rows = {"key": list(margins), "prompt_id": [f"p-{key}" for key in margins], "margin": list(margins.values())}
    pq.write_table(pa.table(rows), run / "margins" / f"epoch-{epoch}.parquet")


def test_planted_flips_come_first(tmp_path: Path) -> None:
    draws = random.Random(1)
    keys = [f"{at:03}" for at in range(300)]
    flipped = set(draws.sample(keys, 9))
    for epoch, learnt in ((1, 0.4), (2, 1.5), (3, 3.0)):
        good = {key: learnt + draws.gauss(0, 0.5) for key in keys}
        bad = {key: 0.5 * epoch - 2.2 + draws.gauss(0, 0.2) for key in flipped}  # learnt by heart, late
        keep(tmp_path, epoch, good | bad)
    worst = suspects(tmp_path, 9)
    assert {suspect.key for suspect in worst} == flipped
    assert [suspect.rank for suspect in worst] == list(range(1, 10))
    assert [suspect.mean for suspect in worst] == sorted(suspect.mean for suspect in worst)


def test_the_mean_over_epochs_ranks_and_not_the_last_epoch(tmp_path: Path) -> None:
    keep(tmp_path, 1, {"a": -1.0, "b": -0.1, "c": 2.0})
    keep(tmp_path, 2, {"a": 0.2, "b": -0.3, "c": -0.1})
    assert suspects(tmp_path, 5) == [
        Suspect(1, "a", "p-a", (-1.0, 0.2), pytest.approx(-0.4)),
        Suspect(2, "b", "p-b", (-0.1, -0.3), pytest.approx(-0.2)),
    ]
    assert [suspect.is_wrong_to_the_end for suspect in suspects(tmp_path, 5)] == [False, True]
    assert suspects(tmp_path, 1) == suspects(tmp_path, 5)[:1]


def test_epochs_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for epoch in range(1, 12):
        keep(tmp_path, epoch, {"a": -float(epoch)})
    [only] = suspects(tmp_path, 1)
    assert only.margins == tuple(-float(epoch) for epoch in range(1, 12))


def test_order_of_rows_changes_nothing_and_an_absent_row_is_no_zero(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    first, second = {"a": -1.0, "b": -1.0, "c": -3.0}, {"b": -1.0, "a": -1.0}
    for run, order in ((tmp_path / "one", 1), (tmp_path / "two", -1)):
        keep(run, 1, dict(list(first.items())[::order]))
        keep(run, 2, dict(list(second.items())[::order]))
    worst = suspects(tmp_path / "one", 3)
    assert worst == suspects(tmp_path / "two", 3)
    assert [suspect.key for suspect in worst] == ["c", "a", "b"]
    assert worst[0].margins == (-3.0, None)
    assert worst[0].mean == -3.0
    assert worst[0].is_wrong_to_the_end


def test_the_text_has_a_line_for_each_and_its_texts(tmp_path: Path) -> None:
    keep(tmp_path, 1, {"a" * 64: -1.25, "b": -0.5, "c": 2.0})
    keep(tmp_path, 2, {"a" * 64: 0.25, "b": -0.5, "c": 2.0})
    texts = {"b": {"prompt": "two\nlines", "chosen": "x" * 500, "rejected": "no"}}
    rows, text = report(tmp_path, 2, texts.get)
    assert text.splitlines() == [
        "2 of 3 pairs have a mean margin below 0; 1 of them are wrong at the end",
        "",
        "    rank      mean   epoch 1   epoch 2  key",
        "       1    -0.500    -1.250     0.250  " + "a" * 16,
        "       2    -0.500    -0.500    -0.500  b",
        "    prompt: two lines",
        "    chosen: " + "x" * (module.SHOWN - 1) + "…",
        "  rejected: no",
    ]
    assert json.loads(json.dumps(rows))[1] == {
        "rank": 2, "key": "b", "prompt_id": "p-b", "margins": [-0.5, -0.5], "mean": -0.5, "wrong_to_the_end": True, **texts["b"],
    }  # fmt: skip
    assert "prompt" not in suspects_text(suspects(tmp_path, 2))


def test_texts_are_those_that_were_trained_on(tmp_path: Path) -> None:
    from tests.zephyr_train.trl_side import tokenizer

    tokens = tmp_path / "tokens"
    tokenizer().save_pretrained(str(tokens))
    rows = pa.table(
        {"key": ["a", "b"], "prompt_ids": [[3], [4]], "chosen_ids": [[5, 2], [6, 7]], "rejected_ids": [[8], [9]]}
    )
    with pa.OSFile(str(tokens / "train.arrow"), "wb") as sink, pa.ipc.new_stream(sink, rows.schema) as stream:
        stream.write_table(rows)
    manifests.write(tokens, "tokens", digest="t")
    keep(tmp_path, 1, {"a": 1.0, "b": -1.0})
    job(tmp_path, tokens=str(tokens)).write(tmp_path)
    [row], text = report(tmp_path, 5)
    assert (row["prompt"], row["chosen"], row["rejected"]) == ("w4", "w6 w7", "w9")
    assert "w6 w7" in text

    shutil.rmtree(tokens)
    assert "prompt" not in report(tmp_path, 5)[0][0]


def test_a_run_where_every_pair_was_learnt_has_no_suspects(tmp_path: Path) -> None:
    keep(tmp_path, 1, {"a": 0.0, "b": 0.5})
    assert report(tmp_path, 5) == ([], "0 of 2 pairs have a mean margin below 0; 0 of them are wrong at the end")


def test_what_cannot_be_ranked_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RowsUnfit, match="kept no margins"):
        suspects(tmp_path, 5)
    keep(tmp_path, 1, {"a": float("nan")})
    with pytest.raises(RowsUnfit, match="margin of a is nan"):
        suspects(tmp_path, 5)
    keep(tmp_path, 1, {"a": 1.0})
    with pytest.raises(OptionError, match="top is 0"):
        suspects(tmp_path, 0)
