"""Before the first step the policy scores each pair as its reference does: in every precision and layout, with LoRA too."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset

from tests import manifests
from tests.zephyr_train import trl_side
from tests.zephyr_train.jobs import job
from zephyr_train import dpo
from zephyr_train.job import Job
from zephyr_train.pairs import scoring
from zephyr_train.pairs.layout import PADDED, SEPARATE, SHARED
from zephyr_train.reference import ensure_reference
from zephyr_train.training.evaluating import evaluating
from zephyr_train.training.reference_pass import score

PAIRS = 8
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # peft


def job_of(folder: Path, numerics: str, layout: str, *, lora: bool) -> Job:
    model, tokens = folder / "model", folder / "tokens"
    trl_side.tiny_model(num_hidden_layers=4).save_pretrained(model)
    trl_side.tokenizer().save_pretrained(tokens)
    manifests.write(tokens, "tokens", splits={"train": {"rows": PAIRS}})
    rows = [
        {
            **row,
            **{name: str(number) for name in ("key", "prompt_id")},
            **{f"{name}_tokens": len(row[f"{name}_ids"]) for name in ("prompt", "chosen", "rejected")},
        }
        for number, row in enumerate(trl_side.pair_rows(PAIRS))
    ]
    Dataset.from_list(rows).save_to_disk(folder / "rows")
    next((folder / "rows").glob("*.arrow")).rename(tokens / "train.arrow")
    options = {"attention": "sdpa", "activation_checkpointing": False, "lora": lora, "gpus": 1, "zero": 0}
    options |= {"precision": "fp32" if numerics == "fp32" else "bf16", "global_batch_size": PAIRS}
    names = {"model": str(model), "tokens": str(tokens), "numerics": numerics, "layout": layout}
    return job(folder / "run", options=options, micro_batch_size=PAIRS, **names)


def farthest(scored: Job, folder: Path, *, reference: str) -> tuple[float, dict[bool, torch.dtype]]:
    """Return the largest difference in nats of a reply's log-prob, and the dtypes of frozen and trained weights."""
    whole = ensure_reference(scored, folder, lambda passes: score(dataclasses.replace(passes, numerics=reference)))
    trainer: Any = dpo.trainer(whole, [], dpo.margins_of(whole))
    batch = trainer._prepare_inputs(next(iter(trainer.get_train_dataloader())))
    trainer.model_wrapped = trainer.accelerator.prepare_model(trainer.model)
    with evaluating(trainer) as model:
        scores = scoring.score(model, batch, scored.layout)
    chosen, rejected = scores.chosen - batch[dpo.REFERENCE[0]], scores.rejected - batch[dpo.REFERENCE[1]]
    dtypes = {weight.requires_grad: weight.dtype for weight in trainer.model.parameters()}
    return torch.cat([chosen, rejected]).abs().max().item(), dtypes


@pytest.mark.parametrize("layout", [SHARED, SEPARATE, PADDED])
@pytest.mark.parametrize(("numerics", "lora"), [("fp32", True), ("bf16-autocast", False), ("bf16-frozen", True)])
def test_the_first_log_ratios_are_0(numerics: str, lora: bool, layout: str, tmp_path: Path) -> None:
    far, dtypes = farthest(job_of(tmp_path, numerics, layout, lora=lora), tmp_path, reference=numerics)
    assert far < 1e-5
    assert dtypes[True] == torch.float32, "what is trained"
    if lora:
        assert dtypes[False] == (torch.float32 if numerics == "fp32" else torch.bfloat16), "what is frozen"


def test_a_reference_of_other_arithmetic_would_show(tmp_path: Path) -> None:
    far, _ = farthest(job_of(tmp_path, "bf16-frozen", PADDED, lora=True), tmp_path, reference="bf16-autocast")
    assert far > 0.02
