"""A gradient that is not a number stops the run at its step, before any checkpoint of that step.

Without this, one process or DDP would step the weights to nan and mark the checkpoint whole; DeepSpeed would leave
the step out, and the learning rate would fall behind the plan.
"""

import math
from typing import Any

from zephyr_train.errors import InvariantBroken


class FiniteGradients:
    """Comes before a trainer of transformers in the list of bases."""

    def _get_grad_norm(self: Any, model: Any, grad_norm: Any = None) -> Any:
        """Return the norm of a step's gradients; DeepSpeed has taken the step by then, or left it out.

        Raises:
            InvariantBroken: it is not a number.
        """
        norm = super()._get_grad_norm(model, grad_norm=grad_norm)  # type: ignore[misc]
        is_number = norm is None or math.isfinite(norm)
        if not is_number or self.accelerator.optimizer_step_was_skipped:
            raise InvariantBroken(
                f"the gradient of step {self.state.global_step + 1} is not a number (its norm is {norm})",
                "the last checkpoint is sound; look at the rows of that step, or write a lower learning_rate or"
                ' `precision = "fp32"` in the recipe and begin again with --fresh',
            )
        return norm
