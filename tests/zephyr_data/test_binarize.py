"""`zephyr data binarize`: options, refusals, a stopped run, sums and measures."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.zephyr_data.conftest import Command
from tests.zephyr_data.damage import reseal
from tests.zephyr_data.rated import generic, many, same
from zephyr_core import recipe
from zephyr_core.errors import OptionError, UsageError
from zephyr_data.engine.store import verify
from zephyr_data.errors import ContractBroken, SourceError
from zephyr_data.options import BinarizeOptions

Make = Callable[..., dict[str, Any]]
Write = Callable[..., Path]


def test_limit_counts_rows_not_blank_lines(write: Write, binarize: Make, tmp_path: Path) -> None:
    lines = [generic("p", [3, 1]), "", " ", generic("q", [3, 1]), "", generic("r", [3, 1])]
    limited = binarize(write(lines), limit=2)
    assert limited["counts"]["rows_read"] == 2
    binarize(write(lines), out="whole")
    assert same(binarize(tmp_path / "whole", out="again", limit=2), limited)


def test_a_folder_inside_a_dataset_is_refused(write: Write, binarize: Make, tmp_path: Path) -> None:
    path = write([generic("p", [3, 1])])
    binarize(path)
    with pytest.raises(UsageError, match="is inside the dataset"):
        binarize(path, out="pairs/sub")
    verify(tmp_path / "pairs")


def test_an_option_without_effect_is_refused(write: Write, binarize: Make) -> None:
    with pytest.raises(OptionError, match="suspicious_tens has no effect on the score 'mean'"):
        binarize(write([generic("p", [3, 1])]), suspicious_tens="keep")
    with pytest.raises(UsageError, match="--workers is 0"):
        binarize(write([generic("p", [3, 1])]), workers=0)


@pytest.mark.parametrize(
    "other",
    [{"rejected": "lowest"}, {"score": "overall"}, {"ties": "drop"}, {"min_margin": 1.0}, {"seed": 7},
     {"rules": ("ultrachat",)}, {"keep_benchmarks": True}, {"benchmark_sources": ("flan",)}, {"keep_dropped": True}],
    ids=str,
)  # fmt: skip
def test_blocks_of_a_stopped_run_with_other_options_are_not_reused(
    write: Write,
    binarize: Make,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    other: dict[str, Any],
) -> None:
    path = write(many())
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("zephyr_data.engine.pipeline.manifest.write", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        binarize(path)
    again = binarize(path, **other)
    stderr = capsys.readouterr().err
    assert "starting over: " in stderr and f"{next(iter(other))} changed since" in stderr
    assert same(again, binarize(path, out="fresh", **other))


def test_a_layout_or_test_side_alone_reuses_them(
    write: Write, binarize: Make, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(many())
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("zephyr_data.engine.pipeline.manifest.write", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        binarize(path)
    again = binarize(path, layout="h4", test_prompts=5)
    assert "continuing: 1 blocks are done" in capsys.readouterr().err
    assert same(again, binarize(path, out="fresh", layout="h4", test_prompts=5))


def test_a_refused_run_leaves_nothing_behind(write: Write, binarize: Make, tmp_path: Path) -> None:
    with pytest.raises(SourceError):
        binarize(write(['{"a": 1}']))
    assert [path.name for path in tmp_path.iterdir()] == ["rows.jsonl"]


def test_equal_means_tie_whatever_the_order_of_the_ratings(write: Write, binarize: Make) -> None:
    answers = [
        {"response": text, "ratings": dict(zip("abc", ratings, strict=True))}
        for text, ratings in (("x", (0.1, 0.2, 0.3)), ("y", (0.3, 0.2, 0.1)), ("z", (0.1, 0.1, 0.1)))
    ]
    content = binarize(write([json.dumps({"prompt": "p", "responses": answers})]))
    assert content["counts"]["tied_rows"] == 1 and list(content["counts"]["margins"]) == ["0.1"]


def test_sums_audit_and_measures(write: Write, binarize: Make, tmp_path: Path) -> None:
    lines = [
        generic("p", [3, 1], ["long answer", "short"], id="a"),
        generic("q", [3, 1], ["short", "long answer"], id="b"),
        generic("r", [3, 3, 1], ["equal", "equally", "alike"], id="c"),
        generic("s", [2, 2], id="d"),
        "broken",
    ]
    content = binarize(write(lines), ties="first", keep_dropped=True)
    counts = content["counts"]
    assert (counts["rows_read"], counts["kept_rows"], counts["pairs"], counts["tied_rows"]) == (5, 3, 3, 1)
    assert counts["dropped"] == {"gates/no-lower-score": 1, "read/unreadable-line": 1}
    assert (counts["longer_chosen_pairs"], counts["equally_long_pairs"]) == (1, 1)
    assert (counts["chosen_characters"], counts["rejected_characters"]) == (21, 21)
    assert counts["margins"] == {"2.0": 3}
    assert counts["wins"] == {"m-equal": 1, "m-long answer": 1, "m-short": 1}
    kept_rows = pl.read_parquet(tmp_path / "pairs" / "audit" / "kept.parquet")
    for row in kept_rows.rows(named=True):
        split = pl.read_parquet(tmp_path / "pairs" / "data" / f"{row['split']}-*.parquet")
        assert split["prompt_id"][row["row"]] == row["prompt_id"]
    dropped = pl.read_parquet(tmp_path / "pairs" / "dropped_rows" / "dropped.parquet")
    assert dict(dropped.select("line", "raw").rows()) == {4: lines[3], 5: lines[4]}
    assert verify(tmp_path / "pairs")["counts"] == counts


def test_verify_counts_pairs(write: Write, binarize: Make, tmp_path: Path) -> None:
    binarize(write([generic("p", [3, 1])]))
    reseal(tmp_path / "pairs", lambda content: content["counts"].update(pairs=2))
    with pytest.raises(ContractBroken, match="2 pairs counted, but 1 in the prefs splits"):
        verify(tmp_path / "pairs")


def test_options_resolve_with_their_origins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZEPHYR_BINARIZE_MIN_MARGIN", "0.5")
    resolved = recipe.resolve("binarize", BinarizeOptions, recipe.load("tiny"), {"rejected": "lowest"})
    assert (resolved.options.sources, resolved.options.min_margin) == (("samples:ultrafeedback", "samples:judged"), 0.5)
    assert resolved.explain("rejected") == "binarize.rejected = 'lowest'   (flag --rejected)"


@pytest.mark.parametrize(("score", "fields"), [("mean", "annotations and ratings"), ("overall", "overall_score")])
def test_the_fields_that_were_looked_for_are_named(score: str, fields: str, write: Write, binarize: Make) -> None:
    answers = [{"response": text, "quality": 3} for text in ("a", "b")]
    with pytest.raises(SourceError, match="missing-score 1") as caught:
        binarize(write([json.dumps({"prompt": "p", "responses": answers})]), score=score)
    assert f"the score {score!r} is read from {fields}, or else from score" in str(caught.value.hint)


def test_answers_with_a_rating_that_is_not_used_are_counted(write: Write, command: Command) -> None:
    path = write([generic("p", [3, 1, "five"]), generic("q", ["?", "?"]), generic("r", [3, 1])])
    ended = command("data", "binarize", path, "--out=pairs")
    assert ended.code == 0 and re.search(r"answers with a rating not used +3 +gates/unreadable-rating", ended.out), (
        ended
    )
