"""What each of two ranks does in test_oracle: the project's trainer on unequal pairs.

`-m tests.zephyr_train.ranks OUT WAY ...`, each way of `full`, `lora`, `checkpointing` and `exploding`, joined by "-", or
`alike`; one after another, since starting two ranks takes longer than their steps. Each has its folder in OUT.
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch

from tests.zephyr_train import trl_side
from tests.zephyr_train.jobs import job
from zephyr_core.process import as_worker
from zephyr_train.worker import join_group, leave_group

WARMUP, PEAK, BETA = 2, 1e-2, 0.1
STEP_PAIRS = 8
ALIKE = 448  # micro-batches; a sum made by hand in bf16 is then 16 % short
OPTIONS: dict[str, Any] = {
    "beta": BETA, "learning_rate": PEAK, "lr_scheduler_type": "linear", "warmup_steps": WARMUP,
    "optim": "adamw_torch", "weight_decay": 0.0, "max_grad_norm": 1.0, "num_train_epochs": 2, "logging_steps": 1,
    "seed": 42, "data_seed": 42,
    "adam_epsilon": 1e-4,  # with 1e-8 Adam blows up rounding where a gradient should be 0: pairs of equal texts
}  # fmt: skip
# Not the share of margins above 0: a pair of equal texts lies on either side of it.
FIGURES = ("grad_norm", "rewards/margins", "rewards/chosen", "logps/chosen", "logps/rejected", "num_tokens")


def rows(count: int) -> trl_side.Rows:
    """Return random pairs, and among them those that a shared prompt could get wrong."""
    pairs = trl_side.pair_rows(count)
    pairs[1] = {"prompt_ids": [5, 9, 11], "chosen_ids": [6, 7], "rejected_ids": [6, 7, 8]}  # chosen begins rejected
    pairs[2] = {"prompt_ids": [4, 4, 9, 3], "chosen_ids": [7, 6], "rejected_ids": [7, 6]}  # equal texts
    pairs[3] = {"prompt_ids": [8], "chosen_ids": [6, 9, 4], "rejected_ids": [7]}  # a prompt of one token
    return pairs


def uneven_rows() -> trl_side.Rows:
    """Return 19 pairs, every fourth of them long: steps of 8 in which ranks have 1 and 3 at once, and a last one of 3."""
    pairs = rows(19)
    for number in range(0, 19, 4):
        pairs[number] = {"prompt_ids": [3 + number] * 20, "chosen_ids": [9] * 14, "rejected_ids": [7, 8] * 6}
    return pairs


def lora() -> Any:
    """Return an adapter whose weights are not 0 at the start, so that its gradients are not either."""
    from peft import LoraConfig

    return LoraConfig(r=2, target_modules=["q_proj", "v_proj"], init_lora_weights=False, task_type="CAUSAL_LM")


class Infinite(torch.autograd.Function):
    """Returns what it is given, with an infinite gradient."""

    @staticmethod
    def forward(context: Any, loss: torch.Tensor) -> torch.Tensor:
        return loss.clone()

    @staticmethod
    def backward(context: Any, gradient: torch.Tensor) -> torch.Tensor:
        return gradient * torch.inf


class Exploding(trl_side.WatchedTrainer):
    """The gradient of the third step is infinite on the last rank; its loss is finite everywhere."""

    def compute_loss(self, *arguments: Any, **further: Any) -> Any:
        loss = super().compute_loss(*arguments, **further)
        last = self.accelerator.process_index == self.accelerator.num_processes - 1
        return Infinite.apply(loss) if last and self.state.global_step == 2 else loss


class Counted(trl_side.WatchedTrainer):
    """Keeps how many pairs each rank had in each micro-batch of each step."""

    counts: list[list[list[int]]]  # step, rank, micro-batch

    def get_batch_samples(self, *arguments: Any) -> Any:
        batches, pairs = super().get_batch_samples(*arguments)
        mine = torch.tensor([[int((batch["row"] >= 0).sum()) for batch in batches]])
        self.counts.append(self.accelerator.gather(mine).tolist())
        return batches, pairs


def train_alike(folder: Path) -> None:
    """Take one step on many pairs that are alike, in bf16: each adds the same gradient."""
    folder.mkdir(exist_ok=True)
    [pair] = trl_side.with_reference(trl_side.pair_rows(1), trl_side.tiny_model(num_hidden_layers=1))
    options = {**OPTIONS, "per_device_train_batch_size": 1, "gradient_accumulation_steps": ALIKE, "bf16": True}
    model = trl_side.tiny_model(num_hidden_layers=1).to(torch.bfloat16)
    trainer = trl_side.project_trainer(model, [pair] * ALIKE, folder / "out", "padded", **options)
    trainer.train()
    (folder / "told.json").write_text(json.dumps([entry["grad_norm"] for entry in trainer.state.log_history[:1]]))


def train(folder: Path, way: list[str]) -> None:
    folder.mkdir(exist_ok=True)
    pairs = trl_side.with_reference(uneven_rows(), trl_side.tiny_model())
    options = {**OPTIONS, "per_device_train_batch_size": 2, "gradient_accumulation_steps": 2}
    options |= {"activation_checkpointing": True, "gradient_checkpointing": True} if "checkpointing" in way else {}
    adapter = lora() if "lora" in way else None
    trainer = trl_side.project_trainer(
        trl_side.tiny_model(),
        pairs,
        folder / "out",
        kind=Exploding if "exploding" in way else Counted,
        peft=adapter,
        **options,
    )
    trainer.counts = []
    trainer.train()
    weights = trainer.accelerator.get_state_dict(trainer.model_wrapped)
    if trainer.is_world_process_zero():
        torch.save({name: weight.float() for name, weight in weights.items()}, folder / "weights.pt")
        history = [entry for entry in trainer.state.log_history if "loss" in entry]
        figures = {"counts": trainer.counts, "processes": trainer.accelerator.num_processes}
        figures |= {"loss": [entry["loss"] for entry in history]}
        figures |= {"logged": {name: [entry[name] for entry in history] for name in FIGURES}}
        (folder / "told.json").write_text(json.dumps(figures))


if __name__ == "__main__":
    out = Path(sys.argv[1])
    join_group(job(out, backend="deepspeed-3"))
    with as_worker(out):
        for way in sys.argv[2:]:
            if way == "alike":
                train_alike(out / way)
            else:
                train(out / way, way.split("-"))
    leave_group()
