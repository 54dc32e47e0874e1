"""A run reads its recipe once: its steps read the run's record of it, whatever becomes of the file."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.zephyr_run.conftest import RECIPE, Place
from zephyr_core import recipe
from zephyr_run import invocation

# Notes each time that the recipe file is opened, in whichever process.
WATCHER = """
import sys
def watch(event, arguments):
    if event == "open" and str(arguments[0]).endswith("quick.toml") and "recipe/" not in str(arguments[0]):
        if "w" not in str(arguments[1]):
            with open({log!r}, "a") as stream:
                stream.write("read\\n")
sys.addaudithook(watch)
"""


def test_a_run_of_two_steps_and_its_page_open_the_recipe_once(
    empty: Place, tmp_path_factory: pytest.TempPathFactory
) -> None:
    place = tmp_path_factory.mktemp("watch")
    (place / "sitecustomize.py").write_text(WATCHER.format(log=str(place / "opened.txt")))
    empty.zephyr("run", "--recipe", "quick.toml", "--to", "binarize", PYTHONPATH=f"{place}:{ROOT}")
    assert (place / "opened.txt").read_text() == "read\n"
    assert (empty.run / "report.html").is_file()


@pytest.mark.parametrize("edited", [RECIPE.replace("test_prompts = 2", "test_prompts = 7"), None])
def test_an_edit_during_a_run_changes_no_later_step_and_not_the_kept_recipe(empty: Place, edited: str | None) -> None:
    words = [sys.executable, "-c", "import cli; cli.main()", "run", "--recipe", "quick.toml", "--to", "binarize"]
    process = subprocess.Popen(words, cwd=empty.folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not (empty.run / "recipe" / invocation.PARSED).is_file():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    file = empty.folder / "quick.toml"
    file.unlink() if edited is None else file.write_text(edited)
    told = process.communicate()[1]
    assert process.returncode == 0, told
    made = json.loads((empty.run / "binarize" / "manifest.json").read_text())
    assert made["options"]["values"]["test_prompts"] == 2
    assert made["options"]["origins"]["test_prompts"] == "file quick.toml"
    assert "test_prompts = 2" in (empty.run / "recipe" / "quick.toml").read_text()


def test_the_record_is_what_a_command_reads_by_the_name_that_was_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in invocation.with_recipe(recipe.load("tiny"), tmp_path).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(recipe, "_read", None)
    assert recipe.load("tiny").about().startswith("embedded samples")


def test_a_dry_run_reads_it_once_and_leaves_no_record(empty: Place) -> None:
    empty.chain("--dry-run", "--to", "binarize")
    assert [path.name for path in empty.folder.iterdir()] == ["quick.toml"]
