"""The curves show what was logged, the same each time, and no text lies on another."""

import math
from itertools import combinations
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg

from zephyr_train.results import curve_points, curves

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


@pytest.mark.parametrize("run", RUNS)
def test_no_text_lies_on_another_or_outside_the_figure(run: str, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[Any] = []
    draw_text = RendererAgg.draw_text

    def watched(*arguments: Any, mtext: Any, **further: Any) -> None:
        written.append(mtext)
        draw_text(*arguments, mtext=mtext, **further)

    monkeypatch.setattr(RendererAgg, "draw_text", watched)
    with mpl.rc_context(curves._STYLE):
        whole = curves.figure(RUNS[run])
        FigureCanvasAgg(whole).draw()
    boxes = [(text.get_text(), text.get_window_extent()) for text in dict.fromkeys(written)]
    assert len(boxes) > 8
    for name, box in boxes:
        assert -1 <= box.x0 < box.x1 <= whole.bbox.x1 + 1, name
        assert -1 <= box.y0 < box.y1 <= whole.bbox.y1 + 1, name
    for (one, first), (other, second) in combinations(boxes, 2):
        across = min(first.x1, second.x1) - max(first.x0, second.x0)
        upward = min(first.y1, second.y1) - max(first.y0, second.y0)
        assert across <= 0 or upward <= 0, f"{one!r} lies on {other!r}"


def test_the_same_metrics_give_the_same_files(tmp_path: Path) -> None:
    rows = dpo_rows(120, 3)
    curves.draw(rows, tmp_path / "one")
    curves.draw(rows[::-1], tmp_path / "two")
    for name in curves.FILES:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    svg = (tmp_path / "one" / "curves.svg").read_text()
    assert "<dc:date>" not in svg
    curves.draw([*rows, {**rows[-1], "loss": 2.0}], tmp_path / "three")
    assert (tmp_path / "three" / "curves.svg").read_text() != svg


def test_a_run_of_pairs_has_the_papers_figure_and_levels() -> None:
    accuracy, loss, margin, rewards = curves.figure(dpo_rows(30, 3)).axes
    assert level(accuracy) == 0.5
    assert level(loss) == pytest.approx(math.log(2))
    assert level(margin) == level(rewards) == 0
    assert [text.get_text() for text in accuracy.get_legend().get_texts()] == ["train", "test", "chance"]
    for plot in (accuracy, loss, margin, rewards):
        assert boundaries(plot) == [10, 20]
        assert [text.get_text() for text in plot.texts] == ["epoch 1", "epoch 2", "epoch 3"]
    train, test = (line for line in accuracy.lines if len(line.get_xdata()) in (30, 3))
    assert list(test.get_xdata()) == [10, 20, 30]
    assert list(test.get_ydata()) == [0.69] * 3
    assert list(train.get_ydata()) == [row["accuracy"] for row in dpo_rows(30, 3) if row["split"] == "train"]


def level(plot: Any) -> float:
    """Return where the panel's horizontal line is."""
    [found] = [line.get_ydata()[0] for line in plot.lines if list(line.get_xdata()) == [0, 1]]
    return float(found)


def boundaries(plot: Any) -> list[float]:
    return [line.get_xdata()[0] for line in plot.lines if list(line.get_ydata()) == [0, 1]]


def test_a_run_of_dialogues_has_loss_and_learning_rate() -> None:
    loss, rate = curves.figure(sft_rows(400)).axes
    assert [text.get_text() for text in loss.get_legend().get_texts()] == ["train", "test"]
    [line] = rate.lines
    assert list(line.get_ydata()) == [2e-5 / at for at in range(1, 401)]  # never smoothed
    assert rate.get_ylabel() == "× $10^{-5}$"


def test_of_two_rows_for_a_step_the_later_counts_and_what_is_no_number_is_left_out() -> None:
    rows = [
        {"step": 2, "split": "train", "loss": 2.0},
        {"step": 1, "split": "train", "loss": 1.0},
        {"step": 2, "split": "train", "loss": 3.0},
        {"step": 3, "split": "train", "loss": math.nan},
        {"step": 4, "split": "train", "loss": None},
        {"step": 5, "split": "train"},
        {"step": 1, "split": "test", "loss": 9.0},
    ]
    assert curve_points.points(rows, "loss", "train") == ([1, 2], [1.0, 3.0])


def test_the_mean_moves_over_a_fiftieth_of_the_run() -> None:
    assert [curve_points.window(rows) for rows in (0, 2, 99, 100, 150, 6_000)] == [1, 1, 3, 3, 3, 121]
    steps = list(range(1, 11))
    values = [float(step**2) for step in steps]
    assert curve_points.moving_mean(steps, values, [], 1) == values
    assert curve_points.moving_mean(steps, values, [], 3)[1:9] == pytest.approx(
        [step**2 + 2 / 3 for step in steps[1:9]]
    )


def test_the_mean_does_not_reach_into_another_epoch() -> None:
    steps = list(range(1, 11))
    jump = [0.0] * 5 + [1.0] * 5
    assert curve_points.moving_mean(steps, jump, [5.0], 5) == jump
    assert curve_points.moving_mean(steps, jump, [], 5) != jump


def test_epochs_end_where_they_ended() -> None:
    assert curve_points.epoch_boundaries(dpo_rows(30, 3)) == pytest.approx([10, 20])
    assert curve_points.epoch_boundaries(dpo_rows(30, 1)) == []
    assert curve_points.epoch_boundaries(dpo_rows(30, 3)[:25]) == pytest.approx([10, 20])  # stopped in the third
    assert curve_points.epoch_boundaries([]) == []
    assert curve_points.epoch_boundaries([{"step": 3, "split": "train"}]) == []
