"""What today's libraries get wrong without a word, and the guard against each; the rest stands with its own room.

Stale reference under ZeRO-3, and another back end than the plan's: test_processes. One reference for a sweep:
test_training. Labels, EOS, BOS, prefixes: test_token_faults. Overlong rows: test_overlong. Ignored options:
test_settings. A checkpoint of another back end, world or dataset: test_killed. Documents apart: test_attention.
"""

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tests.zephyr_train.conftest import World
from tests.zephyr_train.jobs import job
from zephyr_train.errors import InvariantBroken
from zephyr_train.training.watch import Watch
from zephyr_train.worker import require_backend, require_master_weights

BF16 = """
extends = "quick.toml"
about = "bf16 at the paper's rate"
[dpo]
precision = "bf16"
learning_rate = 5e-7
epochs = 1
"""


def trainer(kind: str = "NO", processes: int = 1, zero: int | None = None, dtype: torch.dtype = torch.float32) -> Any:
    plugin = None if zero is None else SimpleNamespace(zero_stage=zero)
    accelerator = SimpleNamespace(
        distributed_type=kind,
        num_processes=processes,
        state=SimpleNamespace(deepspeed_plugin=plugin),
        device=torch.device("cpu"),
    )
    return SimpleNamespace(accelerator=accelerator, model=torch.nn.Linear(2, 2).to(dtype))


def test_bf16_weights_without_fp32_masters_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvariantBroken, match="without fp32 master weights"):
        require_master_weights(trainer(dtype=torch.bfloat16), job(tmp_path))
    require_master_weights(trainer(), job(tmp_path))
    require_master_weights(trainer(dtype=torch.bfloat16), job(tmp_path, backend="deepspeed-3"))


@pytest.mark.parametrize(
    ("plan", "set_up"),
    [
        (("deepspeed-3", 2), trainer("MULTI_CPU", 2)),  # what ACCELERATE_USE_CPU=true does to DeepSpeed
        (("deepspeed-3", 2), trainer("DEEPSPEED", 2, zero=2)),
        (("ddp", 2), trainer("NO", 1)),  # what `accelerate launch --cpu` makes of two processes
        (("single", 1), trainer("MULTI_GPU", 2)),
    ],
)
def test_another_back_end_than_the_plans_is_refused(tmp_path: Path, plan: tuple[str, int], set_up: Any) -> None:
    with pytest.raises(InvariantBroken, match="the plan says"):
        require_backend(set_up, job(tmp_path, backend=plan[0], world=plan[1]))


def test_the_planned_back_end_passes(tmp_path: Path) -> None:
    require_backend(trainer("DEEPSPEED", 2, zero=3), job(tmp_path, backend="deepspeed-3", world=2))
    require_backend(trainer("MULTI_CPU", 2), job(tmp_path, backend="ddp", world=2))
    require_backend(trainer(), job(tmp_path))


def test_a_plan_for_gpus_does_not_run_on_the_cpu_without_a_word(tmp_path: Path) -> None:
    with pytest.raises(InvariantBroken, match="the plan is for GPUs, torch uses cpu"):
        require_backend(trainer(), job(tmp_path, cpu=False))


def test_the_private_methods_of_trl_that_are_replaced_are_there() -> None:
    """Under another name TRL would do its own work again: its preparation, its reference pass."""
    from trl import DPOTrainer

    from zephyr_train.dpo import PairTrainer

    replaced = {"_prepare_dataset", "_precompute_ref_logps", "_prepare_inputs", "compute_loss", "get_batch_samples"}
    replaced |= {"get_train_dataloader", "log"}
    assert replaced <= vars(PairTrainer).keys()
    assert [name for name in {*replaced, "_get_grad_norm"} if not callable(getattr(DPOTrainer, name, None))] == []


def test_reference_log_probs_reach_the_loss_in_fp32_under_deepspeed_in_bf16(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """transformers casts every float of a batch to DeepSpeed's dtype: −301.3 nats would become −302."""
    from transformers import Trainer

    from tests.zephyr_train import trl_side

    def cast(self: Any, value: Any) -> Any:
        return value.to(torch.bfloat16) if torch.is_floating_point(value) else value

    monkeypatch.setattr(Trainer, "_prepare_input", lambda self, batch: {k: cast(self, v) for k, v in batch.items()})
    rows = [{**row, "ref_chosen_logps": -301.3, "ref_rejected_logps": -150.7} for row in trl_side.pair_rows(2)]
    pair_trainer = trl_side.project_trainer(trl_side.tiny_model(), rows, tmp_path)
    batch = pair_trainer._prepare_inputs(
        pair_trainer.data_collator([{**row, "row": number} for number, row in enumerate(rows)])
    )
    assert batch["ref_chosen_logps"].dtype == torch.float32
    assert batch["ref_chosen_logps"].tolist() == pytest.approx([-301.3] * 2, abs=1e-4)
    assert batch["ref_rejected_logps"].tolist() == pytest.approx([-150.7] * 2, abs=1e-4)
    assert set(batch) >= {"input_ids", "attention_mask", "completion_mask", "row"}


def watch(tmp_path: Path) -> Watch:
    return Watch(job(tmp_path, options={"learning_rate": 1e-3, "schedule": "linear"}), None, None)


def state(step: int, max_steps: int = 10) -> Any:
    return SimpleNamespace(
        global_step=step, max_steps=max_steps, epoch=0.1, is_world_process_zero=False, log_history=[]
    )


def test_other_steps_than_planned_are_refused_before_and_after(tmp_path: Path) -> None:
    watch(tmp_path).on_train_begin(None, state(0), None)
    watch(tmp_path).on_train_end(None, state(10), None)
    with pytest.raises(InvariantBroken, match="9 steps, the plan says 10"):
        watch(tmp_path).on_train_begin(None, state(0, max_steps=9), None)
    with pytest.raises(InvariantBroken, match="9 steps were done, 10 planned"):
        watch(tmp_path).on_train_end(None, state(9), None)


def test_another_learning_rate_and_a_loss_that_is_no_number_stop_the_run(tmp_path: Path) -> None:
    """Warm-up of one step, then linear: 0, 1e-3, 8/9 of it …"""
    logs = {"loss": 0.5, "learning_rate": 1e-3 * 8 / 9}
    watch(tmp_path).on_log(None, state(3), None, logs)
    with pytest.raises(InvariantBroken, match="learning rate at step 4"):
        watch(tmp_path).on_log(None, state(4), None, logs)
    with pytest.raises(InvariantBroken, match="the loss at step 3 is nan"):
        watch(tmp_path).on_log(None, state(3), None, {**logs, "loss": math.nan})


@pytest.mark.long
def test_bf16_at_the_papers_rate_moves_most_weights_since_the_masters_are_fp32(world: World) -> None:
    """The lab saw 0.3 % of the weights move in bf16 alone. The first loss is ln 2 with the evaluation before it."""
    from safetensors.torch import load_file

    (world.folder / "bf16.toml").write_text(BF16)
    command = ["train", "dpo", "--model", world.run("sft"), "--data", world.run("binarize"), "--out", "bf16"]
    world.zephyr(*command, recipe="bf16.toml")
    assert json.loads((world.folder / "bf16" / "job.json").read_text())["numerics"] == "bf16-autocast"
    before = load_file(world.run("sft") / "model" / "model.safetensors")
    after = load_file(world.folder / "bf16" / "model" / "model.safetensors")
    moved = sum(int((before[name] != after[name]).sum()) for name in before) / sum(map(torch.numel, before.values()))
    assert all(tensor.dtype == torch.float32 for tensor in after.values())
    assert moved > 0.5
    assert world.metrics("bf16")[0]["loss"] == pytest.approx(math.log(2), abs=1e-3)
