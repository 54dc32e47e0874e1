"""Find what is damaged or to be rebuilt before a step's command runs, and clear it away."""

from pathlib import Path

from zephyr_core import kinds, manifest
from zephyr_core.console import say
from zephyr_core.errors import UsageError
from zephyr_core.folder import damage, discard
from zephyr_core.steps import Step
from zephyr_run import outputs
from zephyr_run.outputs import StepOutput
from zephyr_run.record import Record


def prepare(step: Step, output: StepOutput, record: Record, *, rebuild: bool) -> list[str]:
    """Return the flags that make the step's command replace an output that is damaged or to be rebuilt.

    What the command would not recognise as its own work, or cannot replace, is removed.

    Raises:
        UsageError: a file is in the output's place.
    """
    if output.folder is not None and output.folder.exists() and not output.folder.is_dir():
        raise UsageError(f"{output.folder} is a file where {step.name} puts its folder", "move it away")
    for folder in outputs.shared(step, record.folder):
        if _reported(folder, damage(folder)):
            discard(folder)
    is_damaged = output.folder is not None and _reported(output.folder, _damage(step, output, record))
    if not (is_damaged or rebuild) or output.folder is None:
        return []
    if step.replaces is None or not _is_recognised(step, output.folder):
        output.remove()
        return []
    return [step.replaces]


def _reported(folder: Path, what: str | None) -> bool:
    """Report what is damaged in a folder; return whether something is."""
    if what:
        say(f"{folder} is damaged: {what}; it will be rebuilt")
    return what is not None


def _damage(step: Step, output: StepOutput, record: Record) -> str | None:
    """Return what is damaged; what gets its name only once whole is damaged if it has no manifest."""
    if output.folder is None or not output.folder.is_dir():
        return None
    if output.is_whole:
        return damage(output.folder)
    was_finished = step.kind != "model" and "manifest" in record.entry(step.name)
    return f"{manifest.NAME} is missing" if was_finished else None


def _is_recognised(step: Step, folder: Path) -> bool:
    """Return whether the step's command recognises the folder as its own work, which its flag may replace."""
    mark = kinds.JOB if step.kind == "model" else manifest.NAME
    return not folder.exists() or (folder / mark).is_file()
