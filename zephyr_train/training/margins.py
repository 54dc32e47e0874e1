"""The implicit rewards of each pair as training saw them: the first step's check, exact test means, suspects' raw data.

margin = β·[(log π(y_w) − log π_ref(y_w)) − (log π(y_l) − log π_ref(y_l))], Eq. (1); log-probs in nats.
"""

import json
import math
from collections.abc import Sequence
from pathlib import Path

from zephyr_train.errors import InvariantBroken

SAVED = "margins.json"
# How far the first step's margins may lie from 0: the two passes sum hundreds of log-probs in batches padded otherwise.
FIRST_MARGIN = {"fp32": 1e-3, "bf16": 0.05, "bf16-autocast": 0.05}  # mean of |margin|
FIRST_LOSS = {"fp32": 1e-4, "bf16": 0.01, "bf16-autocast": 0.01}  # |loss − ln 2|


class Margins:
    """Rewards by row number: of the running epoch's train rows, and of the last evaluation's test rows."""

    def __init__(self, beta: float, numerics: str, keys: Sequence[str], prompt_ids: Sequence[str]) -> None:
        self._beta = beta
        self._numerics = numerics
        self._keys = keys
        self._prompt_ids = prompt_ids
        self._rewards: dict[str, dict[int, tuple[float, float]]] = {"train": {}, "test": {}}

    def add(self, split: str, step: int, numbers: list[int], chosen: list[float], rejected: list[float]) -> None:
        """Take the log ratios of pairs; a row that fills up the last batch a second time does not count again.

        Raises:
            InvariantBroken: at the first step the policy is not its own reference.
        """
        rewards = {
            number: (self._beta * better, self._beta * worse)
            for number, better, worse in zip(numbers, chosen, rejected, strict=True)
        }
        if split == "train" and step == 0:
            self._check_first(rewards)
        for number, reward in rewards.items():
            self._rewards[split].setdefault(number, reward)

    def _check_first(self, rewards: dict[int, tuple[float, float]]) -> None:
        margins = [better - worse for better, worse in rewards.values()]
        loss = sum(math.log1p(math.exp(-margin)) for margin in margins) / len(margins)
        size = sum(map(abs, margins)) / len(margins)
        allowed = FIRST_MARGIN[self._numerics]
        if not (size <= allowed and abs(loss - math.log(2)) <= FIRST_LOSS[self._numerics]):
            raise InvariantBroken(
                f"the first loss is {loss:.5f}, not ln 2 = {math.log(2):.5f}, and the first margins are {size:.5f} on"
                f" average, not 0 (allowed: {allowed}): the reference log-probs are not those of the starting weights",
                "remove the reference folder that run.json names, and run the command again: it computes them anew",
            )

    def test_means(self) -> dict[str, float]:
        """Return the means over test rows by TRL's names, and forget the rows."""
        rows = list(self._rewards["test"].values())
        self._rewards["test"] = {}
        if not rows:
            return {}
        return {
            "rewards/accuracies": sum(better > worse for better, worse in rows) / len(rows),
            "rewards/margins": sum(better - worse for better, worse in rows) / len(rows),
            "rewards/chosen": sum(better for better, _ in rows) / len(rows),
            "rewards/rejected": sum(worse for _, worse in rows) / len(rows),
        }

    def finish_epoch(self, file: Path) -> None:
        """Write the epoch's margins as Parquet (key, prompt_id, margin), sorted by row, and begin the next epoch."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        seen = sorted(self._rewards["train"].items())
        self._rewards["train"] = {}
        table = pa.table(
            {
                "key": pa.array([self._keys[number] for number, _ in seen], pa.string()),
                "prompt_id": pa.array([self._prompt_ids[number] for number, _ in seen], pa.string()),
                "margin": pa.array([better - worse for _, (better, worse) in seen], pa.float64()),
            }
        )
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary = file.with_name(file.name + ".tmp")
        pq.write_table(table, temporary)
        temporary.replace(file)

    def save(self, checkpoint: Path) -> None:
        """Keep the running epoch's rewards in a checkpoint."""
        (checkpoint / SAVED).write_text(json.dumps(list(self._rewards["train"].items())))

    def load(self, checkpoint: Path) -> None:
        """Take them up again."""
        saved = json.loads((checkpoint / SAVED).read_text())
        self._rewards["train"] = {number: (better, worse) for number, (better, worse) in saved}
