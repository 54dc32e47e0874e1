"""Each pair's implicit rewards as seen in training, for the first step's check, exact test means and suspects.

margin = β·[(log π(y_w) − log π_ref(y_w)) − (log π(y_l) − log π_ref(y_l))], Eq. (1); log-probs in nats.
"""

import json
import math
from collections.abc import Sequence
from pathlib import Path

from zephyr_core.temporary import whole_file
from zephyr_train.errors import InvariantBroken
from zephyr_train.training import tolerance

SAVED = "margins.json"


def _loss(margin: float) -> float:
    """Return −log σ of a margin, Eq. (1), in nats; without overflow."""
    return max(-margin, 0.0) + math.log1p(math.exp(-abs(margin)))


class Margins:
    """Rewards by row number, for the current epoch's train rows and the last evaluation's test rows."""

    def __init__(
        self,
        beta: float,
        keys: Sequence[str],
        prompt_ids: Sequence[str],
        *,
        tokens: Sequence[int],
        noise: float,
        first_rows: int = 1,
        reference: str = "",
    ) -> None:
        """Begin without rewards.

        Args:
            beta: of Eq. (1).
            keys: of the train rows, by row number.
            prompt_ids: of the train rows.
            tokens: of both replies of each train row.
            noise: of a token's log-prob, in nats (tolerance.py).
            first_rows: rows of the first optimiser step.
            reference: folder of the log-probs.
        """
        self.noise = noise
        self._beta = beta
        self._keys = keys
        self._prompt_ids = prompt_ids
        self._tokens = tokens
        self._first_rows = first_rows
        self._reference = reference
        self._first: dict[int, float] = {}
        self._rewards: dict[str, dict[int, tuple[float, float]]] = {"train": {}, "test": {}}

    def add(self, split: str, step: int, numbers: list[int], chosen: list[float], rejected: list[float]) -> set[int]:
        """Add the log ratios of pairs; return the rows that are new, as a row repeated to fill a batch counts once.

        Raises:
            InvariantBroken: at the first step the policy differs from its reference.
        """
        rewards = {
            number: (self._beta * better, self._beta * worse)
            for number, better, worse in zip(numbers, chosen, rejected, strict=True)
        }
        if split == "train" and step == 0:
            differences = [better - worse for better, worse in zip(chosen, rejected, strict=True)]
            self._first |= dict(zip(numbers, differences, strict=True))
            if len(self._first) >= self._first_rows:
                self._check_first()
        new = [number for number in rewards if number not in self._rewards[split]]
        self._rewards[split] |= {number: rewards[number] for number in new}
        return set(new)

    def _check_first(self) -> None:
        """Check the first step's differences per pair and on average: noise averages out, a wrong reference stays."""
        differences, pairs = self._first.values(), len(self._first)
        tokens = [self._tokens[number] for number in self._first]
        size, mean = sum(map(abs, differences)) / pairs, sum(differences) / pairs
        allowed_size = sum(tolerance.of_sum(self.noise, count) for count in tokens) / pairs
        allowed_mean = tolerance.of_sum(self.noise, sum(tokens)) / pairs
        if size <= allowed_size and abs(mean) <= allowed_mean:
            return
        loss = sum(_loss(self._beta * difference) for difference in differences) / pairs
        raise InvariantBroken(
            f"the first loss is {loss:.5f}, not ln 2 = {math.log(2):.5f}: the first pairs' log ratios differ by"
            f" {size:.4f} nats (allowed {allowed_size:.4f}), {mean:.4f} on average (allowed {allowed_mean:.4f}): the"
            " reference log-probs are not those of the starting weights",
            f"remove {self._reference} and run the command again: it computes them again. If it just did, the model"
            ' scores a pair otherwise in another batch, by more than rounding: write `precision = "fp32"` under'
            " [dpo] of the recipe, and use --attention sdpa",
        )

    def end_test(self) -> float | None:
        """Return the mean of Eq. (1) over the test rows seen since the last call (None without any) and clear them."""
        losses = [_loss(better - worse) for better, worse in self._rewards["test"].values()]
        self._rewards["test"] = {}
        return sum(losses) / len(losses) if losses else None

    def finish_epoch(self, file: Path) -> None:
        """Write the epoch's margins as Parquet (key, prompt_id, margin), sorted by row, and begin the next epoch."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        rewards = sorted(self._rewards["train"].items())
        self._rewards["train"] = {}
        table = pa.table(
            {
                "key": pa.array([self._keys[number] for number, _ in rewards], pa.string()),
                "prompt_id": pa.array([self._prompt_ids[number] for number, _ in rewards], pa.string()),
                "margin": pa.array([better - worse for _, (better, worse) in rewards], pa.float64()),
            }
        )
        file.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(file) as temporary:
            pq.write_table(table, temporary)

    def save(self, checkpoint: Path) -> None:
        """Save the current epoch's rewards in a checkpoint."""
        (checkpoint / SAVED).write_text(json.dumps(list(self._rewards["train"].items())))

    def load(self, checkpoint: Path) -> None:
        """Restore the rewards that a checkpoint holds."""
        saved = json.loads((checkpoint / SAVED).read_text())
        self._rewards["train"] = {number: (better, worse) for number, (better, worse) in saved}
