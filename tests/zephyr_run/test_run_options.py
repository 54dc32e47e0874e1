"""Values and a folder given to `zephyr run`: used, kept with the run, compared by later commands, typed again in hints."""

import json
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.zephyr_run.conftest import RECIPE, Place
from zephyr_core import recipe
from zephyr_core.errors import UsageError
from zephyr_run import invocation, kept_recipe
from zephyr_run.run import Kept, RunRequest
from zephyr_run.status import status
from zephyr_run.steps import named, needed, with_given

FIRST = ("--to", "clean-ultrachat")


def test_a_given_value_and_folder_are_used_kept_and_compared(empty: Place) -> None:
    words = ("--out", "exp/one", "--set", "clean.limit=40", *FIRST)
    told = empty.chain(*words)
    run = empty.folder / "exp" / "one"
    made = json.loads((run / "clean-ultrachat" / "manifest.json").read_text())["options"]
    assert made["values"]["limit"] == 40 and made["origins"]["limit"] == "flag --set of zephyr run"
    kept = tomllib.loads((run / "recipe" / "quick.toml").read_text())
    assert kept["clean-ultrachat"]["limit"] == 40
    assert not empty.run.exists()
    assert "clean-ultrachat  skipped" in empty.chain(*words).stdout
    states = json.loads(empty.zephyr("status", "--recipe", "quick.toml", "--out", "exp/one", "--json").stdout)
    assert states["steps"]["clean-ultrachat"]["state"] == "whole"
    without = empty.chain("--out", "exp/one", *FIRST, code=2)
    assert "these differ: limit" in without.stderr
    assert "`zephyr run --recipe quick.toml --out exp/one --from clean-ultrachat --fresh`" in without.stderr
    assert "or replace it with --from clean-ultrachat --fresh" in without.stderr
    assert tomllib.loads((run / "recipe" / "quick.toml").read_text()) == kept
    assert "clean-ultrachat  equal" in empty.zephyr("reproduce", "exp/one").stdout
    again = ("reproduce", "exp/one", "--out", "again", "--set")
    assert "could explain it: option limit: 40, now 30" in empty.zephyr(*again, "clean.limit=30", code=1).stdout
    assert "again was begun with another recipe, other values" in empty.zephyr(*again, "clean.limit=20", code=2).stderr
    shown = re.search(r"^\$ (ZEPHYR.*)$", told.stderr, re.MULTILINE)
    assert shown is not None
    code = "import cli; cli.main()"
    typed = shown[1].replace(" zephyr ", f" {invocation.sys.executable} -c '{code}' ", 1)
    alone = subprocess.run(["sh", "-c", typed], cwd=empty.folder, capture_output=True, text=True, check=True)
    assert "nothing to do" in alone.stdout + alone.stderr, "what is shown can be typed"


def test_an_unknown_key_is_refused_before_anything_is_written(empty: Place) -> None:
    done = empty.chain("--set", "dpo.betta=0.2", code=2)
    assert "error: --set dpo.betta: [dpo] has no option 'betta'\nhint:  did you mean 'beta'?" in done.stderr
    assert not empty.run.exists()


def test_with_fewer_gpus_the_global_batch_is_held(empty: Place) -> None:
    empty.change_recipe("[dpo]", "[dpo]\ngpus = 2\nglobal_batch_size = 8")
    empty.change_recipe("[sft]", "[sft]\ngpus = 4")

    def plans(*words: str) -> dict[str, Any]:
        steps = json.loads(empty.chain("--dry-run", "--json", "--from", "sft", *words).stdout)["steps"]
        return {one["step"]: one["plan"]["plan"] for one in steps if one["step"] in ("sft", "dpo")}

    before, after = plans(), plans("--gpus", "1")
    for step, gpus in (("sft", 4), ("dpo", 2)):
        assert (before[step]["gpus"], after[step]["gpus"]) == (gpus, 1)
        assert before[step]["global_batch_size"] == after[step]["global_batch_size"] == 8
        assert after[step]["accumulation"] == gpus * before[step]["accumulation"]


@pytest.fixture
def quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> recipe.Recipe:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "quick.toml").write_text(RECIPE)
    return recipe.load("quick.toml")


def test_another_model_needs_no_student_in_the_run_and_in_its_status(quick: recipe.Recipe, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    request = RunRequest(with_given(quick, {"--model": "model", "--attention": "eager"}, ["sft.epochs=3"]))
    loaded = request.loaded()
    assert "student" not in [step.name for step in needed(loaded.options)]
    assert {loaded.options[name].attention for name in ("sft", "dpo")} == {"eager"}
    assert "student" in status(RunRequest(quick), hashed=False)[0]["steps"], "before the run is begun"
    Kept(loaded)
    assert "student" not in status(RunRequest(quick), hashed=False)[0]["steps"], "as the run keeps it"
    kept = kept_recipe.read(kept_recipe.file_of(loaded.folder, "quick"))
    assert kept["student"]["source"] == str(tmp_path / "model") and kept["sft"]["epochs"] == 3
    again = kept_recipe.load(recipe.load(str(loaded.folder / "recipe" / "quick.toml")), {})
    assert again.options["sft"] == loaded.options["sft"]
    (loaded.folder / "recipe" / "quick.toml").write_text("[sft]\nepoch = 1\n")
    assert "student" in status(RunRequest(quick), hashed=False)[0]["steps"], "what is kept cannot be read"


@pytest.mark.parametrize(
    ("mixture", "reads"),
    [
        (["clean-ultrachat=0.7", "own, rows=0.3"], True),
        (["own, rows=20"], False),
        (["clean-ultrachat", "b.jsonl"], True),
    ],
)
def test_a_mixture_is_kept_with_absolute_paths_and_read_again(
    quick: recipe.Recipe, tmp_path: Path, mixture: list[str], reads: bool
) -> None:
    (tmp_path / "own, rows").mkdir()
    loaded = RunRequest(with_given(quick, {}, [f"sft.data={text}" for text in mixture])).loaded()
    assert loaded.options["sft"].data == tuple(mixture)
    Kept(loaded)
    kept = kept_recipe.read(kept_recipe.file_of(loaded.folder, "quick"))["sft"]["data"]
    assert kept == [text.replace("own", f"{tmp_path / 'own'}") for text in mixture]
    again = kept_recipe.load(recipe.load(str(loaded.folder / "recipe" / "quick.toml")), {})
    assert again.options["sft"].data == tuple(kept)
    assert ("clean-ultrachat" in named("sft").upstream(loaded.options)) == reads, "that step's output, if it is named"


def test_what_was_typed_is_typed_again(quick: recipe.Recipe) -> None:
    given = with_given(quick, {"--model": "a b", "--gpus": 2}, ["dpo.set=x=1", "dpo.set=y=2"])
    request = RunRequest(given, sources={"binarize": ["z.jsonl"]}, out=Path("o ut"))
    assert request.command("--to", "sft") == (
        "zephyr run --recipe quick.toml --ratings z.jsonl --model 'a b' --gpus 2 --set dpo.set=x=1 --set dpo.set=y=2"
        " --out 'o ut' --to sft"
    )


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("out", "notes.txt", "holds other files and no run"),
        ("out", "manifest.json", "is a dataset of dialogues"),
        ("out", None, "is a file"),
        ("artefacts", "notes.txt", "is where runs keep what they share"),
    ],
)
def test_a_folder_of_something_else_is_not_taken_for_a_run(
    quick: recipe.Recipe, name: str, content: str | None, reason: str
) -> None:
    out = Path(name)
    if content is None:
        out.write_text("")
    else:
        out.mkdir()
        (out / content).write_text('{"kind": "dialogues"}')
    with pytest.raises(UsageError, match=f"{name} {reason}"):
        RunRequest(quick, out=out).loaded()
