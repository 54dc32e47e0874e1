"""Eight optimiser steps of the project's trainer are eight of plain TRL's, and of a plain torch loop over Eq. (1)."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from tests.conftest import ROOT
from tests.zephyr_train import ranks, trl_side
from tests.zephyr_train.jobs import job
from zephyr_train.errors import InvariantBroken
from zephyr_train.launch import accelerate_config
from zephyr_train.loss import LogpPair, dpo_loss
from zephyr_train.pairs.layout import PADDED, SEPARATE, SHARED

STEPS, MICRO, ACCUMULATION = 8, 4, 2
ROWS = ranks.rows(27)  # two epochs of three whole steps of 8, and one of 3


def linear(step: int) -> float:
    """Return the share of the peak at which the step before `step` + 1 is taken: up over the warm-up, then down to 0."""
    return step / ranks.WARMUP if step < ranks.WARMUP else (STEPS - step) / (STEPS - ranks.WARMUP)


def logged(trainer: Any, name: str) -> list[float]:
    return [entry[name] for entry in trainer.state.log_history if name in entry and "train_runtime" not in entry]


def assert_same_weights(ours: dict[str, Any], theirs: Any) -> None:
    for name, weight in theirs.named_parameters():
        torch.testing.assert_close(ours[name], weight, atol=2e-5, rtol=0, msg=lambda text, name=name: f"{name}: {text}")


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Plain TRL on one process, padded rows in its own order; its steps did something, and clipping was at work."""
    rows = trl_side.with_reference(ROWS, trl_side.tiny_model())
    options = {**ranks.OPTIONS, "per_device_train_batch_size": MICRO, "gradient_accumulation_steps": ACCUMULATION}
    theirs = trl_side.trainer(trl_side.tiny_model(), rows, tmp_path_factory.mktemp("plain"), **options)
    theirs.train()
    start = dict(trl_side.tiny_model().named_parameters())
    assert max((weight - start[name]).abs().max().item() for name, weight in theirs.model.named_parameters()) > 1e-2
    assert max(logged(theirs, "grad_norm")) > 1.0
    assert theirs.state.global_step == STEPS
    return theirs


@pytest.mark.parametrize("layout", [SHARED, SEPARATE, PADDED])
@pytest.mark.parametrize(("micro", "accumulation"), [(4, 2), (8, 1), (1, 8)])
def test_eight_steps_are_those_of_plain_trl(
    tmp_path: Path, plain: Any, layout: str, micro: int, accumulation: int
) -> None:
    rows = trl_side.with_reference(ROWS, trl_side.tiny_model())
    options = {**ranks.OPTIONS, "per_device_train_batch_size": micro, "gradient_accumulation_steps": accumulation}
    ours = trl_side.project_trainer(trl_side.tiny_model(), rows, tmp_path, layout=layout, **options)
    ours.train()
    assert logged(ours, "loss")[0] == pytest.approx(0.6931472, abs=1e-5)
    assert logged(ours, "loss") == pytest.approx(logged(plain, "loss"), abs=1e-5)
    for name in ranks.FIGURES:
        assert logged(ours, name) == pytest.approx(logged(plain, name), abs=1e-4, rel=1e-4), name
    assert_same_weights(dict(ours.model.named_parameters()), plain.model)


def test_and_those_of_a_plain_loop(plain: Any, tmp_path: Path) -> None:
    """No library but torch: Eq. (1) over the same rows, AdamW, clipping, a linear rate after the warm-up."""
    rows = trl_side.with_reference(ROWS, trl_side.tiny_model())
    ours = trl_side.project_trainer(
        trl_side.tiny_model(), rows, tmp_path, **ranks.OPTIONS, per_device_train_batch_size=MICRO * ACCUMULATION
    )
    order: list[list[dict[str, Any]]] = []
    for ours.state.global_step in (0, STEPS // 2):
        order += [[rows[row] for row in batch["row"].tolist()] for batch in ours.get_train_dataloader()]
    assert [len(batch) for batch in order] == [8, 8, 8, 3] * 2
    model = trl_side.tiny_model()
    optimizer = torch.optim.AdamW(model.parameters(), lr=ranks.PEAK, betas=(0.9, 0.999), eps=1e-4, weight_decay=0.0)
    losses, norms = [], []
    for step in range(STEPS):
        batch = order[step]
        logps = ([row[name] for row in batch] for name in ("ref_chosen_logps", "ref_rejected_logps"))
        reference = LogpPair(*map(torch.tensor, logps))
        loss = dpo_loss(trl_side.plain_pairs(model, batch), reference, beta=ranks.BETA).mean()
        loss.backward()
        losses.append(loss.item())
        norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0).item())
        for group in optimizer.param_groups:
            group["lr"] = ranks.PEAK * linear(step)
        optimizer.step()
        optimizer.zero_grad()
    assert losses == pytest.approx(logged(plain, "loss"), abs=1e-5)
    assert norms == pytest.approx(logged(plain, "grad_norm"), rel=1e-4)
    assert logged(plain, "learning_rate") == pytest.approx([ranks.PEAK * linear(step) for step in range(STEPS)])
    assert_same_weights(dict(model.named_parameters()), plain.model)


ACCELERATE = ["-m", "accelerate.commands.launch", "--config_file", "launch.yaml", "--main_process_port", "0"]
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]


Ranks = tuple[Path, "subprocess.CompletedProcess[str]"]


def two_ranks(folder: Path, backend: str, *ways: str, **changes: Any) -> Ranks:
    config = accelerate_config(job(folder, **{"world": 2, "backend": backend, **changes}))
    (folder / "launch.yaml").write_text(yaml.safe_dump(config))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""}
    started = TORCHRUN if backend == "ddp" else ACCELERATE
    command = [sys.executable, *started, "-m", "tests.zephyr_train.ranks", str(folder), *ways]
    return folder, subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def zero_3(tmp_path_factory: pytest.TempPathFactory) -> Ranks:
    """Two runs that end, and then one that does not."""
    return two_ranks(tmp_path_factory.mktemp("zero-3"), "deepspeed-3", "full", "lora-checkpointing", "exploding")


def assert_plain_trls(folder: Path, way: str, theirs_in: Path) -> None:
    """Some pairs are so long that their rank reads no other with them; a mean over ranks would weigh them thrice."""
    figures = json.loads((folder / way / "told.json").read_text())
    moments = [moment for step in figures["counts"] for moment in zip(*step, strict=True)]
    assert any(min(moment) == 1 and max(moment) >= 3 for moment in moments)
    assert [sum(map(sum, step)) for step in figures["counts"]] == [8, 8, 3] * 2
    assert [len(step[0]) for step in figures["counts"]] == [2, 2, 1] * 2
    assert figures["processes"] == 2

    options = {**ranks.OPTIONS, "per_device_train_batch_size": ranks.STEP_PAIRS}
    rows = trl_side.with_reference(ranks.uneven_rows(), trl_side.tiny_model())
    adapter = ranks.lora() if "lora" in way else None
    theirs = trl_side.trainer(trl_side.tiny_model(), rows, theirs_in, peft=adapter, **options)
    theirs.train()
    assert theirs.state.global_step == len(figures["loss"]) == 6
    assert figures["loss"] == pytest.approx(logged(theirs, "loss"), abs=1e-5)
    for name, values in figures["logged"].items():
        assert values == pytest.approx(logged(theirs, name), abs=1e-4, rel=1e-4), name
    assert_same_weights(torch.load(folder / way / "weights.pt"), theirs.model)


@pytest.mark.long
@pytest.mark.parametrize(
    ("backend", "way"), [("ddp", "full"), pytest.param("deepspeed-2", "full-checkpointing", marks=pytest.mark.slow)]
)
def test_two_ranks_with_one_pair_and_three_are_plain_trl_too(tmp_path: Path, backend: str, way: str) -> None:
    folder, done = two_ranks(tmp_path, backend, way)
    assert done.returncode == 0, done.stderr[-4000:]
    assert_plain_trls(folder, way, tmp_path / "theirs")


@pytest.mark.long
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
@pytest.mark.parametrize("way", ["full", "lora-checkpointing"])
def test_so_are_two_of_zero_3(zero_3: Ranks, way: str, tmp_path: Path) -> None:
    folder, done = zero_3
    assert (folder / way / "told.json").is_file(), done.stderr[-4000:]
    assert_plain_trls(folder, way, tmp_path)


@pytest.mark.long
def test_a_gradient_that_is_no_number_on_one_rank_stops_zero_3(zero_3: Ranks) -> None:
    """DeepSpeed would leave the step out and go on."""
    folder, done = zero_3
    failure = json.loads((folder / "failure.json").read_text())
    assert done.returncode != 0 and failure["exit_code"] == 5
    assert failure["message"].startswith("the gradient of step 3 is not a number")


def test_a_gradient_that_is_no_number_stops_a_run_before_the_weights_follow_it(tmp_path: Path) -> None:
    rows = trl_side.with_reference(ROWS, trl_side.tiny_model())
    options = {**ranks.OPTIONS, "per_device_train_batch_size": MICRO}
    ours = trl_side.project_trainer(trl_side.tiny_model(), rows, tmp_path, kind=ranks.Exploding, **options)
    with pytest.raises(InvariantBroken, match="the gradient of step 3 is not a number"):
        ours.train()
    assert ours.state.global_step == 2
    assert all(weight.isfinite().all() for weight in ours.model.parameters())


@pytest.mark.slow
@pytest.mark.parametrize("stage", [1, 2, 3])
def test_a_long_sum_of_gradients_is_that_of_fp32_under_zero(tmp_path: Path, stage: int) -> None:
    """In bf16 the sum would stop growing on the way."""
    folder, done = two_ranks(tmp_path, f"deepspeed-{stage}", "alike", world=1, numerics="bf16")
    assert done.returncode == 0, done.stderr[-4000:]
    model = trl_side.tiny_model(num_hidden_layers=1)
    [pair] = trl_side.with_reference(trl_side.pair_rows(1), model)
    reference = LogpPair(*(torch.tensor([pair[name]]) for name in ("ref_chosen_logps", "ref_rejected_logps")))
    dpo_loss(trl_side.plain_pairs(model, [pair]), reference, beta=ranks.BETA).mean().backward()
    exact = torch.nn.utils.clip_grad_norm_(model.parameters(), torch.inf).item()
    assert json.loads((folder / "alike" / "told.json").read_text()) == pytest.approx([exact], rel=0.02)
