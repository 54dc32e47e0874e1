"""`zephyr train measure`: shares of held-out pairs by hand, and on a trained model."""

import json

import pytest

from tests.zephyr_train.conftest import World
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


@pytest.mark.long
def test_models_side_by_side(aligned: World) -> None:
    sft, dpo = aligned.run("sft"), aligned.run("dpo")
    command = ["train", "measure", sft, dpo, "--pairs", dpo, "--start", sft, "--answers", 3, "--json"]
    from tests.conftest import zephyr

    done = zephyr(*command, cwd=aligned.folder)
    assert done.returncode == 0, done.stderr
    content = json.loads(done.stdout)
    last = aligned.metrics(dpo, "test")[-1]
    dpo_figures = content["models"][str(dpo)]
    assert content["pairs"] == len(dpo_figures["chosen"])
    assert dpo_figures["implicit_accuracy"] == pytest.approx(last["accuracy"])
    assert sum(dpo_figures["chosen"]) / content["pairs"] == pytest.approx(last["logps_chosen"], abs=1e-2)
    assert content["models"][str(sft)]["implicit_accuracy"] is None
    assert len(dpo_figures["answers"]) == len(dpo_figures["stopped"]) == min(3, content["pairs"])
    unfinished = zephyr("train", "measure", sft, "--pairs", aligned.folder, cwd=aligned.folder)
    assert unfinished.returncode == 4 and "is not a finished run" in unfinished.stderr
