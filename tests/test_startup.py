"""Start-up law: help imports the standard library and Typer, nothing else."""

import subprocess
import sys

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
OURS = {"cli", "zephyr_core", "zephyr_data"}


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["data", "--help"],
        ["recipe", "list"],
        ["data", "clean-ultrachat", "--help"],
        ["data", "binarize", "--help"],
    ],
)
def test_light_commands_import_nothing_heavy(words: list[str]) -> None:
    code = f"""
import sys, cli
sys.argv = ["zephyr", *{words!r}]
try:
    cli.main()
except SystemExit:
    pass
print("MODULES", *{{name.split(".")[0] for name in sys.modules}})
"""
    printed = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True).stdout
    loaded = set(printed.rsplit("MODULES", 1)[1].split())
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
