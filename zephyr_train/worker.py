"""What each rank of a run does: `python -m zephyr_train.worker RUN_DIRECTORY [PLANNED]`, started by launch.py."""

import atexit
import json
import os
import sys
from pathlib import Path
from typing import Any, NoReturn

from zephyr_core.kinds import JOB
from zephyr_core.process import as_worker
from zephyr_train.agreement import require_one_run
from zephyr_train.errors import InvariantBroken
from zephyr_train.job import Job
from zephyr_train.training.checkpoints import has_complete
from zephyr_train.training.out_of_memory import clear_memory_errors, ways_out


def main() -> None:
    """Run the step of the run directory given on the command line; leave any error where the parent finds it.

    Of several machines, each names the folder of what it planned too.
    """
    folder, *planned = map(Path, sys.argv[1:])
    with as_worker(folder, start=folder / JOB):
        for own in planned:
            require_one_run(folder, own)
        job = Job.read(folder)
        with clear_memory_errors(ways_out(job)):
            work(job)
        leave_group()


def work(job: Job) -> None:
    """Do the step of a job."""
    join_group(job)
    if job.step == "reference":
        from zephyr_train.training.reference_pass import score

        score(job)
    else:
        train(job)


def join_group(job: Job) -> None:
    """Make DeepSpeed start on a CPU as if its shared-memory operation were unavailable: with gloo alone.

    It would compile that operation, which only its inference uses, at the first start (this takes a minute and needs a
    compiler). Each later start takes a lock file; a process killed at that moment leaves it locked for all others.
    """
    if job.cpu and job.backend.startswith("deepspeed"):
        from deepspeed import ops

        ops.__compatible_ops__ = {}  # DeepSpeed would make it on first use, and uses it only for this operation


def leave_group() -> NoReturn:
    """End this process once its work is done, skipping the interpreter's shutdown.

    A gloo thread may still hold a tensor of the last collective. Releasing it while the interpreter shuts down aborts
    the process; on a busy machine, about one rank in ten failed this way after finishing its work.
    """
    from torch import distributed

    if distributed.is_initialized():
        distributed.destroy_process_group()  # NCCL's, which needs it; gloo's stays, since others hold it
    atexit._run_exitfuncs()  # loggers, trackers
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def train(job: Job) -> None:
    """Train from the last whole checkpoint, or from the start; save the model and the probe that verifies it."""
    from zephyr_train.training.probe import write_probe
    from zephyr_train.training.watch import Watch

    checkpoint = Path(job.checkpoint) if job.checkpoint else None
    require_named_checkpoint(job)
    callbacks: list[Any] = []
    trainer: Any
    if job.step == "dpo":
        from zephyr_train import dpo

        margins = dpo.margins_of(job)
        callbacks.append(Watch(job, margins, checkpoint))
        trainer = dpo.trainer(job, callbacks, margins)
    else:
        from zephyr_train import sft

        callbacks.append(Watch(job, None, checkpoint))
        trainer = sft.trainer(job, callbacks)
    require_backend(trainer, job)
    require_master_weights(trainer, job)
    if checkpoint is not None:
        trainer._total_train_tokens = _tokens_seen(checkpoint)  # TRL would count from 0 again
    trainer.args.eval_on_start = checkpoint is None and trainer.eval_dataset is not None
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    trainer.save_model(str(job.folder / ("adapter" if job.options.lora else "weights")))
    write_probe(trainer, job)


def _tokens_seen(checkpoint: Path) -> int:
    history = json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))["log_history"]
    return int(max((logs.get("num_tokens", 0) for logs in history), default=0))


def require_named_checkpoint(job: Job) -> None:
    """Raise if a run that has whole checkpoints would begin at step 0.

    Raises:
        InvariantBroken: naming their folder.
    """
    if job.checkpoint is None and has_complete(job.state):
        raise InvariantBroken(
            f"{job.state} holds a whole checkpoint, and {job.folder / JOB} names none: another command has changed it",
            "end all commands that train there, then run the same one again, on each machine",
        )


def require_backend(trainer: Any, job: Job) -> None:
    """Raise if accelerate set up a different back end or number of processes than planned.

    Raises:
        InvariantBroken: naming both.
    """
    accelerator = trainer.accelerator
    plugin = accelerator.state.deepspeed_plugin
    if plugin is not None and accelerator.distributed_type == "DEEPSPEED":
        backend = f"deepspeed-{plugin.zero_stage}"
    else:
        backend = "single" if accelerator.num_processes == 1 else "ddp"
    if job.cpu != (accelerator.device.type == "cpu"):
        raise InvariantBroken(
            f"the plan is for {'a CPU' if job.cpu else 'GPUs'}, torch uses {accelerator.device}",
            "the installed torch does not fit this machine: see `torch.cuda.is_available()`",
        )
    if (backend, accelerator.num_processes) != (job.backend, job.world):
        raise InvariantBroken(
            f"the plan says {job.backend} with {job.world} processes, accelerate set up {backend} with"
            f" {accelerator.num_processes}",
            "a variable ACCELERATE_… in the environment overrides the generated launch.yaml; unset it",
        )


def require_master_weights(trainer: Any, job: Job) -> None:
    """Raise if the optimiser would step in bf16, where a learning rate of 5e-7 does not move the weights.

    DeepSpeed keeps its own fp32 copies; without it the trained weights themselves must be fp32.

    Raises:
        InvariantBroken: naming the first weight that is not fp32.
    """
    import torch

    if job.backend.startswith("deepspeed"):
        return
    for name, weight in trainer.model.named_parameters():
        if weight.requires_grad and weight.dtype != torch.float32:
            raise InvariantBroken(
                f"{name} is {weight.dtype}: without fp32 master weights a learning rate of"
                f" {job.options.learning_rate} does not move it",
                "give --zero 1, 2 or 3 (which keep them), or leave the dtype to zephyr",
            )


if __name__ == "__main__":
    main()
