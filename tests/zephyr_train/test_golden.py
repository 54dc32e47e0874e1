"""What zephyr relies on without saying it stands in golden.json; a library that changes it is named here."""

import inspect
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import get_scheduler
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.sft_config import SFTConfig

from tests.conftest import ROOT
from tests.zephyr_train import trl_side

GOLDEN: dict[str, dict[str, Any]] = json.loads(Path(__file__).with_name("golden.json").read_text(encoding="utf-8"))


def config(step: str, folder: Path) -> dict[str, Any]:
    """Return the fields of a config that was told as little as can be, as its trainer sees them."""
    kind = {"sft": SFTConfig, "dpo": DPOConfig}[step]
    arguments = kind(output_dir=str(folder), use_cpu=True, bf16=False, activation_checkpointing=False)
    plain = {name: getattr(arguments, name) for name in GOLDEN[step]}
    return {name: value.to_dict() if hasattr(value, "to_dict") else value for name, value in plain.items()}


def schedules(folder: Path) -> dict[str, list[float]]:
    """Return the share of the peak at each of ten steps, two of them warm-up."""
    shares = {}
    for name in ("linear", "cosine", "constant_with_warmup"):
        optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
        schedule = get_scheduler(name, optimizer, num_warmup_steps=2, num_training_steps=10)
        shares[name] = [round(schedule.lr_lambdas[0](step), 6) for step in range(10)]
    return shares


def optimizer(folder: Path) -> dict[str, Any]:
    """Return the defaults of torch's AdamW beyond those that the config sets."""
    parameters = inspect.signature(torch.optim.AdamW).parameters
    return {name: parameters[name].default for name in GOLDEN["optimizer"]}


def order(folder: Path) -> dict[str, Any]:
    """Return the order in which seed 42 gives out twelve rows in two epochs, and what the log calls its figures."""
    rows = [{"prompt_ids": [3 + at], "chosen_ids": [4], "rejected_ids": [5]} for at in range(12)]
    theirs = trl_side.trainer(trl_side.tiny_model(), rows, folder, per_device_train_batch_size=1, seed=42, data_seed=42)
    loader = theirs.get_train_dataloader()
    epochs = []
    for epoch in range(2):
        loader.set_epoch(epoch)
        epochs.append([batch["input_ids"][0, 0].item() - 3 for batch in loader])
    theirs._compute_loss(theirs.model, next(iter(loader)), False)
    return {"epochs": epochs, "figures": sorted(theirs._metrics["train"])}


SEEN = {
    "sft": lambda folder: config("sft", folder),
    "dpo": lambda folder: config("dpo", folder),
    "schedules": schedules,
    "optimizer": optimizer,
    "order": order,
}


@pytest.mark.parametrize("part", GOLDEN)
def test_libraries_still_do_what_zephyr_relies_on(part: str, tmp_path: Path) -> None:
    current = json.loads(json.dumps(SEEN[part](tmp_path)))
    changed = {name: (was, current.get(name)) for name, was in GOLDEN[part].items() if current.get(name) != was}
    assert not changed, (
        f"{part} changed (before, now): say it in arguments.py, sft.py or dpo.py, or accept it: {changed}"
    )
    assert current.keys() == GOLDEN[part].keys()


def test_fields_are_those_of_the_installed_trl() -> None:
    command = [sys.executable, str(ROOT / "docs" / "make_fields.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
