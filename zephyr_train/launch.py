"""Start a run's processes and follow them: the accelerate command, with a generated config that is kept."""

import os
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from zephyr_core import process
from zephyr_core.process import FAILURE, PARENT, Ended
from zephyr_train.job import Job

CONFIG = "launch.yaml"
LOG = "log.txt"
_KILLED_RANK = re.compile(r"Signal (\d+) \(\w+\) received by PID")


def node_rank() -> int:
    """Return the rank of this machine; the first machine, 0, writes what all of them share."""
    return int(os.environ.get("NODE_RANK", "0"))


def own_file(name: str) -> str:
    """Return the name of a file that every machine writes for itself: launch.yaml, launch-node1.yaml."""
    stem, _, suffix = name.rpartition(".")
    return name if node_rank() == 0 else f"{stem}-node{node_rank()}.{suffix}"


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
        "machine_rank": node_rank() if nodes > 1 else 0,
        "mixed_precision": "no" if job.numerics == "fp32" else "bf16",
        "use_cpu": job.cpu,
        "main_training_function": "main",
        "rdzv_backend": "static",
        "same_network": True,
    }
    if nodes > 1:
        content["main_process_ip"] = os.environ.get("MASTER_ADDR", "127.0.0.1")
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
    port = os.environ.get("MASTER_PORT", "29500") if job.options.nodes > 1 else "0"  # 0: accelerate finds a free one
    options = ["--config_file", str(job.folder / own_file(CONFIG)), "--main_process_port", port]
    return [sys.executable, "-m", "accelerate.commands.launch", *options, *work]


def environment(job: Job) -> dict[str, str]:
    """Return the workers' environment: offline, since everything they read is local, and without telemetry."""
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
    elif job.world == 1:  # else transformers would spread the batch over every GPU it sees
        own |= {"CUDA_VISIBLE_DEVICES": os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]}
    if job.options.tensorboard:
        own |= {"TENSORBOARD_LOGGING_DIR": str(job.folder / "tensorboard")}
    return {**os.environ, **own}


def run_workers(job: Job, watch: Callable[[], None], continues: Callable[[], bool] = lambda: False) -> None:
    """Write the run's record and configuration, start its processes, and call `watch` until they are done.

    After a failure, `continues` says whether there is saved work that the same command can continue from.

    Raises:
        ZephyrError: with the error that a worker left behind, or the end of its log.
    """
    import yaml

    if node_rank() == 0:
        job.write(job.folder)
        (job.folder / FAILURE).unlink(missing_ok=True)
    job.folder.mkdir(parents=True, exist_ok=True)
    (job.folder / own_file(CONFIG)).write_text(yaml.safe_dump(accelerate_config(job), sort_keys=False))
    _follow(job, command(job), watch, continues)


def run_alone(job: Job, module: str, continues: Callable[[], bool] = lambda: False) -> None:
    """Run a module on the run directory in one fresh process; `continues` as in `run_workers`.

    Raises:
        ZephyrError: with the error that it left behind, or the end of its log.
    """
    (job.folder / FAILURE).unlink(missing_ok=True)
    _follow(job, [sys.executable, "-m", module, job.out], lambda: None, continues)


def _follow(job: Job, started: list[str], watch: Callable[[], None], continues: Callable[[], bool]) -> None:
    log = job.folder / own_file(LOG)
    ended = process.follow(started, log=log, environment=environment(job), watch=watch)
    if ended.code != 0:
        hint = "the same command continues where it stopped" if continues() else None
        raise process.failure(job.folder, _of_the_rank(ended), log, hint=hint)


def _of_the_rank(ended: Ended) -> Ended:
    """Return how the first rank to fail ended: torch's launcher logs that rank's signal but itself exits with 1."""
    killed = _KILLED_RANK.search(ended.out.rpartition("Root Cause")[2]) if "Root Cause" in ended.out else None
    return replace(ended, code=128 + int(killed[1])) if killed else ended
