"""A small model as somebody else's folder, and what preflight says about a run of dSFT that starts from it."""

from pathlib import Path
from typing import Any

from tests.zephyr_train.row_shapes import turn, write_lines
from zephyr_core import recipe
from zephyr_train import student as students
from zephyr_train.options import StudentOptions
from zephyr_train.preflight.examination import Examination
from zephyr_train.preflight.examine import examine
from zephyr_train.request import TrainRequest

SMALL = StudentOptions(
    source="new", vocabulary=300, hidden_size=16, intermediate_size=24, layers=1, heads=4, kv_heads=2, positions=256
)
ROWS = [{"messages": [turn("user", f"Hello, {number}!"), turn("assistant", "Good day.")]} for number in range(4)]


def build(folder: Path) -> Path:
    """Build a student."""
    students.build(SMALL, ["Hello", "Good day.", "Which plum is ripe?"], folder)
    return folder


def request(model: Path, **changes: Any) -> TrainRequest:
    data = write_lines(model.parent / "rows.jsonl", ROWS)
    options = {"max_length": 96, "global_batch_size": 4, "micro_batch_size": 1, "attention": "sdpa", "gpus": 1}
    fixed = {"precision": "fp32", "zero": 0, "packing": "off", "on_overlong": "cut", "recipe": recipe.load("tiny")}
    return TrainRequest.typed("sft", options | fixed | {"model": str(model), "data": str(data)} | changes)


def look(model: Path, *, dry: bool = True, **changes: Any) -> Examination:
    return examine(request(model, **changes), dry=dry)
