"""A wheel, built and installed into an empty environment, finds its rules, recipes and samples."""

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from tests.conftest import ROOT

LINK = "import site, sys; print(site.getsitepackages()[0])"


@pytest.mark.long
def test_three_commands_from_a_wheel(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {"cli.py", "zephyr_core/shipped/rules/ultrachat.toml", "zephyr_core/shipped/recipes/tiny.toml"} <= names
    assert not any(name.startswith(("tests/", "rules/", "recipes/")) or "make_grammar" in name for name in names)
    modules = {str(file.relative_to(ROOT)) for file in ROOT.glob("zephyr_*/**/*.py")}
    assert modules == {name for name in names if name.endswith(".py")} - {"cli.py"}
    # Empty but for what the wheel depends on, which is seen through a path file instead of being fetched again.
    environment = tmp_path / "env"
    venv.create(environment, with_pip=True)
    python = environment / "bin" / "python"
    subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", wheel], check=True, capture_output=True
    )
    here, there = (
        subprocess.run([exe, "-c", LINK], check=True, capture_output=True, text=True).stdout.strip()
        for exe in (sys.executable, python)
    )
    (Path(there) / "dependencies.pth").write_text(_without_editable(Path(here), tmp_path / "dependencies"))
    command = environment / "bin" / "zephyr"

    def run(*arguments: str) -> str:
        done = subprocess.run([command, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    where = subprocess.run(
        [python, "-c", "import zephyr_core; print(zephyr_core.__file__)"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert str(environment) in where.stdout
    assert "tiny" in run("recipe", "list")
    assert "rows kept" in run("data", "clean-ultrachat", "--recipe", "tiny")
    assert "train_prefs" in run("data", "binarize", "--recipe", "tiny")
    assert "is whole" in run("data", "verify", "runs/tiny/clean-ultrachat")
    assert "5,733 = 1,911 × 3 epochs" in run("train", "dpo", "--epochs", "3", "--gpus", "16", "--dry-run")
    done = subprocess.run(
        [command, "train", "sft", "--recipe", "tiny"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 4
    assert "missing-package: torch" in done.stderr


TRAINING = (
    "torch",
    "transformers",
    "trl",
    "accelerate",
    "deepspeed",
    "peft",
    "tokenizers",
    "safetensors",
)


def _without_editable(site: Path, target: Path) -> str:
    """Return a folder of links to what a core install has: neither the checkout itself nor what trains."""
    target.mkdir()
    for entry in site.iterdir():
        if "zephyr" not in entry.name.lower() and entry.suffix != ".pth" and entry.name not in TRAINING:
            (target / entry.name).symlink_to(entry)
    return str(target)
