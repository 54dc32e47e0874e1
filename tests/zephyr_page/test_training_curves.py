"""The curves show what was measured, the same each time, and no text lies on another."""

import math
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from itertools import combinations
from typing import Any

import pytest

from zephyr_page.chart import HEIGHT, WIDTH, Line, figure
from zephyr_page.training_curves import charts, file_text, remarks

SVG = "{http://www.w3.org/2000/svg}"
Rows = list[dict[str, Any]]


def dpo_rows(steps: int, epochs: int) -> Rows:
    """Return a run whose train margin jumps at each epoch, evaluated at each epoch's end."""
    rows: Rows = []
    for step in range(1, steps + 1):
        epoch = math.ceil(step * epochs / steps)
        margin = epoch - 1 + 0.3 * math.sin(step)
        row = {"step": step, "epoch": step * epochs / steps, "loss": math.log1p(math.exp(-margin)), "margin": margin}
        row |= {"accuracy": min(1.0, 0.5 + epoch / 6), "reward_chosen": -margin, "reward_rejected": -2 * margin}
        rows.append({**row, "split": "train", "learning_rate": 5e-7})
        if step % math.ceil(steps / epochs) == 0 or step == steps:
            rows.append({**row, "split": "test", "accuracy": 0.69})
    return rows


def sft_rows(steps: int) -> Rows:
    rows: Rows = [
        {"step": at, "epoch": at / steps, "split": "train", "loss": 1 + 1 / at, "learning_rate": 2e-5 / at}
        for at in range(1, steps + 1)
    ]
    return [*rows, {"step": steps, "epoch": 1.0, "split": "test", "loss": 1.1}]


RUNS = {
    "dpo-2": dpo_rows(2, 1),
    "dpo-30-of-3": dpo_rows(30, 3),
    "dpo-6000-of-3": dpo_rows(6_000, 3),
    "dpo-80-of-8": dpo_rows(80, 8),
    "dpo-90-of-30": dpo_rows(90, 30),
    "stopped-at-the-eighth-epoch": [row for row in dpo_rows(80, 8) if row["step"] <= 71],
    "sft-2": sft_rows(2),
    "sft-400": sft_rows(400),
    "nothing": [],
    "broken": [*dpo_rows(3, 1), {"step": 4, "epoch": 1.3, "split": "train", "loss": math.nan, "margin": math.inf}],
}


def _boxes(picture: ET.Element) -> Iterator[tuple[str, float, float, float, float]]:
    """Yield each text of a picture with its left, top, right and bottom, in a font as wide as DejaVu Sans."""
    for text in picture.findall(f"{SVG}text"):
        words, size = "".join(text.itertext()), 11.5 if text.get("class") == "small" else 12.0
        width = size * sum({"j": 0.3, "i": 0.3, "l": 0.3, " ": 0.32, ".": 0.32, "−": 0.84}.get(c, 0.62) for c in words)
        x, y = float(text.attrib["x"]), float(text.attrib["y"])
        left = x - {"start": 0.0, "middle": 0.5, "end": 1.0}[text.attrib["text-anchor"]] * width
        yield words, left, y - 0.76 * size, left + width, y + 0.24 * size


@pytest.mark.parametrize("run", RUNS)
def test_no_text_lies_on_another_or_outside_its_picture(run: str) -> None:
    whole = ET.fromstring(file_text(RUNS[run], run))
    pictures = [(picture, WIDTH, HEIGHT) for picture in whole.findall(f"{SVG}svg")]
    assert len(pictures) in (2, 4)
    for picture, width, height in [*pictures, (whole, float(whole.attrib["width"]), float(whole.attrib["height"]))]:
        boxes = list(_boxes(picture))
        assert boxes
        for words, left, top, right, bottom in boxes:
            assert left >= 0 and right <= width, words
            assert top >= 0 and bottom <= height, words
        for (one, *first), (other, *second) in combinations(boxes, 2):
            across = min(first[2], second[2]) - max(first[0], second[0])
            upward = min(first[3], second[3]) - max(first[1], second[1])
            assert across <= 0 or upward <= 0, f"{one!r} lies on {other!r}"


def test_the_same_metrics_give_the_same_file_in_any_order() -> None:
    rows = dpo_rows(120, 3)
    assert file_text(rows, "t") == file_text(rows[::-1], "t")
    assert file_text([*rows, {**rows[-1], "loss": 2.0}], "t") != file_text(rows, "t")


def test_the_file_asks_for_nothing_and_its_title_is_text() -> None:
    text = file_text(dpo_rows(3, 1), '</title><script>alert("&")</script>\u202e')
    whole = ET.fromstring(text)
    assert whole.findtext(f"{SVG}title") == '</title><script>alert("&")</script>\ufffd'
    tags = {element.tag.removeprefix(SVG) for element in whole.iter()}
    assert tags <= {"svg", "title", "desc", "style", "rect", "text", "tspan", "line", "path", "circle"}
    assert not [name for element in whole.iter() for name in element.attrib if name.endswith(("href", "src"))]


def test_a_run_of_pairs_has_the_papers_figure_and_levels() -> None:
    accuracy, loss, margin, rewards = charts(dpo_rows(30, 3), "x")
    assert (accuracy.level, accuracy.level_name) == (0.5, "chance 0.50")
    assert loss.level == pytest.approx(math.log(2))
    assert margin.level == rewards.level == 0
    faint, train, test = accuracy.lines
    assert (train.name, test.name) == ("train", "test") and test.is_dashed and not train.is_dashed
    assert list(test.points) == [(1.0, 0.69), (2.0, 0.69), (3.0, 0.69)]
    logged = [(row["epoch"], row["accuracy"]) for row in dpo_rows(30, 3) if row["split"] == "train"]
    assert list(faint.points) == logged
    assert [(line.kind, line.name) for line in rewards.lines if line.name] == [
        ("chosen", "chosen"),
        ("chosen", "test"),
        ("rejected", "rejected"),
        ("rejected", "test"),
    ]


def test_each_line_is_told_in_words_for_those_who_cannot_see_it() -> None:
    picture = figure(charts(dpo_rows(30, 3), "x")[3])
    assert "; chosen, test goes from 0.16 at epoch 1 to −1.70 at epoch 3; rejected goes from" in picture


def test_no_accuracy_is_drawn_before_the_first_update() -> None:
    unmoved = {"loss": math.log(2), "margin": 0.0, "accuracy": 0.0}
    rows: Rows = [
        {"step": 0, "epoch": 0, "split": "test", **unmoved},
        {"step": 1, "epoch": 0.05, "split": "train", **unmoved},
        {"step": 2, "epoch": 0.1, "split": "train", **unmoved, "accuracy": 0.9, "margin": 0.002},
        {"step": 2, "epoch": 0.1, "split": "train", **unmoved, "accuracy": 0.8, "margin": 0.2},
        {"step": 3, "epoch": 0.2, "split": "train", **unmoved, "accuracy": 0.7, "margin": 0.0},
    ]
    accuracy, loss, *_ = charts(rows, "x")
    assert [list(line.points) for line in accuracy.lines] == [[(0.1, 0.8), (0.2, 0.7)], []]
    assert [at for at, _ in loss.lines[1].points] == [0], "the loss there is a measurement"
    accuracy, *_ = charts(rows[:1], "x")
    assert "No values were logged." in figure(accuracy) and "<circle" not in figure(accuracy)


def test_a_run_of_dialogues_has_loss_and_learning_rate() -> None:
    loss, rate = charts(sft_rows(400), "x")
    assert [line.name for line in loss.lines] == ["", "train", "test"]
    [line] = rate.lines
    assert list(line.points) == [(at / 400, pytest.approx(2 / at)) for at in range(1, 401)]  # never smoothed
    assert rate.unit == "× 10⁻⁵"


def test_of_two_rows_for_a_step_the_later_counts_and_what_is_no_number_is_left_out() -> None:
    rows = [
        {"step": 2, "epoch": 2, "split": "train", "loss": 2.0},
        {"step": 1, "epoch": 1, "split": "train", "loss": 1.0},
        {"step": 2, "epoch": 2, "split": "train", "loss": 3.0},
        {"step": 3, "epoch": 3, "split": "train", "loss": math.nan},
        {"step": 4, "epoch": 4, "split": "train", "loss": None},
        {"step": 5, "epoch": 5, "split": "train"},
        {"step": 6, "split": "train", "loss": 1.0},
        {"step": 1, "epoch": 1, "split": "test", "loss": 9.0},
    ]
    loss, _ = charts(rows, "x")
    assert [list(line.points) for line in loss.lines] == [[(1, 1.0), (2, 3.0)], [(1, 9.0)]]


def _epoch_ends(rows: Rows) -> list[str]:
    """Return the names of the epochs at whose end a rule goes up."""
    picture = ET.fromstring(figure(charts(rows, "x")[0])).find("svg")
    assert picture is not None
    rules = [line.attrib["x1"] for line in picture.findall("line") if line.get("class") == "grid" and _is_up(line)]
    names = {text.attrib["x"]: text.text or "" for text in picture.findall("text")}
    return [names[at] for at in rules]


def _is_up(line: ET.Element) -> bool:
    return line.attrib["x1"] == line.attrib["x2"]


def test_epochs_end_where_they_ended() -> None:
    assert _epoch_ends(dpo_rows(30, 3)) == ["1", "2"]
    assert _epoch_ends(dpo_rows(30, 1)) == []
    assert _epoch_ends(dpo_rows(30, 3)[:25]) == ["1", "2"]  # stopped in the third
    assert _epoch_ends([]) == []
    assert _epoch_ends([{"step": 3, "split": "train"}]) == []


def test_the_remarks_say_what_was_done_to_the_values() -> None:
    assert remarks(dpo_rows(30, 3)) == [
        "An epoch is 10 steps.",
        "Dashed: evaluations on the test split.",
        "Accuracy is the paper's Figure 3, left; it starts at the first update: before it, margins are rounding.",
        "Train: mean of 5 logged steps around each, within its epoch; faint: as logged.",
    ]
    assert remarks(sft_rows(2)) == ["An epoch is 2 steps.", "Dashed: evaluations on the test split."]
    assert remarks([]) == ["Dashed: evaluations on the test split."]


def test_a_dashed_line_has_a_dot_at_each_of_a_few_points() -> None:
    accuracy, *_ = charts(dpo_rows(30, 3), "x")
    assert figure(accuracy).count("<circle") == 3
    assert isinstance(accuracy.lines[0], Line) and figure(charts(dpo_rows(90, 30), "x")[0]).count("<circle") == 0
