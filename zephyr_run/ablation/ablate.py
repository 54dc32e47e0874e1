"""`zephyr ablate`: the arms of Table 3 and the epochs of Figure 3, trained and measured by zephyr's own commands."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from zephyr_core import manifest, paths, process
from zephyr_core.console import say
from zephyr_core.errors import UsageError
from zephyr_core.folder import damage
from zephyr_core.kinds import ABLATIONS, JOB
from zephyr_core.reading import json_file
from zephyr_core.recipe import Recipe
from zephyr_core.records import JobRecord, ModelManifest
from zephyr_core.shape import fitting
from zephyr_run import invocation, outputs
from zephyr_run.ablation import page, summary
from zephyr_run.ablation.arms import Place, aligning, measuring, tuning
from zephyr_run.errors import DamagedInput, StepFailed
from zephyr_run.invocation import of_the_run
from zephyr_run.record import refuse_foreign, run_lock
from zephyr_run.steps import of_kind


@dataclass(frozen=True)
class Commands:
    """Runs zephyr's own commands, which share the run's lock."""

    lock: int | None = None
    environment: Mapping[str, str] | None = None

    def run(self, words: list[str], *, keep: bool = False) -> str:
        """Run a command as a user would type it; return what it printed if `keep` is set.

        Raises:
            StepFailed: it failed; its own message is on stderr.
        """
        typed = invocation.typed(["zephyr", *words])
        say(f"$ {typed}")
        ended = process.start(
            invocation.argv(["zephyr", *words]),
            catch=("out",) if keep else (),
            lock=self.lock,
            environment=self.environment,
        )
        if ended.code != 0:
            message = f"`{typed}` ended with {ended.code}"
            raise StepFailed(message, "fix what its message names; the same command then continues", ended.code)
        return ended.out


def ablate(recipe: Recipe, seeds: Sequence[int], out: Path | None = None) -> Path:
    """Run the ablations and return their page; finished work with the same inputs is not repeated.

    Args:
        recipe: with the values that the command line gave.
        seeds: of the arms.
        out: the run's folder, instead of the one that its recipe gets.

    Raises:
        UsageError: that folder holds something else.
        StepFailed: a command failed, with its exit code.
        DamagedInput: an arm, or what it was built from, does not match its manifest.
        RunInProgress: another command is running in the recipe's run directory.
    """
    if out is not None:
        refuse_foreign(out)
    run_directory = out or paths.run_directory(recipe.name)
    folder = run_directory / "ablations"
    places = [Place(recipe.typed, seed, folder / f"seed-{seed}", run_directory / "binarize") for seed in seeds]
    with run_lock(run_directory) as lock:
        commands = Commands(lock, invocation.with_recipe(recipe, folder, out))
        for step in of_kind("dataset"):
            commands.run([*step.command, "--recipe", recipe.typed])
            _require_sound(
                run_directory / step.name, f"`{of_the_run(recipe, {}, out, '--from', step.name)}` rebuilds it"
            )
        for place in places:
            train(place, commands)
        content = summary.summary(recipe.name, places)
        manifest.write_json(folder / ABLATIONS, content)
        return page.write(folder, content)


def numbers(text: str) -> list[int]:
    """Return the seeds of a list such as "42,43".

    Raises:
        UsageError: it is not such a list.
    """
    try:
        return list(dict.fromkeys(int(part) for part in text.split(",")))
    except ValueError:
        raise UsageError(f"--seeds {text}: expected whole numbers separated by commas") from None


def train(place: Place, commands: Commands) -> None:
    """Train and measure the arms of a seed; finished work with the same inputs is not repeated.

    Raises:
        StepFailed: a command failed.
        DamagedInput: the weights of an arm have changed since they were trained.
    """
    commands.run(tuning(place))
    base = _base(place.of("dsft-1"))
    for words in aligning(place, base):
        commands.run(words)
    for arm in _trained(place):
        _require_sound(arm, "remove that folder; the same command trains it again")
    made_of = _weights(place)
    for file, words in measuring(place, base):
        if json_file(file).get("made_of") == made_of:
            continue
        manifest.write_json(file, {"made_of": made_of, **json.loads(commands.run(words, keep=True))})


def _base(tuned: Path) -> str:
    """Return the model that dSFT-1 began with."""
    model = fitting(json_file(tuned / JOB), JobRecord).get("model")
    if model is None:
        raise DamagedInput(f"{tuned / JOB} names no model", f"remove {tuned}; the same command trains it again")
    return model


def _require_sound(folder: Path, hint: str) -> None:
    what = damage(folder)
    if what:
        raise DamagedInput(f"{folder} is damaged: {what}", hint)


def _trained(place: Place) -> list[Path]:
    """Return the run directories of a seed that are whole."""
    return sorted(path.parent for path in place.folder.glob("*/manifest.json"))


def _weights(place: Place) -> dict[str, str]:
    """Return the digest of each arm's weights, by its manifest."""
    weights = {run.name: outputs.weights(manifest.read_as(run, ModelManifest)) for run in _trained(place)}
    return {f"{arm}/{file}": digest for arm, files in weights.items() for file, digest in files.items()}
