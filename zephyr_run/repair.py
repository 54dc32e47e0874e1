"""Find what is damaged or to be rebuilt before a step's command runs, and clear it away."""

from pathlib import Path

from zephyr_core import kinds, manifest
from zephyr_core.console import say
from zephyr_core.errors import UsageError
from zephyr_core.folder import damage, discard
from zephyr_core.steps import Step
from zephyr_run import outputs
from zephyr_run.outputs import Output
from zephyr_run.record import Record


def prepare(step: Step, output: Output, record: Record, *, anew: bool) -> list[str]:
    """Return the flags that make the step's command replace an output that is damaged or to be rebuilt.

    What the command would not recognise as its own work, or cannot replace, is removed.

    Raises:
        UsageError: a file is in the output's place.
    """
    if output.folder is not None and output.folder.exists() and not output.folder.is_dir():
        raise UsageError(f"{output.folder} is a file where {step.name} puts its folder", "move it away")
    _beside(step, record.folder, anew=anew)
    what = _damage(step, output, record)
    if what:
        say(f"{output.folder} is damaged: {what}; it will be rebuilt")
    if not (what or anew) or output.folder is None:
        return []
    if step.again is None or not _is_known(step, output.folder):
        output.remove()
        return []
    return [step.again]


def forget_student(run_directory: Path) -> None:
    """Remove a student whose tokenizer was learned from dialogues other than the current ones."""
    student = run_directory / outputs.STUDENT
    if manifest.is_whole(student):
        say(f"{student} was built from other dialogues: it will be rebuilt")
        discard(student)


def _damage(step: Step, output: Output, record: Record) -> str | None:
    """Return what is damaged; a dataset gets its name only once whole, so one without a manifest is damaged."""
    if output.folder is None or not output.folder.is_dir():
        return None
    if output.is_whole:
        return damage(output.folder)
    finished_once = step.is_data and "manifest" in record.entry(step.name)
    return f"{manifest.NAME} is missing" if finished_once else None


def _is_known(step: Step, folder: Path) -> bool:
    """Return whether the step's command recognises the folder as its own work, which its flag may replace."""
    return not folder.exists() or (folder / (manifest.NAME if step.is_data else kinds.JOB)).is_file()


def _beside(step: Step, run_directory: Path, *, anew: bool) -> None:
    """Remove the student or reference log-probs that a step needs, if damaged or to be rebuilt."""
    places = {"sft": [run_directory / outputs.STUDENT], "dpo": outputs.references(run_directory)}.get(step.section, [])
    for folder in filter(manifest.is_whole, places):
        what = damage(folder)
        if what:
            say(f"{folder} is damaged: {what}; it will be rebuilt")
        if what or (anew and step.section == "sft"):
            discard(folder)
