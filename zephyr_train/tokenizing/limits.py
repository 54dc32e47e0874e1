"""What may become of a row when it turns into tokens: how long it may be, and which tokens have a loss."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Lengths in tokens, and what happens to rows beyond them.

    max_length binds a dialogue, or a prompt with the longer of its completions. `max_prompt_length` is what is left
    of a prompt when a pair is cut. With `packed`, dialogues are packed into rows too; only then they can be split.
    """

    max_length: int
    max_prompt_length: int | None
    on_overlong: str  # pairs: cut-prompt | drop | error; dialogues: split | cut | drop | error
    loss_on: str = "assistant"  # assistant | all
    packed: bool = False
