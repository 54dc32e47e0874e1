"""The sample rows as lines, and many times over: files that take a step long enough to be stopped half-way."""

from pathlib import Path
from typing import Any

from tests.conftest import ROOT

SAMPLES = ROOT / "recipes" / "samples"
SMALL_BLOCKS = """
import zephyr_data.engine.inputs as inputs
from functools import partial
inputs.read_blocks = partial(inputs.read_blocks, block_bytes=500_000)
import cli
cli.main()
"""  # the command with many blocks, each of which is a place to stop


def sample_lines() -> list[str]:
    return [
        line
        for path in sorted((SAMPLES / "ultrachat").glob("*.jsonl"))
        for line in path.read_text(encoding="utf-8").split("\n")
        if line.strip()
    ]


def big_file(path: Path) -> Path:
    lines = sample_lines()
    with path.open("w", encoding="utf-8") as stream:
        for number in range(14):
            stream.writelines(line.replace('{"id": "', f'{{"id": "{number}-', 1) + "\n" for line in lines)
    return path


def big_rated_file(path: Path) -> Path:
    lines = (SAMPLES / "ultrafeedback" / "rated.jsonl").read_text(encoding="utf-8").split("\n")
    with path.open("w", encoding="utf-8") as stream:
        for number in range(24):
            stream.writelines(
                line.replace('"instruction": "', f'"instruction": "{number} ', 1) + "\n" for line in lines
            )
    return path


BIG_FILES = {"clean-ultrachat": big_file, "binarize": big_rated_file}


def digests(content: dict[str, Any]) -> dict[str, Any]:
    return {"splits": content["splits"], "dropped": content["dropped_digest"], "counts": content["counts"]}
