"""Start a run's processes and follow them: the accelerate command, with a generated config that is kept."""

import os
import re
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from zephyr_core import process
from zephyr_core.process import FAILURE, PARENT, Ended
from zephyr_train.job import Job
from zephyr_train.nodes import FOREIGN, first_address, first_port, node_rank, own_file

CONFIG = "launch.yaml"
LOG = "log.txt"
PATIENCE = 5.0  # seconds that a machine's own workers have to end after one of another machine has failed
# Images set these; the laws of fp32 are narrower than TF32.
LESS_EXACT = ("TORCH_ALLOW_TF32_CUBLAS_OVERRIDE", "NVIDIA_TF32_OVERRIDE")
_KILLED_RANK = re.compile(r"Signal (\d+) \(\w+\) received by PID")


def accelerate_config(job: Job) -> dict[str, Any]:
    """Return the accelerate configuration of a run; each key is accelerate's own.

    With several machines, the environment says which one this is (NODE_RANK) and where the first one is (MASTER_ADDR).
    """
    deepspeed = job.backend.startswith("deepspeed")
    nodes = job.options.nodes
    content: dict[str, Any] = {
        "compute_environment": "LOCAL_MACHINE",
        "distributed_type": "DEEPSPEED" if deepspeed else "MULTI_GPU" if job.world > 1 else "NO",
        "num_processes": job.world,
        "num_machines": nodes,
        "machine_rank": node_rank(nodes),
        "mixed_precision": "no" if job.numerics == "fp32" else "bf16",
        "use_cpu": job.cpu,
        "main_training_function": "main",
        "rdzv_backend": "static",
        "same_network": True,
    }
    if nodes > 1:
        content["main_process_ip"] = first_address()
    if deepspeed:
        stage = int(job.backend.rsplit("-", 1)[1])
        content["deepspeed_config"] = {
            "zero_stage": stage,
            "zero3_init_flag": stage == 3,
            "zero3_save_16bit_model": True,  # without it ZeRO-3 saves no loadable weights
            "offload_optimizer_device": "none",
            "offload_param_device": "none",
            "deepspeed_multinode_launcher": "standard",  # each node starts its own processes; the default is pdsh
        }
    return content


def command(job: Job) -> list[str]:
    """Return the command that starts the run's processes on this machine."""
    work = ["-m", "zephyr_train.worker", job.out]
    if job.world == 1 and not job.backend.startswith("deepspeed"):
        return [sys.executable, *work]
    if job.cpu and not job.backend.startswith("deepspeed"):  # accelerate would start only one process here
        count = f"--nproc-per-node={job.world}"
        return [sys.executable, "-m", "torch.distributed.run", "--standalone", count, *work]
    nodes = job.options.nodes
    port = first_port() if nodes > 1 else "0"  # 0: accelerate finds a free one
    options = ["--config_file", str(job.folder / own_file(CONFIG, nodes)), "--main_process_port", port]
    return [sys.executable, "-m", "accelerate.commands.launch", *options, *work]


def environment(job: Job) -> dict[str, str]:
    """Return the workers' environment: offline, since everything they read is local, and without telemetry.

    Left out is what an outer launcher says about ranks, and in fp32 what would make sums less exact than that.
    """
    own = {
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "DO_NOT_TRACK": "1",
        "TOKENIZERS_PARALLELISM": "false",
        PARENT: str(os.getpid()),
    }
    if job.cpu:
        # Not ACCELERATE_USE_CPU: it silently skips DeepSpeed. One thread per process: sums come out the same
        # on every machine, and processes that share a core do not wait for each other's threads.
        own |= {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
    elif job.options.gpus == 1:  # else transformers would spread the batch over every GPU it sees
        own |= {"CUDA_VISIBLE_DEVICES": os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]}
    if job.options.tensorboard:
        own |= {"TENSORBOARD_LOGGING_DIR": str(job.folder / "tensorboard")}
    left_out = {*FOREIGN, *(LESS_EXACT if job.numerics == "fp32" else ())}
    return {name: value for name, value in os.environ.items() if name not in left_out} | own


def run_workers(job: Job, watch: Callable[[], None], continues: Callable[[], bool] = lambda: False) -> None:
    """Write the run's record and configuration, start its processes, and call `watch` until they are done.

    After a failure, `continues` says whether there is saved work that the same command can continue from.

    Raises:
        ZephyrError: with the error that a worker left behind, or the end of its log.
    """
    import yaml

    nodes = job.options.nodes
    if node_rank(nodes) == 0:
        job.write(job.folder)
        (job.folder / FAILURE).unlink(missing_ok=True)
    job.folder.mkdir(parents=True, exist_ok=True)
    (job.folder / own_file(CONFIG, nodes)).write_text(yaml.safe_dump(accelerate_config(job), sort_keys=False))
    _follow(job, command(job), watch if nodes == 1 else _watch_others(job, watch), continues)


def _watch_others(job: Job, watch: Callable[[], None]) -> Callable[[], None]:
    """Return a `watch` that also ends this machine's processes soon after a worker of another one has failed.

    Those here would wait for it until the collective times out. What an earlier run left does not count.
    """
    file = job.folder / FAILURE
    before, since = _stamp(file), 0.0

    def look() -> None:
        nonlocal since
        watch()
        if _stamp(file) in (None, before):
            since = 0.0
        elif not since:
            since = time.monotonic()  # a worker here ends by itself
        elif time.monotonic() - since > PATIENCE:
            raise process.failure(job.folder, Ended(1), job.folder / own_file(LOG, job.options.nodes))

    return look


def _stamp(file: Path) -> tuple[int, int] | None:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino


def run_alone(job: Job, module: str, continues: Callable[[], bool] = lambda: False) -> None:
    """Run a module on the run directory in one fresh process; `continues` as in `run_workers`.

    Raises:
        ZephyrError: with the error that it left behind, or the end of its log.
    """
    (job.folder / FAILURE).unlink(missing_ok=True)
    _follow(job, [sys.executable, "-m", module, job.out], lambda: None, continues)


def _follow(job: Job, started: list[str], watch: Callable[[], None], continues: Callable[[], bool]) -> None:
    log = job.folder / own_file(LOG, job.options.nodes)
    ended = process.follow(started, log=log, environment=environment(job), watch=watch)
    if ended.code != 0:
        hint = "the same command continues where it stopped" if continues() else None
        raise process.failure(job.folder, _of_the_rank(ended), log, hint=hint)


def _of_the_rank(ended: Ended) -> Ended:
    """Return how the first rank to fail ended: torch's launcher logs that rank's signal but itself exits with 1."""
    killed = _KILLED_RANK.search(ended.out.rpartition("Root Cause")[2]) if "Root Cause" in ended.out else None
    return replace(ended, code=128 + int(killed[1])) if killed else ended
