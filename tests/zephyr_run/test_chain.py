"""What the chain decides, with commands that only write manifests: made anew by our own doing, or the user's to decide."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests import manifests
from zephyr_core import manifest, process
from zephyr_core.errors import UsageError
from zephyr_core.process import Ended
from zephyr_core.recipe import Recipe, Resolved
from zephyr_run import invocation, steps
from zephyr_run.chain import DONE, REBUILT, SKIPPED, Chain
from zephyr_run.errors import StepFailed
from zephyr_run.kept_recipe import Loaded
from zephyr_run.record import Record
from zephyr_run.run import RunRequest
from zephyr_train.options import DPOOptions, StudentOptions


@dataclass
class Commands:
    """Stands for the steps' commands: each is made of the content of those before it, and of its options."""

    run: Path
    options: dict[str, str] = field(default_factory=dict)  # step → what the user may change
    told: list[list[str]] = field(default_factory=list)
    fails: dict[str, int] = field(default_factory=dict)  # step → exit code
    killed_in: str | None = None
    recipe: dict[str, Any] = field(default_factory=lambda: {name: kind() for name, kind in steps.SECTIONS.items()})

    def start(self, argv: Sequence[str], **_: Any) -> Ended:
        words = ["zephyr", *argv[len(invocation.argv([])) :]]
        self.told.append(words)
        name = words[2]
        if name in self.fails:
            return Ended(self.fails[name])
        if name == "reference":
            return Ended(0, f'{{"folder": "{self._artefact()}", "rows": {{"train": 1}}}}')
        step, folder = steps.named(name), self.run / name
        made_of = self.options.get(name, "") + "".join(
            (self.run / up / "made-of").read_text() for up in step.reads if (self.run / up).is_dir()
        )
        anew = step.replaces in words
        if manifest.is_whole(folder) and not anew:
            lies = folder / "made-of"  # a command does not look for each file of a whole output
            return Ended(0 if not lies.exists() or lies.read_text() == made_of else 2)
        if self.killed_in == name:
            raise KeyboardInterrupt
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "made-of").write_text(made_of)
        (folder / "manifest.json").unlink(missing_ok=True)
        if step.kind == "dataset":
            manifests.write(folder, "pairs", splits={step.splits[0]: {"rows": 1, "rows_digest": made_of}})
        elif step.kind == "artefact":
            manifests.write(folder, "student")
        else:
            (folder / "job.json").write_text(made_of)
            (folder / "model").mkdir(exist_ok=True)
            (folder / "model" / "model.safetensors").write_text(made_of)
            manifests.write(folder, "model")
        return Ended(0)

    def _artefact(self) -> Path:
        folder = self.run.parent / "artefacts" / "reference-0"
        if not manifest.is_whole(folder):
            folder.mkdir(parents=True, exist_ok=True)
            manifests.write(folder, "reference", digest="0")
        return folder

    def words(self, name: str) -> list[list[str]]:
        return [words for words in self.told if words[2] == name]


Go = Callable[..., dict[str, str]]


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Commands:
    made = Commands(tmp_path / "runs" / "quick")
    monkeypatch.setattr(process, "start", made.start)
    made.run.mkdir(parents=True)
    made.recipe["student"] = StudentOptions(source="new")
    return made


@pytest.fixture
def go(commands: Commands) -> Go:
    def run(*names: str, rebuild: str = "") -> dict[str, str]:
        commands.told.clear()
        chosen = [steps.named(name) for name in names] or list(steps.needed(commands.recipe))
        values = {name: Resolved(value, {}, name, "quick") for name, value in commands.recipe.items()}
        loaded = Loaded(Recipe("quick", "quick", ()), values, commands.run)
        request = RunRequest(loaded.recipe)
        chain = Chain(chosen, loaded, Record.read(commands.run, "quick"), {}, request.command, 0, {})
        return {step.name: chain.carry_out(step, rebuild=step.name == rebuild) for step in chosen}

    return run


def test_done_then_skipped(go: Go) -> None:
    assert set(go().values()) == {DONE}
    assert set(go().values()) == {SKIPPED}


def test_what_came_out_otherwise_is_followed_by_what_hangs_on_it(go: Go, commands: Commands) -> None:
    go()
    commands.options["binarize"] = "other"
    outcomes = go(rebuild="binarize")
    assert outcomes["sft"] == SKIPPED and outcomes["dpo"] == REBUILT
    assert [("--fresh" in words) for words in commands.words("dpo")] == [False, True]
    assert set(go().values()) == {SKIPPED}


def test_it_follows_in_a_later_run_too(go: Go, commands: Commands) -> None:
    go()
    commands.options["clean-ultrachat"] = "other"
    go("clean-ultrachat", rebuild="clean-ultrachat")
    assert go() == {
        "clean-ultrachat": SKIPPED, "binarize": SKIPPED, "student": REBUILT, "sft": REBUILT, "reference": SKIPPED,
        "dpo": REBUILT,
    }  # fmt: skip


def test_the_users_options_are_never_overwritten(go: Go, commands: Commands) -> None:
    go()
    weights = (commands.run / "sft" / "model" / "model.safetensors").read_bytes()
    commands.options["sft"] = "other"
    with pytest.raises(StepFailed, match="sft ended with exit code 2; not run: reference, dpo") as failed:
        go()
    assert failed.value.exit_code == 2 and failed.value.hint
    assert "--from sft --fresh" in failed.value.hint
    assert len(commands.words("sft")) == 1
    assert (commands.run / "sft" / "model" / "model.safetensors").read_bytes() == weights


def test_without_a_record_nothing_is_ours(go: Go, commands: Commands) -> None:
    go()
    (commands.run / "run.json").unlink()
    commands.options["binarize"] = "other"
    with pytest.raises(StepFailed, match="binarize ended with exit code 2"):
        go()


def test_killed_while_it_was_made_anew_it_is_made_anew_again(go: Go, commands: Commands) -> None:
    go()
    commands.options["binarize"] = "other"
    commands.killed_in = "dpo"
    with pytest.raises(KeyboardInterrupt):
        go(rebuild="binarize")
    commands.killed_in = None
    assert Record.read(commands.run, "quick").entry("dpo")["state"] == "running"
    assert go()["dpo"] == REBUILT
    assert "discards" not in Record.read(commands.run, "quick").entry("dpo")


def test_killed_between_two_steps_the_next_one_is_still_stale(go: Go, commands: Commands) -> None:
    go()
    commands.options["binarize"] = "other"
    commands.start(
        invocation.argv(["zephyr", "data", "binarize", "--overwrite"])
    )  # whole, and nobody was left to put it on record
    assert go("dpo")["dpo"] == REBUILT


def test_a_failing_command_ends_the_run_with_its_code(go: Go, commands: Commands) -> None:
    commands.fails["binarize"] = 3
    with pytest.raises(StepFailed) as failed:
        go()
    assert failed.value.exit_code == 3
    assert [words[2] for words in commands.told] == ["clean-ultrachat", "binarize"]
    record = Record.read(commands.run, "quick")
    assert record.entry("binarize")["exit_code"] == 3 and record.entry("binarize")["state"] == "failed"
    del commands.fails["binarize"]
    assert go()["binarize"] == DONE
    assert "exit_code" not in Record.read(commands.run, "quick").entry("binarize")


def test_what_is_damaged_and_made_by_other_options_is_the_users_to_decide(go: Go, commands: Commands) -> None:
    go()
    commands.options["binarize"] = "other"
    file = commands.run / "binarize" / "made-of"
    file.write_text("damaged")
    with pytest.raises(StepFailed, match="binarize ended with exit code 2"):
        go()
    assert file.read_text() == "damaged" and commands.words("binarize") == [commands.told[-1]]
    del commands.options["binarize"]
    file.unlink()
    assert go()["binarize"] == REBUILT
    assert [("--overwrite" in words) for words in commands.words("binarize")] == [False, True]


def test_what_failed_before_it_replaced_anything_overwrites_nothing_later(go: Go, commands: Commands) -> None:
    go()
    record = Record.read(commands.run, "quick").entry("sft")
    commands.fails["sft"] = 2
    with pytest.raises(StepFailed):
        go(rebuild="sft")
    found = Record.read(commands.run, "quick").entry("sft")
    assert "discards" not in found and found["made_of"] == record["made_of"]
    del commands.fails["sft"]
    commands.options["sft"] = "other"
    with pytest.raises(StepFailed):
        go()
    assert not any("--fresh" in words for words in commands.words("sft"))


def test_hints_name_the_same_place_and_the_same_sources(
    go: Go, commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZEPHYR_RUNS", "else where")
    sources, more = {"binarize": ["x.jsonl", "y z.jsonl"]}, ("--from", "binarize", "--fresh")
    typed = invocation.of_the_run(Recipe("a b", "a b.toml", ()), sources, None, *more)
    assert typed == (
        "ZEPHYR_RUNS='else where' zephyr run --recipe 'a b.toml'"
        " --ratings x.jsonl --ratings 'y z.jsonl' --from binarize --fresh"
    )


def test_a_file_in_the_place_of_a_folder_stays(go: Go, commands: Commands) -> None:
    (commands.run / "binarize").write_text("mine")
    with pytest.raises(UsageError, match="is a file where binarize puts its folder"):
        go(rebuild="binarize")
    assert (commands.run / "binarize").read_text() == "mine"


@pytest.mark.parametrize("name", ["binarize", "sft"])
def test_through_a_link_to_a_larger_disk(go: Go, commands: Commands, tmp_path: Path, name: str) -> None:
    go()
    folder, large = commands.run / name, tmp_path / "large"
    folder.rename(large)
    folder.symlink_to(large)
    (large / "job.json").unlink(missing_ok=True)
    (large / "manifest.json").unlink()
    assert go()[name] == DONE
    assert folder.is_symlink() and manifest.is_whole(large)


def test_a_student_of_other_dialogues_is_rebuilt(go: Go, commands: Commands) -> None:
    go()
    assert go(rebuild="clean-ultrachat")["student"] == SKIPPED, "the same dialogues came out"
    commands.options["clean-ultrachat"] = "other"
    assert go(rebuild="clean-ultrachat")["student"] == REBUILT
    assert commands.words("student")[-1][-1] == "--fresh"


def test_a_recipe_that_begins_with_a_model_has_no_student(go: Go, commands: Commands) -> None:
    commands.recipe["student"] = StudentOptions(source="owner/model")
    assert list(go()) == ["clean-ultrachat", "binarize", "sft", "reference", "dpo"]
    assert steps.named("sft").upstream(commands.recipe) == ["clean-ultrachat", "student"]
    with pytest.raises(UsageError, match="this recipe has no step student") as refused:
        steps.between(commands.recipe, "student", None)
    assert refused.value.hint == "its steps are clean-ultrachat, binarize, sft, reference, dpo"


@pytest.mark.parametrize("lost", ["manifest.json", "made-of"])
@pytest.mark.parametrize("name", ["binarize", "sft"])
def test_a_lost_file_is_noticed(go: Go, commands: Commands, name: str, lost: str) -> None:
    go()
    (commands.run / name / lost).unlink()
    outcomes = go()
    assert outcomes[name] != SKIPPED
    assert {step for step, how in outcomes.items() if how != SKIPPED} == {name}, "the same came out"


def test_a_damaged_manifest_is_noticed(go: Go, commands: Commands) -> None:
    go()
    for name in ("binarize", "sft"):
        (commands.run / name / "manifest.json").write_text("{")
    outcomes = go()
    assert {step for step, how in outcomes.items() if how != SKIPPED} == {"binarize", "sft"}


def test_a_step_that_a_recipe_feeds_otherwise_hangs_on_nothing_before() -> None:
    options = {name: kind() for name, kind in steps.SECTIONS.items()}
    assert steps.named("dpo").upstream(options) == ["binarize", "sft"]
    options["dpo"] = DPOOptions(model="elsewhere")
    assert steps.named("dpo").upstream(options) == ["binarize"]
