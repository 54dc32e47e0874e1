"""A model that one GPU does not hold is shared by those of a machine, for the reference pass and the closing check."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import MistralConfig, MistralForCausalLM
from transformers.integrations.accelerate import _get_device_map

from tests.zephyr_train import trl_side
from tests.zephyr_train.jobs import job
from zephyr_train.launch import environment
from zephyr_train.options import DPOOptions, StudentOptions
from zephyr_train.pairs.layout import PADDED, SHARED
from zephyr_train.pairs.scoring import frozen_scorer, pair_logps
from zephyr_train.planning.model_shape import shape_of
from zephyr_train.planning.plan import make_plan
from zephyr_train.reference import scoring_job
from zephyr_train.training import reference_pass
from zephyr_train.training.loading import load
from zephyr_train.training.probe import _sum_logps

MISTRAL = shape_of(None, StudentOptions())


@pytest.mark.parametrize(
    ("nodes", "gpus", "world", "layout", "backend", "device_map"),
    [(1, 1, 8, SHARED, "ddp", {"": "cuda:0"}), (1, 8, 1, PADDED, "single", "auto"), (2, 4, 2, PADDED, "ddp", "auto")],
)
def test_a_pass_has_one_copy_on_each_gpu_or_one_on_those_of_each_machine(
    nodes: int, gpus: int, world: int, layout: str, backend: str, device_map: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    run = job(Path("run"), cpu=False, world=8, backend="deepspeed-3", options={"gpus": 8, "nodes": nodes})
    passes = scoring_job(run, gpus)
    assert (passes.world, passes.layout, passes.backend) == (world, layout, backend)
    assert "CUDA_VISIBLE_DEVICES" not in environment(passes), "the one process sees all of them"
    assert reference_pass._device_map(passes) == device_map


def test_on_a_cpu_nothing_is_placed() -> None:
    assert reference_pass._device_map(job(Path("run"), options={"gpus": 1})) is None


@pytest.mark.parametrize("cards", [2, 4])
def test_what_the_plan_says_fits_on_several_cards_does(cards: int) -> None:
    with torch.device("meta"):
        model = MistralForCausalLM(MistralConfig(sliding_window=None)).to(torch.bfloat16)
    assert model.num_parameters() == MISTRAL.parameters
    options = DPOOptions(gpus=cards, gpu_memory=12.0, global_batch_size=32)
    need = make_plan(options, MISTRAL, model="m").reference
    assert need is not None and (need.gpus, need.verdict) == (cards, "fits")
    room = 12_000_000_000 - (need.total - 2 * MISTRAL.parameters // cards)
    assert set(_get_device_map(model, "auto", dict.fromkeys(range(cards), room), None).values()) == set(range(cards))


def test_a_model_in_pieces_scores_as_a_whole_one(tmp_path: Path) -> None:
    """Two kinds of place stand for two GPUs: layers that are not in use lie on disk."""
    trl_side.tiny_model(num_hidden_layers=4).save_pretrained(tmp_path)
    places = {"model.embed_tokens": "cpu", "model.rotary_emb": "cpu", "model.norm": "cpu", "lm_head": "cpu"}
    places |= {f"model.layers.{number}": "disk" if number % 2 else "cpu" for number in range(4)}
    rows = trl_side.pair_rows(6)
    pieces, whole = (load(tmp_path, dtype=torch.bfloat16, device_map=where).eval() for where in (places, None))
    assert pieces.hf_device_map["model.layers.1"] == "disk"
    sums = [_sum_logps(model, rows[0]["chosen_ids"] * 3, model.device, "bf16") for model in (pieces, whole)]
    assert sums[0] == sums[1] < 0
    scores = [pair_logps(frozen_scorer(model), rows, 0, PADDED) for model in (pieces, whole)]
    assert scores[0] == scores[1]
