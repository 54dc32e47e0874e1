"""Limits on a row when it is tokenized: how long it may be, and which tokens have a loss."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Lengths in tokens, and what happens to rows that exceed them.

    max_length applies to a dialogue, or to a prompt with the longer of its completions. `max_prompt_length` is what
    is left of a prompt when a pair is cut. With `packed`, dialogues are also packed into rows; only then can they be
    split.
    """

    max_length: int
    max_prompt_length: int | None
    on_overlong: str  # pairs: cut-prompt | drop | error; dialogues: split | cut | drop | error
    loss_on: str = "assistant"  # assistant | all
    packed: bool = False
