"""What a run is checked for while it trains: planned steps, the recipe's rate, a finite loss, whole checkpoints."""

import math
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback

from zephyr_train.errors import InvariantBroken
from zephyr_train.job import Job
from zephyr_train.planning.plan import learning_rate_at
from zephyr_train.training import checkpoints, metrics_file
from zephyr_train.training.margins import Margins


class Watch(TrainerCallback):  # type: ignore[misc]
    """Checks a run's invariants at each event, writes metrics and margins, completes checkpoints."""

    def __init__(self, job: Job, margins: Margins | None, resumed_from: Path | None) -> None:
        self._job = job
        self._margins = margins
        self._resumed_from = resumed_from
        self._writer: metrics_file.Writer | None = None
        self._has_test = (Path(job.tokens) / "test.arrow").is_file()

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Check the trainer's number of steps against the plan; restore what the checkpoint holds."""
        if state.max_steps != self._job.steps:
            raise InvariantBroken(
                f"the trainer would do {state.max_steps} steps, the plan says {self._job.steps}",
                "the installed transformers counts differently from the one tested (constraints.txt)",
            )
        if self._resumed_from is not None and self._margins is not None:
            self._margins.load(self._resumed_from)
        if state.is_world_process_zero:
            self._writer = metrics_file.Writer(self._job.folder, state.log_history)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any], **_: Any) -> None:
        """Check a logged loss and learning rate; write the row."""
        loss = logs.get("loss", logs.get("eval_loss", 0.0))
        if not math.isfinite(loss):
            raise InvariantBroken(
                f"the loss at step {state.global_step} is {loss}",
                "lower the learning rate, or look at the rows of that step",
            )
        if "loss" in logs:
            self._check_learning_rate(state.global_step, logs["learning_rate"])
        if self._writer is not None:
            self._writer.add({**logs, "step": state.global_step, "epoch": state.epoch})

    def _check_learning_rate(self, step: int, logged: float) -> None:
        options = self._job.options
        expected = learning_rate_at(
            step - 1, options.schedule, options.learning_rate, self._job.warmup_steps, self._job.steps
        )
        if not math.isclose(logged, expected, rel_tol=1e-6, abs_tol=1e-15):
            raise InvariantBroken(
                f"the learning rate at step {step} was {logged}, the recipe says {expected}",
                "an option given by --set changes the schedule, or the installed transformers does",
            )

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Evaluate at each epoch's last step, before the checkpoint, and between epochs when asked to."""
        every, epochs = self._job.options.eval_every, self._job.options.epochs
        epoch, rest = divmod(state.global_step * epochs, self._job.steps)
        if self._has_test and (rest == 0 or (every is not None and state.global_step % every == 0)):
            control.should_evaluate = True
        if rest == 0 and self._margins is not None and state.is_world_process_zero:
            self._margins.finish_epoch(self._job.folder / "margins" / f"epoch-{epoch}.parquet")

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Complete the checkpoint once every rank has written its part."""
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.barrier()
        if state.is_world_process_zero:
            checkpoint = self._job.state / f"checkpoint-{state.global_step}"
            if self._margins is not None:
                self._margins.save(checkpoint)
            checkpoints.mark_complete(checkpoint, self._job.digest)

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Check the number of steps done against the plan."""
        if state.global_step != self._job.steps:
            raise InvariantBroken(f"{state.global_step} steps were done, {self._job.steps} planned")
