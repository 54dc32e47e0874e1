"""The first step's check, exact test means, per-epoch margins."""

import math
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from zephyr_train.errors import InvariantBroken
from zephyr_train.training.margins import Margins

NOISE = {"fp32": 6e-5, "bf16": 0.04}  # of a model of 16 layers


def book(numerics: str = "fp32", beta: float = 0.1, first_rows: int = 1) -> Margins:
    names = {"keys": ["a", "b", "c"], "prompt_ids": ["p", "q", "r"]}
    return Margins(beta, **names, tokens=[4, 4, 4], noise=NOISE[numerics], first_rows=first_rows)


def test_a_policy_that_is_its_own_reference_passes_the_first_step() -> None:
    book().add("train", 0, [0, 1], [1e-4, 0.0], [0.0, -1e-4])


@pytest.mark.parametrize("beta", [0.01, 0.1, 0.5])
@pytest.mark.parametrize(("chosen", "rejected"), [([0.4, 0.4], [0.0, 0.0]), ([0.4, -0.4], [0.0, 0.0])])
def test_log_probs_of_another_model_stop_the_run_at_the_first_step(
    beta: float, chosen: list[float], rejected: list[float]
) -> None:
    with pytest.raises(InvariantBroken, match=r"not ln 2 = 0\.69315"):
        book(beta=beta).add("train", 0, [0, 1], chosen, rejected)


@pytest.mark.parametrize("beta", [0.01, 0.1, 0.5])
def test_bf16_noise_passes_and_a_stale_reference_does_not_whatever_beta_is(beta: float) -> None:
    """The lab's stale reference gave 0.715 at β 0.1: −0.43 nats on average. Errors of both signs are larger than noise."""
    book("bf16", beta).add("train", 0, [0, 1], [0.3, -0.3], [0.0, 0.0])
    margin = -math.log(math.exp(0.715) - 1)
    for differences in ([margin / 0.1] * 2, [2.0, -2.0]):
        with pytest.raises(InvariantBroken):
            book("bf16", beta).add("train", 0, [0, 1], differences, [0.0, 0.0])


def test_the_whole_first_step_is_looked_at_and_not_each_micro_batch() -> None:
    whole = book("bf16", first_rows=2)
    whole.add("train", 0, [0], [0.4], [0.0])
    whole.add("train", 0, [1], [-0.4], [0.0])  # noise of both signs
    one_sided = book("bf16", first_rows=2)
    one_sided.add("train", 0, [0], [0.4], [0.0])
    with pytest.raises(InvariantBroken):
        one_sided.add("train", 0, [1], [0.4], [0.0])


def test_a_number_that_is_none_stops_the_run_at_the_first_step() -> None:
    with pytest.raises(InvariantBroken):
        book().add("train", 0, [0], [float("nan")], [0.0])


def test_later_steps_and_test_rows_may_differ() -> None:
    margins = book()
    margins.add("train", 1, [0], [5.0], [0.0])
    margins.add("test", 0, [0], [5.0], [0.0])


def test_each_test_row_counts_once_and_batches_do_not_matter() -> None:
    margins = book(beta=0.5)
    assert margins.add("test", 3, [0, 1], [2.0, -2.0], [0.0, 0.0]) == {0, 1}
    assert margins.add("test", 3, [2, 0], [4.0, 2.0], [0.0, 0.0]) == {2}  # row 0 fills up the last batch
    assert margins.end_test() == pytest.approx(sum(math.log(1 + math.exp(-margin)) for margin in (1, -1, 2)) / 3)
    assert margins.end_test() is None
    assert margins.add("test", 4, [0], [0.0], [0.0]) == {0}


def test_the_loss_of_a_hopeless_row_does_not_overflow() -> None:
    margins = book(beta=1.0)
    margins.add("test", 3, [0], [-5_000.0], [0.0])
    assert margins.end_test() == pytest.approx(5_000.0)


def test_an_epoch_is_written_by_row_and_a_checkpoint_carries_the_running_one(tmp_path: Path) -> None:
    margins = book()
    margins.add("train", 1, [2], [3.0], [1.0])
    margins.save(tmp_path)
    resumed = book()
    resumed.load(tmp_path)
    resumed.add("train", 2, [0], [1.0], [3.0])
    resumed.finish_epoch(tmp_path / "margins" / "epoch-1.parquet")
    table = pq.read_table(tmp_path / "margins" / "epoch-1.parquet").to_pydict()
    assert table["key"] == ["a", "c"]
    assert table["prompt_id"] == ["p", "r"]
    assert table["margin"] == pytest.approx([-0.2, 0.2])
    resumed.finish_epoch(tmp_path / "margins" / "epoch-2.parquet")
    assert pq.read_table(tmp_path / "margins" / "epoch-2.parquet").num_rows == 0
