"""LoRA after LoRA: the reference of dDPO is the merged dSFT model, not the base."""

import json
import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.zephyr_train.conftest import World, weights
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

    world.zephyr("train", "dpo", "--lora", "--model", "lora-sft", "--data", published_pairs, "--out", "lora-dpo")
    rows = world.metrics("lora-dpo")
    assert rows[0]["loss"] == pytest.approx(math.log(2), abs=1e-4)
    assert rows[-1]["loss"] < rows[0]["loss"] - 0.001
    job = json.loads((world.folder / "lora-dpo" / "job.json").read_text())
    assert job["model"] == str(sft / "model")
    assert weights(world.folder / "lora-dpo") != weights(sft)


def test_what_lora_would_ignore_is_refused() -> None:
    with pytest.raises(OptionError, match="lm_head"):
        SFTOptions(lora=True, lora_targets=("q_proj", "lm_head"))
    with pytest.raises(OptionError, match="without dropout"):
        DPOOptions(lora=True, lora_dropout=0.1)
    with pytest.raises(OptionError, match="empty"):
        SFTOptions(lora=True, lora_targets=())
