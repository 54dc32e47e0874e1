"""Start-up law: help imports the standard library and Typer, nothing else; a plan no more than it looks at.

What is not about tables or tensors loads no such library at import. Ruff bans these imports at the head of a module
(TID253) where a package may not have them at all; here the modules are imported and looked at.
"""

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from tests.conftest import ROOT

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
PACKAGES = sorted(path.parent.name for path in ROOT.glob("zephyr_*/__init__.py"))
OURS = {"cli", *PACKAGES}
STANDARD_LIBRARY_ONLY = {"zephyr_core", "zephyr_page"}
FLAGS = "zephyr_core.flags"  # Typer's annotations: only commands.py of each package imports it
TABLES_AND_TENSORS = {"zephyr_data", "zephyr_look", "zephyr_train"}  # light is only what the command line loads
COMMAND_LINE = ("commands", "options", "errors", "steps")
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
    return set(fresh_process(code, cwd).rsplit("MODULES", 1)[1].split())


def fresh_process(code: str, cwd: Path | None = None) -> str:
    """Return what the code prints."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-I", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


@cache
def brought_by_python() -> frozenset[str]:
    """Return what is there without an import: the standard library, and what a bare interpreter loads."""
    bare = fresh_process("import sys; print(*{name.split('.')[0] for name in sys.modules})")
    return sys.stdlib_module_names | set(bare.split())


def foreign(loaded: set[str]) -> set[str]:
    """Return the packages that Python itself does not bring."""
    return {name for name in loaded - brought_by_python() if not name.startswith(("_", "sitecustom"))}


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["data", "--help"],
        ["recipe", "list"],
        ["data", "clean-ultrachat", "--help"],
        ["data", "binarize", "--help"],
        ["data", "inspect", "--help"],
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
    assert foreign(loaded) <= TYPER | OURS
    assert "typer" in loaded


@pytest.mark.parametrize("package", PACKAGES)
def test_light_modules_import_nothing_heavy(package: str) -> None:
    files = [*(ROOT / package).rglob("*.py")]
    if package in TABLES_AND_TENSORS:
        files = [ROOT / package / f"{name}.py" for name in COMMAND_LINE if (ROOT / package / f"{name}.py").exists()]
    modules = [".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for file in files]
    assert modules
    code = f"""
import importlib, sys
for name in {sorted(modules)!r}:
    before = set(sys.modules)
    importlib.import_module(name)
    print(name, *{{new.split(".")[0] for new in set(sys.modules) - before}})
"""
    for line in fresh_process(code).splitlines():
        module, *loaded = line.split()
        is_bare = package in STANDARD_LIBRARY_ONLY and module != FLAGS
        assert foreign(set(loaded)) <= (OURS if is_bare else OURS | TYPER), module


@pytest.mark.parametrize("words", [["train", "dpo"], ["train", "sft"], ["train", "dpo", "--explain", "beta"]])
def test_a_plan_without_inputs_loads_no_library(words: list[str], tmp_path: Path) -> None:
    assert not HEAVY & loaded_by(*words, "--dry-run", cwd=tmp_path)


def test_a_plan_with_dataset_and_tokenizer_loads_no_trainer_and_torch_only_for_a_model_that_is_there(
    tmp_path: Path,
) -> None:
    from tests.zephyr_train.row_shapes import trainer_pair, turn, write_lines
    from zephyr_train import student
    from zephyr_train.options import StudentOptions

    sizes = StudentOptions(vocabulary=300, hidden_size=16, intermediate_size=24, layers=1, heads=4, kv_heads=2)
    student.build(sizes, ["a plum", "a pear"], tmp_path / "model")
    write_lines(tmp_path / "pairs.jsonl", [trainer_pair(f"{number}?", "yes", "no") for number in range(8)])
    write_lines(tmp_path / "talks.jsonl", [{"messages": [turn("user", "a?"), turn("assistant", "b")]}] * 8)
    for step, model, rows, torch in (("dpo", "model", "pairs.jsonl", True), ("sft", "new", "talks.jsonl", False)):
        inputs = ("--recipe", "tiny", "--model", model, "--data", rows)
        loaded = loaded_by("train", step, *inputs, "--dry-run", cwd=tmp_path)
        assert HEAVY & loaded - ({"torch", "accelerate"} if torch else set()) <= {"transformers", "pyarrow", "numpy"}
        assert {"transformers", "pyarrow"} <= loaded, "it looked at tokens and rows"
