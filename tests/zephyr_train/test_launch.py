"""The generated command and config, and how a worker's failure comes back."""

import os
import sys
from pathlib import Path

import pytest
import yaml

from tests.zephyr_train.jobs import job
from zephyr_core.errors import INTERNAL, EnvironmentLack, ZephyrError
from zephyr_core.process import FAILURE, PARENT
from zephyr_train import launch


def test_zero_3_keeps_weights_that_can_be_loaded_and_says_what_accelerate_needs() -> None:
    config = launch.accelerate_config(job(Path("run"), world=16, backend="deepspeed-3", cpu=False, numerics="bf16"))
    assert config["distributed_type"] == "DEEPSPEED"
    assert config["deepspeed_config"]["zero_stage"] == 3
    assert config["deepspeed_config"]["zero3_save_16bit_model"] is True
    assert config["deepspeed_config"]["zero3_init_flag"] is True
    assert config["deepspeed_config"]["deepspeed_multinode_launcher"] == "standard"
    assert (config["num_processes"], config["mixed_precision"], config["use_cpu"]) == (16, "bf16", False)


@pytest.mark.parametrize(
    ("changes", "started"),
    [
        ({}, ["-m", "zephyr_train.worker"]),
        ({"world": 2, "backend": "ddp"}, ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]),
        ({"world": 2, "backend": "ddp", "cpu": False}, ["-m", "accelerate.commands.launch"]),
        ({"world": 2, "backend": "deepspeed-3"}, ["-m", "accelerate.commands.launch"]),
        ({"world": 1, "backend": "deepspeed-2"}, ["-m", "accelerate.commands.launch"]),
    ],
)
def test_each_back_end_has_its_launcher(changes: dict[str, object], started: list[str]) -> None:
    assert launch.command(job(Path("run"), **changes))[: 1 + len(started)] == [sys.executable, *started]


def test_several_machines_without_gpus_meet_at_the_first_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"NODE_RANK": "1", "MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "1234"}.items():
        monkeypatch.setenv(name, value)
    words = launch.command(job(Path("run"), world=4, backend="ddp", options={"nodes": 2, "gpus": 4}))
    assert words[3:] == [
        *("--nnodes=2", "--node-rank=1", "--master-addr=10.0.0.1", "--master-port=1234"),
        *("--rdzv-conf=timeout=600", "--nproc-per-node=2", "-m", "zephyr_train.worker", "run", "run.node1"),
    ]


def test_workers_are_offline_silent_and_do_not_turn_deepspeed_off() -> None:
    environment = launch.environment(job(Path("run"), world=2, backend="deepspeed-3"))
    assert environment["HF_HUB_OFFLINE"] == environment["HF_HUB_DISABLE_TELEMETRY"] == "1"
    assert environment["OMP_NUM_THREADS"] == "1"
    assert environment[PARENT] == str(os.getpid())
    assert "ACCELERATE_USE_CPU" not in environment


def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    monkeypatch.setattr(launch, "command", lambda *_: [sys.executable, "-c", code])
    launch.run_workers(job(tmp_path), lambda: None)


def test_a_workers_own_words_come_back_with_its_exit_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = '{"message": "the loss is nan", "hint": "lower it", "exit_code": 5}'
    code = f"import sys, pathlib; pathlib.Path({str(tmp_path / FAILURE)!r}).write_text('{content}'); sys.exit(5)"
    with pytest.raises(ZephyrError, match="the loss is nan") as caught:
        start(tmp_path, monkeypatch, code)
    assert (caught.value.exit_code, caught.value.hint) == (5, "lower it")


def test_a_worker_that_says_nothing_is_told_by_the_end_of_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ZephyrError, match="out of memory") as caught:
        start(tmp_path, monkeypatch, "raise RuntimeError('out of memory')")
    assert caught.value.exit_code == INTERNAL
    assert str(tmp_path / launch.LOG) in str(caught.value)
    assert yaml.safe_load((tmp_path / launch.CONFIG).read_text())["num_processes"] == 1


def test_the_last_words_in_the_log_count_when_the_disk_took_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ZephyrError, match=r"^no space left$") as caught:
        start(tmp_path, monkeypatch, "import sys; print('error: no space left'); sys.exit(4)")
    assert caught.value.exit_code == 4


def test_a_worker_that_was_killed_lacks_memory_also_where_a_launcher_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(EnvironmentLack, match="killed by SIGKILL, probably for lack of memory"):
        start(tmp_path, monkeypatch, "import os; os.kill(os.getpid(), 9)")
    words = "import os; os.kill(os.getpid(), 9) if os.environ['RANK'] == '1' else __import__('time').sleep(60)"
    (tmp_path / "rank.py").write_text(words)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    monkeypatch.setattr(launch, "command", lambda *_: [*launcher, str(tmp_path / "rank.py")])
    with pytest.raises(EnvironmentLack, match="killed by SIGKILL, probably for lack of memory"):
        launch.run_workers(job(tmp_path), lambda: None)


def test_that_the_command_continues_is_said_only_where_it_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "command", lambda *_: [sys.executable, "-c", "1 / 0"])
    for continues, hint in ((lambda: True, "the same command continues where it stopped"), (lambda: False, None)):
        with pytest.raises(ZephyrError, match="ZeroDivisionError") as caught:
            launch.run_workers(job(tmp_path), lambda: None, continues)
        assert caught.value.hint == hint


def test_an_older_failure_does_not_speak_for_a_later_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / FAILURE).write_text('{"message": "old", "hint": null, "exit_code": 5}')
    start(tmp_path, monkeypatch, "print('fine')")
    assert not (tmp_path / FAILURE).exists()


def test_what_tells_and_saves_may_differ_and_what_trains_may_not(tmp_path: Path) -> None:
    one = job(tmp_path)
    assert one.differences(job(tmp_path, options={"save_every": 7, "tensorboard": True})) == []
    assert one.differences(job(tmp_path, recipe="other", versions={"trl": "9"})) == []
    assert one.differences(job(tmp_path, options={"beta": 0.5}, cpu=False, world=2)) == ["world", "cpu", "beta"]
    assert one.differences(job(tmp_path, layout="separate")) == ["layout"]


def test_one_process_sees_one_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    one = job(Path("run"), cpu=False, options={"gpus": 1})
    assert launch.environment(one)["CUDA_VISIBLE_DEVICES"] == "0"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    assert launch.environment(one)["CUDA_VISIBLE_DEVICES"] == "3"
    two = launch.environment(job(Path("run"), cpu=False, world=2, backend="ddp"))
    assert two["CUDA_VISIBLE_DEVICES"] == "3,5"
