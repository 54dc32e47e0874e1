"""What a line of progress says of a run so far."""

from typing import Any

from zephyr_train.training.progress import state_line


def row(split: str, step: int, **figures: float) -> dict[str, Any]:
    return {"split": split, "step": step, "loss": 0.6931, **figures}


def test_before_the_first_step_there_is_nothing_to_tell() -> None:
    assert state_line([], 1.0) == "loading"
    assert state_line([row("test", 0, accuracy=0.0)], 1.0) == "loading"


def test_the_test_accuracy_before_the_first_update_is_rounding_and_not_told() -> None:
    rows = [row("test", 0, accuracy=0.0, margin=0.0), row("train", 1, accuracy=0.5, margin=0.1, tokens=100)]
    assert state_line(rows, 1.0) == "loss 0.6931, accuracy 0.50, test loss 0.693"
    assert state_line([row("train", 1, accuracy=0.0, margin=0.0)], 1.0) == "loss 0.6931"
    rows += [row("test", 2, accuracy=0.75, margin=0.2), row("train", 3, accuracy=1.0, tokens=300)]
    assert state_line(rows, 2.0) == "loss 0.6931, accuracy 1.00, test accuracy 0.750, 100 tokens/s"
