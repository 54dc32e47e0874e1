"""A trainer's model while a law scores rows with it, between two steps."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def evaluating(trainer: Any) -> Iterator[Any]:
    """Yield the model that a trainer steps, without dropout and gradients, in the run's precision; as it was, after."""
    import torch

    model = trainer.model_wrapped
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad(), trainer.compute_loss_context_manager():
            yield model
    finally:
        model.train(was_training)
