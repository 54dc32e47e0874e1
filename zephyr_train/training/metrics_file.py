"""metrics.jsonl: one row per training log entry and per evaluation, under plain names."""

import json
from pathlib import Path
from typing import Any, cast

from zephyr_core.metrics import is_row
from zephyr_core.reading import json_lines
from zephyr_core.records import MetricsRow

NAME = "metrics.jsonl"
# TRL's name, without its `eval_` → ours
NAMES = {
    "loss": "loss",
    "rewards/accuracies": "accuracy",
    "rewards/margins": "margin",
    "rewards/chosen": "reward_chosen",
    "rewards/rejected": "reward_rejected",
    "logps/chosen": "logps_chosen",
    "logps/rejected": "logps_rejected",
    "mean_token_accuracy": "token_accuracy",
    "learning_rate": "learning_rate",
    "grad_norm": "grad_norm",
    "num_tokens": "tokens",
}


def row_of(logs: dict[str, Any]) -> dict[str, Any] | None:
    """Return the row for one entry of the trainer's log, or None for its closing summary."""
    if "loss" in logs:
        split, prefix = "train", ""
    elif "eval_loss" in logs:
        split, prefix = "test", "eval_"
    else:
        return None
    row = {"step": logs["step"], "epoch": round(logs["epoch"], 6), "split": split}
    return row | {ours: logs[prefix + theirs] for theirs, ours in NAMES.items() if prefix + theirs in logs}


def read(folder: Path) -> list[MetricsRow]:
    """Return the rows of a run; a last line still being written is left out, and so is what is not a row."""
    rows, _ = json_lines(folder / NAME)
    return cast(list[MetricsRow], [row for row in rows if is_row(row)])


class Writer:
    """Appends rows; a resumed run begins with the rows of its checkpoint."""

    def __init__(self, folder: Path, history: list[dict[str, Any]]) -> None:
        self._file = folder / NAME
        self._file.write_text("", encoding="utf-8")
        for logs in history:
            self.add(logs)

    def add(self, logs: dict[str, Any]) -> None:
        """Append the row of one log entry."""
        row = row_of(logs)
        if row is not None:
            with self._file.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(row) + "\n")
