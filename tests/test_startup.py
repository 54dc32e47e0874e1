"""Start-up law: help imports the standard library and Typer, nothing else; a plan no more than it looks at."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

# What Typer itself brings.
TYPER = {
    "typer",
    "rich",
    "shellingham",
    "annotated_doc",
    "click",
    "markdown_it",
    "mdurl",
    "pygments",
    "typing_extensions",
}
OURS = {"cli", "zephyr_core", "zephyr_data", "zephyr_page", "zephyr_run", "zephyr_train"}
HEAVY = {
    "torch",
    "transformers",
    "trl",
    "datasets",
    "deepspeed",
    "accelerate",
    "peft",
    "pyarrow",
    "numpy",
}


def loaded_by(*words: str, cwd: Path | None = None) -> set[str]:
    """Return the packages that a command has loaded when it ends with 0."""
    code = f"""
import sys, cli
sys.argv = ["zephyr", *{list(words)!r}]
try:
    cli.main()
except SystemExit as end:
    assert not end.code, end.code
print("MODULES", *{{name.split(".")[0] for name in sys.modules}})
"""
    done = subprocess.run(
        [sys.executable, "-I", "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.rsplit("MODULES", 1)[1].split())


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["data", "--help"],
        ["recipe", "list"],
        ["data", "clean-ultrachat", "--help"],
        ["data", "binarize", "--help"],
        ["train", "--help"],
        ["train", "sft", "--help"],
        ["train", "dpo", "--help"],
        ["train", "suspects", "--help"],
        ["run", "--help"],
        ["status", "--help"],
        ["status", "--recipe", "tiny"],
        ["reproduce", "--help"],
    ],
)
def test_light_commands_import_nothing_heavy(words: list[str]) -> None:
    loaded = loaded_by(*words)
    foreign = {
        name for name in loaded if name not in sys.stdlib_module_names and not name.startswith(("_", "sitecustom"))
    }
    bare = subprocess.run(
        [sys.executable, "-I", "-c", "import sys; print(*{name.split('.')[0] for name in sys.modules})"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert foreign - set(bare.split()) <= TYPER | OURS
    assert "typer" in loaded


@pytest.mark.parametrize("words", [["train", "dpo"], ["train", "sft"], ["train", "dpo", "--explain", "beta"]])
def test_a_plan_without_inputs_loads_no_library(words: list[str], tmp_path: Path) -> None:
    assert not HEAVY & loaded_by(*words, "--dry-run", cwd=tmp_path)


def test_a_plan_with_dataset_and_tokenizer_loads_no_trainer_and_no_torch(tmp_path: Path) -> None:
    from tests.zephyr_train.row_shapes import trainer_pair, turn, write_lines
    from zephyr_train import student
    from zephyr_train.options import StudentOptions

    sizes = StudentOptions(vocabulary=300, hidden_size=16, intermediate_size=24, layers=1, heads=4, kv_heads=2)
    student.build(sizes, ["a plum", "a pear"], tmp_path / "model")
    write_lines(tmp_path / "pairs.jsonl", [trainer_pair(f"{number}?", "yes", "no") for number in range(8)])
    write_lines(tmp_path / "talks.jsonl", [{"messages": [turn("user", "a?"), turn("assistant", "b")]}] * 8)
    for step, model, rows in (("dpo", "model", "pairs.jsonl"), ("sft", "new", "talks.jsonl")):
        inputs = ("--recipe", "tiny", "--model", model, "--data", rows)
        loaded = loaded_by("train", step, *inputs, "--dry-run", cwd=tmp_path)
        assert HEAVY & loaded <= {"transformers", "pyarrow", "numpy"}
        assert {"transformers", "pyarrow"} <= loaded, "it looked at tokens and rows"
