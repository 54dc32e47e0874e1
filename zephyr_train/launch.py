"""Start a run's processes and follow them: the accelerate command, with a generated config that is kept."""

import os
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from zephyr_core import errors, process
from zephyr_core.console import say
from zephyr_core.errors import ZephyrError
from zephyr_core.process import FAILURE, PARENT, Ended
from zephyr_train.agreement import AGREED
from zephyr_train.job import Job
from zephyr_train.nodes import FOREIGN, first_address, first_port, node_rank, own_folder
from zephyr_train.together import SEE_OTHERS, WITHIN, apart, ending_with_others, tell_others, waits

CONFIG = "launch.yaml"
LOG = "log.txt"
# Images set these; the laws of fp32 are narrower than TF32.
LESS_EXACT = ("TORCH_ALLOW_TF32_CUBLAS_OVERRIDE", "NVIDIA_TF32_OVERRIDE")
DETERMINISTIC = "FLASH_ATTENTION_DETERMINISTIC"  # transformers': sum gradients in a fixed order
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
    nodes = job.options.nodes
    own = own_folder(job.folder, nodes)
    work = ["-m", "zephyr_train.worker", job.out, *([str(own)] if nodes > 1 else [])]
    if job.world == 1 and not job.backend.startswith("deepspeed"):
        return [sys.executable, *work]
    if job.cpu and not job.backend.startswith("deepspeed"):  # accelerate would start only one process here
        return [sys.executable, "-m", "torch.distributed.run", *_torchrun(job), *work]
    port = first_port() if nodes > 1 else "0"  # 0: accelerate finds a free one
    options = ["--config_file", str(own / CONFIG), "--main_process_port", port]
    options += ["--rdzv_conf", f"timeout={WITHIN}"] if nodes > 1 else []
    return [sys.executable, "-m", "accelerate.commands.launch", *options, *work]


def _torchrun(job: Job) -> list[str]:
    """Return the options of torch's launcher for processes on a CPU."""
    nodes = job.options.nodes
    here = f"--nproc-per-node={job.world // nodes}"
    if nodes == 1:
        return ["--standalone", here]
    place = [f"--node-rank={node_rank(nodes)}", f"--master-addr={first_address()}", f"--master-port={first_port()}"]
    return [f"--nnodes={nodes}", *place, f"--rdzv-conf=timeout={WITHIN}", here]


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
    if job.options.attention.startswith("flash"):
        own |= {DETERMINISTIC: os.environ.get(DETERMINISTIC, "1")}
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
    own = own_folder(job.folder, nodes)
    job.write(own)
    (job.folder / FAILURE).unlink(missing_ok=True)  # an earlier start's: workers begin once every machine is here
    (own / CONFIG).write_text(yaml.safe_dump(accelerate_config(job), sort_keys=False))
    if nodes == 1:
        _follow(job, command(job), watch, continues)
        return
    (own / AGREED).unlink(missing_ok=True)
    say(waits(job))
    tell, failed = partial(tell_others, job), partial(_failure, job, continues)
    try:
        _follow(job, command(job), ending_with_others(job, watch, failed), continues, tell)
    except ZephyrError as fault:
        tell(fault)
        raise
    if own != job.folder:
        shutil.rmtree(own)


def run_alone(job: Job, module: str, continues: Callable[[], bool] = lambda: False) -> None:
    """Run a module on the run directory in one fresh process; `continues` as in `run_workers`.

    Raises:
        ZephyrError: with the error that it left behind, or the end of its log.
    """
    (job.folder / FAILURE).unlink(missing_ok=True)
    _follow(job, [sys.executable, "-m", module, job.out], lambda: None, continues)


def _follow(
    job: Job,
    started: list[str],
    watch: Callable[[], None],
    continues: Callable[[], bool],
    stopping: Callable[[BaseException], None] = lambda _: None,
) -> None:
    log = own_folder(job.folder, job.options.nodes) / LOG
    ended = process.follow(started, log=log, environment=environment(job), watch=watch, stopping=stopping)
    if ended.code != 0:
        raise apart(job, ended) or _failure(job, continues, _of_the_rank(ended))


def _failure(job: Job, continues: Callable[[], bool], ended: Ended) -> ZephyrError:
    hint = "the same command continues where it stopped" if continues() else None
    fault = process.failure(job.folder, ended, own_folder(job.folder, job.options.nodes) / LOG, hint=hint)
    if job.options.nodes > 1 and fault.exit_code == errors.INTERNAL:
        fault.hint = "; ".join(filter(None, [SEE_OTHERS, fault.hint]))
    return fault


def _of_the_rank(ended: Ended) -> Ended:
    """Return how the first rank to fail ended: torch's launcher logs that rank's signal but itself exits with 1."""
    killed = _KILLED_RANK.search(ended.out.rpartition("Root Cause")[2]) if "Root Cause" in ended.out else None
    return replace(ended, code=128 + int(killed[1])) if killed else ended
