"""LoRA after LoRA, in fp32 and then in bf16: the reference of dDPO is the merged dSFT model, not the base."""

import json
import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.zephyr_train.conftest import World
from zephyr_core import manifest
from zephyr_core.errors import OptionError
from zephyr_train.options import DPOOptions, SFTOptions

pytestmark = pytest.mark.long


def test_dsft_with_lora_then_ddpo_with_lora(world: World, published_pairs: Path) -> None:
    world.zephyr("train", "sft", "--lora", "--out", "lora-sft")
    sft = world.folder / "lora-sft"
    assert (sft / "adapter" / "adapter_model.safetensors").is_file()
    merged, base = (load_file(place / "model.safetensors") for place in (sft / "model", world.run("student")))
    moved = [name for name in base if not torch.equal(merged[name], base[name])]
    assert moved, "the adapter is merged"
    assert all("_proj" in name for name in moved), "and nothing else is trained"
    assert manifest.read(sft)["verified"]["logps_difference"] < 1e-4

    (world.folder / "bf16.toml").write_text('extends = "quick.toml"\nabout = "t"\n[dpo]\nprecision = "bf16"\n')
    command = ["train", "dpo", "--lora", "--model", "lora-sft", "--data", published_pairs, "--out", "lora-dpo"]
    world.zephyr(*command, recipe="bf16.toml")
    rows = world.metrics("lora-dpo")
    assert rows[0]["loss"] == pytest.approx(math.log(2), abs=1e-4)
    assert rows[-1]["loss"] < rows[0]["loss"] - 0.001
    job = json.loads((world.folder / "lora-dpo" / "job.json").read_text())
    assert (job["model"], job["numerics"]) == (str(sft / "model"), "bf16-frozen")
    aligned = load_file(world.folder / "lora-dpo" / "model" / "model.safetensors")
    assert {tensor.dtype for tensor in aligned.values()} == {torch.bfloat16}, "as the base in training"
    assert any(not torch.equal(aligned[name], merged[name].bfloat16()) for name in aligned)


def test_what_lora_would_ignore_is_refused() -> None:
    with pytest.raises(OptionError, match="lm_head"):
        SFTOptions(lora=True, lora_targets=("q_proj", "lm_head"))
    with pytest.raises(OptionError, match="without dropout"):
        DPOOptions(lora=True, lora_dropout=0.1)
    with pytest.raises(OptionError, match="empty"):
        SFTOptions(lora=True, lora_targets=())
