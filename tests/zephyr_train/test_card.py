"""What the model's card and the closing line quote."""

from pathlib import Path
from typing import Any

from tests.zephyr_train.jobs import job
from zephyr_train.results import card, finish
from zephyr_train.train import _closing

UNMOVED = {"step": 0, "split": "test", "loss": 0.6931, "accuracy": 0.0, "margin": 0.0}
MOVED = {"step": 9, "split": "test", "loss": 0.5, "accuracy": 0.75, "margin": 0.5}


def text(tmp_path: Path, results: dict[str, Any]) -> str:
    return card.text(job(tmp_path), {"rows": "pairs"}, {"batch": "4 = 2 × 2"}, results, [])


def test_the_card_quotes_the_last_evaluation(tmp_path: Path) -> None:
    assert "| test loss | 0.5000 |\n| test accuracy of the implicit reward | 0.7500 |" in text(tmp_path, MOVED)


def test_no_accuracy_is_quoted_before_the_first_update(tmp_path: Path) -> None:
    quoted = text(tmp_path, UNMOVED)
    assert "| test loss | 0.6931 |" in quoted and "test accuracy" not in quoted
    assert "test loss 0.6931, margin 0.0000;" in _closing(tmp_path, {"step": "dpo", "results": UNMOVED})


def test_a_train_row_is_not_quoted_as_a_test(tmp_path: Path) -> None:
    quoted = text(tmp_path, {**MOVED, "split": "train"})
    assert "| no test split | |" in quoted and "0.5000" not in quoted


def test_each_setting_of_the_trainer_is_on_the_card(tmp_path: Path) -> None:
    changed = job(tmp_path, "sft", settings={"loss_type": "dft", "adam_beta2": 0.98})
    notes = finish._own_notes(changed)
    quoted = card.text(changed, {"rows": "r"}, {"batch": "4 = 2 × 2"}, MOVED, notes)
    assert "- --set loss_type=dft\n- --set adam_beta2=0.98\n" in quoted
