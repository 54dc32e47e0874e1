"""dSFT and dDPO of models whose tensors have other names on disk than in memory, in full and with LoRA."""

import json
from pathlib import Path

import pytest
from safetensors.torch import load_file

from tests.zephyr_train import zoo
from tests.zephyr_train.conftest import World
from zephyr_core import manifest

pytestmark = pytest.mark.slow

RECIPE = """
extends = "quick.toml"
about = "another model"
[sft]
max_length = 128
learning_rate = 1e-2
lora_targets = {targets}
[dpo]
epochs = 1
max_length = 128
max_prompt_length = 64
lora_targets = {targets}
"""
TARGETS = {"mixtral": ["q_proj", "v_proj"], "gpt_neox": ["query_key_value", "dense"]}


@pytest.mark.parametrize("words", [(), ("--lora",)], ids=["full", "lora"])
@pytest.mark.parametrize("kind", TARGETS)
def test_it_trains_by_both_steps_and_is_saved_under_the_names_that_it_came_with(
    world: World, published_pairs: Path, tmp_path: Path, kind: str, words: tuple[str, ...]
) -> None:
    vocabulary = json.loads((world.run("student") / "config.json").read_text())["vocab_size"]
    start = zoo.build(kind, tmp_path / kind, tokenizer=world.run("student"), vocab_size=vocabulary)
    recipe = f"{kind}.toml"
    (world.folder / recipe).write_text(RECIPE.format(targets=json.dumps(TARGETS[kind])))
    data = {"sft": world.run("clean-ultrachat"), "dpo": published_pairs}
    before = load_file(start / "model.safetensors")
    model: Path = start
    for step in ("sft", "dpo"):
        out = tmp_path / step
        world.zephyr(
            "train", step, "--model", model, "--data", data[step], "--out", out, *words, recipe=recipe
        )  # fmt: skip
        after = load_file(out / "model" / "model.safetensors")
        assert {name: tensor.shape for name, tensor in after.items()} == {
            name: tensor.shape for name, tensor in before.items()
        }
        assert any(not after[name].equal(before[name]) for name in before)
        assert manifest.read(out)["verified"]["logps_difference"] < 1e-4
        config = json.loads((out / "model" / "config.json").read_text())
        assert config.get("output_router_logits") in (None, False), "as it came"
        model, before = out, after
