"""`--dry-run` as a command: the paper's plan on a bare machine, nothing written, faults told by the exit code."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import BARE, zephyr
from tests.zephyr_train.row_shapes import trainer_pair, turn, write_lines

ROWS = {
    "dpo": [trainer_pair("Which plum is ripe?", "The blue one.", "I do not know.")],
    "sft": [{"messages": [turn("user", "Hello!"), turn("assistant", "Good morning to you.")]}],
}


def _listing(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*")}


@pytest.mark.parametrize(("step", "micro", "code"), [("sft", 1, 0), ("dpo", 3, 2)])
def test_the_command_writes_nothing_and_ends_with_2_when_there_are_faults(
    tmp_path: Path, step: str, micro: int, code: int
) -> None:
    lines = [f"[{step}]\nmax_length = 96\nglobal_batch_size = 4\nmicro_batch_size = {micro}"]
    lines += ["max_prompt_length = 48"] if step == "dpo" else ['packing = "off"\non_overlong = "cut"']
    (tmp_path / "r.toml").write_text('extends = "tiny"\nabout = "t"\n' + "\n".join(lines))
    write_lines(tmp_path / "rows.jsonl", ROWS[step] * 8)
    model = ("--model", "new") if step == "sft" else ()
    before = _listing(tmp_path)
    done = zephyr(
        "train", step, "--recipe", "r.toml", "--data", "rows.jsonl", *model, "--dry-run", "--json", cwd=tmp_path
    )
    assert done.returncode == code, done.stderr
    assert _listing(tmp_path) == before
    record = json.loads(done.stdout)
    assert [fault["name"] for fault in record["faults"]] == ([] if code == 0 else ["batch-does-not-divide"])
    assert ("preflight found 1 fault:\n  batch-does-not-divide: 3 = 3/GPU × 1 GPUs" in done.stderr) == (code == 2)


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        (
            ["dpo", "--epochs", "3", "--gpus", "16"],
            [
                "batch   32 = 2/GPU × 16 GPUs × 1",
                "rows    61,135 pairs (",
                "steps   5,733 = 1,911 × 3 epochs, 574 of them warm-up",
                "→ 3     cached      yes                15.8  fits",
                "note    pairs without padding, each prompt read twice, dealt to processes by length: shared prompts were"
                " never run with flash_attention_2 on a GPU; `--share-prompt` turns them on",
            ],
        ),
        (
            ["sft", "--gpus", "16"],
            ["batch   512 = 16/GPU × 16 GPUs × 2", "→ 3     none        yes                30.7  fits"],
        ),
    ],
)
def test_the_papers_plan_needs_neither_torch_nor_network(tmp_path: Path, words: list[str], lines: list[str]) -> None:
    environment = {**os.environ, "HF_HOME": str(tmp_path / "cache"), "COLUMNS": "200"}
    done = subprocess.run(
        [sys.executable, "-c", BARE + "import cli; cli.main()", "train", *words, "--dry-run"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    for line in lines:
        assert line in done.stdout
    assert "missing-package: torch, transformers, trl, accelerate, deepspeed not installed" in done.stdout
    assert list(tmp_path.iterdir()) == []
