"""Before a model is trained or scores anything: no token of a row depends on those behind it."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from zephyr_core.errors import DataError
from zephyr_train.meta_model import ONE_WAY
from zephyr_train.training import tolerance

TOKENS = 16  # of the row that is looked at: in a longer one, its last token counts for less


def require_causal(ids: Sequence[int], call: Callable[[Tensor], Tensor], noise: float) -> None:
    """Compare a row's log-probs with those of the same row with another last token.

    Args:
        ids: of a row; its beginning is taken.
        call: returns the logits of ids, shape (1, tokens) → (1, tokens, vocabulary).
        noise: of a token's log-prob, in nats (tolerance.py): other tokens can go to the same expert.

    Raises:
        DataError: they differ: the model sees the tokens that it should predict.
    """
    if len(ids) < 2:
        return
    row = torch.tensor([ids[:TOKENS]])
    logits = call(row)
    other = row.clone()
    other[0, -1] = (row[0, -1] + 1) % logits.shape[-1]
    first, second = (each[0, :-1].float().log_softmax(-1).cpu() for each in (logits, call(other)))
    difference = (first - second).gather(1, row[0, 1:, None]).abs().mean().item()
    allowed = tolerance.of_mean(noise, logits.float().std(dim=-1).mean().item())
    if not difference <= allowed:
        raise DataError(
            f"the model reads ahead: another last token changes the log-probs of those before it by {difference:.2g}"
            f" nats a token (allowed {allowed:.2g})",
            ONE_WAY,
        )
