"""Packed documents that see each other, or that a model cannot read, stop a run before its first step."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

from tests.zephyr_train import zoo
from tests.zephyr_train.conftest import World
from zephyr_train.errors import InvariantBroken
from zephyr_train.training import tolerance
from zephyr_train.training.packed_check import packed_row, require_alone

FIRST, SECOND = [*range(5, 25)], [*range(40, 70)]
ROW = {"input_ids": FIRST + SECOND, "labels": FIRST + SECOND, "seq_lengths": [len(FIRST), len(SECOND)]}
COLLATE = DataCollatorForLanguageModeling(pad_token_id=0, padding_free=True)


def check(kind: str, folder: Path, *, mask: bool = False, dtype: Any = torch.float32, loud: int = 1) -> None:
    model = AutoModelForCausalLM.from_pretrained(
        zoo.build(kind, folder), dtype=dtype, attn_implementation="eager"
    ).eval()
    for weight in model.parameters():
        weight.data *= loud if weight.dim() == 2 else 1

    def call(batch: dict[str, Any]) -> torch.Tensor:
        extra = {"attention_mask": torch.ones_like(batch["input_ids"])} if mask else {}
        with torch.no_grad():
            logits: torch.Tensor = model(**batch, **extra, use_cache=False).logits
        return logits

    require_alone(ROW, COLLATE, call, tolerance.noise("fp32" if dtype == torch.float32 else "bf16", model.config))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("kind", ["mistral", "mixtral", "qwen2_moe", "gpt_neox", "gpt2", "gptj"])
def test_models_that_go_by_positions_pass(kind: str, dtype: Any, tmp_path: Path) -> None:
    check(kind, tmp_path, dtype=dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("kind", ["opt", "bloom"])
def test_models_that_do_not_are_refused(kind: str, dtype: Any, tmp_path: Path) -> None:
    with pytest.raises(InvariantBroken, match="the model reads across documents") as refusal:
        check(kind, tmp_path, dtype=dtype, loud=20)  # at first a bloom hardly looks at what is before a token
    assert "packing" in str(refusal.value.hint)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("kind", ["mistral", "mixtral", "qwen2_moe"])
def test_a_mask_over_the_whole_row_is_refused(kind: str, dtype: Any, tmp_path: Path) -> None:
    with pytest.raises(InvariantBroken, match="reads across documents"):
        check(kind, tmp_path, mask=True, dtype=dtype)


def test_a_model_that_cannot_read_packed_rows_is_refused() -> None:
    def call(_: dict[str, Any]) -> torch.Tensor:
        raise ImportError("install causal_conv1d")

    with pytest.raises(InvariantBroken, match="cannot read packed rows: ImportError: install causal_conv1d"):
        require_alone(ROW, COLLATE, call, noise=1e-4)


def test_the_row_looked_at_is_the_first_with_a_document_to_score_behind_another() -> None:
    lengths = [[4], [3, 1], [2, 2], [1, 3]]
    rows = Dataset.from_list(
        [{"input_ids": [1, 2, 3, 4], "labels": [1, 2, 3, 4], "seq_lengths": each} for each in lengths]
    )
    row = packed_row(rows)
    assert row is not None and row["seq_lengths"] == [2, 2]
    assert packed_row(rows.select([0, 1])) is None


@pytest.mark.long
def test_a_run_stops_before_its_first_step(world: World, tmp_path: Path) -> None:
    vocabulary = json.loads((world.run("student") / "config.json").read_text())["vocab_size"]
    start = zoo.build("opt", tmp_path / "opt", tokenizer=world.run("student"), vocab_size=vocabulary)
    (world.folder / "opt.toml").write_text('extends = "quick.toml"\nabout = "opt"\n[sft]\nmax_length = 128\n')
    words = ("train", "sft", "--model", start, "--data", world.run("clean-ultrachat"), "--out", tmp_path / "out")
    ended = world.zephyr(*words, recipe="opt.toml", fails=True)
    assert ended.returncode == 5 and "the model reads across documents" in ended.stderr
    assert 'packing = "off"' in ended.stderr and not list((tmp_path / "out").rglob("checkpoint-*"))
