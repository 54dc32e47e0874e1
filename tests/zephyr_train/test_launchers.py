"""What accelerate, torch's launcher and DeepSpeed make of our command, environment and config, on GPUs that are not there."""

import dataclasses
import os
from argparse import Namespace
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from tests.zephyr_train.jobs import job
from tests.zephyr_train.test_nodes import set_up
from zephyr_train import launch, nodes, together
from zephyr_train.job import Job
from zephyr_train.training import arguments

pytestmark = pytest.mark.long  # it imports DeepSpeed

GLOBAL, MICRO = 512, 16


def on_gpus(out: Path, gpus: int, machines: int, backend: str) -> Job:
    options = {"gpus": gpus, "nodes": machines, "attention": "flash_attention_2"}
    batch = {"micro_batch_size": MICRO, "accumulation": GLOBAL // MICRO // gpus}
    numerics = "bf16" if backend.startswith("deepspeed") else "bf16-autocast"
    return job(out, "sft", world=gpus, backend=backend, cpu=False, numerics=numerics, options=options, **batch)


def launched(one: Job, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, list[str], dict[str, str]]:
    """Return what torch's launcher reads of what accelerate passes to it, its words, and the workers' environment."""
    from accelerate.commands.launch import launch_command, launch_command_parser
    from torch.distributed import run

    own = nodes.own_folder(one.folder, one.options.nodes)
    own.mkdir(parents=True)
    (own / launch.CONFIG).write_text(yaml.safe_dump(launch.accelerate_config(one)))
    words, environment = launch.command(one), launch.environment(one)
    assert words[1:3] == ["-m", "accelerate.commands.launch"]
    for name in {*os.environ} - {*environment}:
        monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    started: list[tuple[Namespace, dict[str, str]]] = []
    monkeypatch.setattr(run, "run", lambda given: started.append((given, dict(os.environ))))
    launch_command(launch_command_parser().parse_args(words[3:]))
    [(given, of_workers)] = started
    read, _, words = run.config_from_args(given)
    return read, words, of_workers


@pytest.mark.parametrize(("gpus", "machines", "rank"), [(1, 1, 0), (8, 1, 0), (16, 2, 0), (16, 2, 1)])
@pytest.mark.parametrize("backend", ["ddp", "deepspeed-1", "deepspeed-2", "deepspeed-3"])
def test_each_machine_starts_its_processes_and_finds_the_first_one(
    backend: str, gpus: int, machines: int, rank: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_up(monkeypatch, {"NODE_RANK": str(rank), "MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "29777"})
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    one = on_gpus(tmp_path / "run", gpus, machines, backend)
    if gpus == 1 and backend == "ddp":  # no launcher
        assert launch.command(dataclasses.replace(one, backend="single"))[1:] == ["-m", "zephyr_train.worker", one.out]
        return
    read, words, environment = launched(one, monkeypatch)
    assert (read.min_nodes, read.max_nodes, read.nproc_per_node) == (machines, machines, gpus // machines)
    assert (read.rdzv_backend, read.rdzv_configs["rank"], read.max_restarts) == ("static", rank, 0)
    address, _, port = read.rdzv_endpoint.partition(":")
    if machines == 1:
        assert (address, words[-2:]) == ("127.0.0.1", ["zephyr_train.worker", one.out])
        assert port not in ("0", "29777"), "a free one, not a scheduler's"
    else:
        assert (address, port, read.rdzv_configs["timeout"]) == ("10.0.0.1", "29777", str(together.WITHIN))
        assert words[-3:] == ["zephyr_train.worker", one.out, one.out + ".node1" * rank]
    assert environment["ACCELERATE_MIXED_PRECISION"] == "bf16"
    assert environment.get("CUDA_VISIBLE_DEVICES") == ("0" if gpus == 1 else None)
    assert environment.get("ACCELERATE_USE_DEEPSPEED") == ("true" if backend != "ddp" else None)
    assert "ACCELERATE_USE_CPU" not in environment
    if backend != "ddp":
        assert deepspeed_config(one, backend, environment, monkeypatch).zero_optimization_stage == int(backend[-1])


def deepspeed_config(one: Job, backend: str, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return DeepSpeed's own reading of the JSON that transformers completes from our arguments."""
    from accelerate.utils import DeepSpeedPlugin
    from deepspeed.runtime import config
    from transformers import TrainingArguments
    from transformers.integrations.deepspeed import HfTrainerDeepSpeedConfig

    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    defaults = {field.name: field.default for field in dataclasses.fields(TrainingArguments)}
    whole = HfTrainerDeepSpeedConfig(DeepSpeedPlugin().deepspeed_config)
    whole.trainer_config_process(SimpleNamespace(**defaults | arguments.shared(one), world_size=one.world))
    group = SimpleNamespace(get_rank=lambda: 0, get_world_size=lambda: one.world)
    monkeypatch.setattr(config, "dist", group)
    read = config.DeepSpeedConfig(whole.config)
    assert read.train_batch_size == GLOBAL
    assert (read.train_micro_batch_size_per_gpu, read.gradient_accumulation_steps) == (MICRO, one.accumulation)
    assert read.gradient_clipping == 1.0
    if backend == "deepspeed-3":
        assert read.zero_config.gather_16bit_weights_on_model_save
    return read


def test_flash_attention_sums_in_a_fixed_order_unless_the_user_says_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name is the one that transformers reads when it calls the kernel."""
    from transformers import modeling_flash_attention_utils as flash

    name = launch.DETERMINISTIC
    monkeypatch.delenv(name, raising=False)
    with_flash, with_sdpa = on_gpus(tmp_path, 8, 1, "ddp"), job(tmp_path, options={"attention": "sdpa"})
    assert name not in launch.environment(with_sdpa)
    supported = defaultdict(bool, deterministic=True)
    for value in ("1", "0"):
        environment = launch.environment(with_flash)
        assert environment[name] == value
        monkeypatch.setenv(name, environment[name])
        call = flash._process_flash_attention_kwargs(8, 8, True, supports_mapping=supported)
        assert call["deterministic"] == (value == "1")
        monkeypatch.setenv(name, "0")
