import re
from pathlib import Path

import pytest

from tests.zephyr_run import report_run
from zephyr_run.report import bars, examples, series
from zephyr_run.report.markup import real, safe, shorten
from zephyr_run.report.style import CSS


def test_accuracy_before_the_first_update_is_left_out() -> None:
    rows = [
        {"step": 0, "split": "test", "epoch": 0, "accuracy": 1.0, "margin": 1e-6},
        {"step": 2, "split": "train", "epoch": 0.1, "accuracy": 0.9, "margin": 0.002},
        {"step": 2, "split": "train", "epoch": 0.1, "accuracy": 0.8, "margin": 0.2},
        {"step": 3, "split": "train", "epoch": 0.2, "accuracy": 0.7, "margin": 0.0},
    ]
    assert series.points(series.moved(rows), "accuracy", "train") == [(0.1, 0.8), (0.2, 0.7)]
    assert series.points(series.moved(rows), "accuracy", "test") == []


def test_a_mean_stays_within_its_epoch() -> None:
    line = [(0.5, 0.0), (1.0, 0.0), (1.5, 9.0), (2.0, 9.0)]
    assert series.smoothed(line, 3) == line
    assert series.smoothed([(0.1, 0.0), (0.2, 3.0), (0.3, 6.0)], 3) == [(0.1, 1.5), (0.2, 3.0), (0.3, 4.5)]


def test_a_long_line_is_thinned_and_keeps_its_mean() -> None:
    line = [(float(at), float(at % 2)) for at in range(4000)]
    thin = series.thinned(line)
    assert len(thin) == 400 and {value for _, value in thin} == {0.5}


@pytest.mark.parametrize(
    ("low", "high"), [(0.0, 1.0), (-0.06, 0.44), (6.3, 7.63), (5.0, 5.0), (0.0, 0.0), (1e-9, 3e-9), (-5, 3e6)]
)
def test_ticks_are_few_and_span_the_values(low: float, high: float) -> None:
    marks = series.ticks(low, high)
    assert 2 <= len(marks) <= 8 and marks[0] <= low and marks[-1] >= high and marks == sorted(set(marks))


def test_the_interval_of_a_share_is_wilsons() -> None:
    assert series.interval(0.5, 2) == pytest.approx((0.0945, 0.9055), abs=1e-3)
    assert series.interval(1.0, 10)[0] == pytest.approx(0.7225, abs=1e-3) and series.interval(1.0, 10)[1] == 1.0


def test_stages_stand_in_the_order_in_which_rows_meet_them() -> None:
    stages = bars.by_stage({"duplicates/x": 1, "phrases/a": 2, "phrases/b": 5, "read/c": 1, "new/d": 1})
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


def test_numbers_and_texts_as_people_read_them() -> None:
    assert [real(value, 2) for value in (-0.001, -0.02, 1234.5, None, float("nan"))] == [
        "0.00",
        "−0.02",
        "1,234.50",
        "–",
        "NaN",
    ]
    assert shorten("a" * 9, 5) == "aaaa…" and shorten("abc", 3) == "abc"
    assert safe("\ud800<\u202e") == "\ufffd&lt;\ufffd" and safe(safe("<")) == "&lt;"


def _luminance(colour: tuple[float, ...]) -> float:
    red, green, blue = (c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _rgb(text: str) -> tuple[float, ...]:
    return tuple(int(text[at : at + 2], 16) / 255 for at in (1, 3, 5))


@pytest.mark.parametrize("scheme", [0, 1])
def test_text_stands_out_from_what_lies_behind_it(scheme: int) -> None:
    block = CSS.split("@media print")[0].split("prefers-color-scheme: dark")[scheme]
    colours = {name: _rgb(value) for name, value in re.findall(r"--(\w+): (#[0-9a-f]{6})", block)}
    tint = tuple(0.2 * above + 0.8 * below for above, below in zip(colours["train"], colours["paper"], strict=True))
    pairs = [(text, colours["paper"]) for text in ("ink", "muted", "train", "test")]
    pairs += [
        ("ink", colours["soft"]),
        ("muted", colours["soft"]),
        ("ink", colours["mark"]),
        ("ink", tint),
        ("muted", tint),
    ]
    for text, behind in pairs:
        light, dark = sorted((_luminance(colours[text]), _luminance(behind)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, (scheme, text)
