"""The figures of `zephyr train measure` by hand; on trained models, see test_training."""

import pytest

from zephyr_train.results.measure import figures, longer_share, standard_error
from zephyr_train.training.held_out import HeldOut

START = HeldOut([-10.0, -8.0, -6.0], [-9.0, -9.0, -9.0], [5, 4, 2], [3, 4, 9], [0.5, 0.25, 0.75], [], [])
TRAINED = HeldOut(
    [-5.0, -8.0, -9.0], [-9.0, -12.0, -9.0], [5, 4, 2], [3, 4, 9], [0.5, 0.25, 0.6], [True, False], [False, True]
)


def test_figures_by_hand() -> None:
    """Per token: −1 > −3, −2 > −3, −4.5 < −1. Above the start: +5 > 0, 0 > −3, −3 < 0."""
    shares = figures(TRAINED, START)
    assert shares["accuracy_per_token"] == pytest.approx(2 / 3)
    assert shares["implicit_accuracy"] == pytest.approx(2 / 3)
    assert (shares["stopped_share"], shares["played_on_share"]) == (0.5, 0.5)
    assert shares["eos_probability"] == pytest.approx(0.45)
    assert shares["standard_error"] == pytest.approx((2 / 9 / 3) ** 0.5)


def test_the_start_itself_has_no_implicit_reward() -> None:
    assert figures(START, START)["implicit_accuracy"] is None
    assert figures(START, None)["implicit_accuracy"] is None


def test_the_longer_answer_as_a_judge_a_tie_counts_half() -> None:
    assert longer_share(START) == pytest.approx((1 + 0.5 + 0) / 3)
    assert standard_error(0.5, 100) == 0.05
