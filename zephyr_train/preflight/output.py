"""The output folder: no other run's work in it, and room on its disk."""

from zephyr_core import kinds
from zephyr_core.errors import DataError
from zephyr_core.faults import Fault, OptionFault
from zephyr_train.asked import Asked
from zephyr_train.job import Job
from zephyr_train.preflight import machine
from zephyr_train.preflight.examination import Examination

ELSEWHERE = "give another folder with --out"
RUNS = ("sft-run", "dpo-run", kinds.UNFINISHED, kinds.OLD)


def examine_output(found: Examination) -> None:
    """Check the output folder for other work, and its disk for room."""
    foreign = _foreign(found.asked)
    if foreign is not None:
        found.add(foreign)
    elif found.plan is not None:
        full = machine.disk_fault(found.asked.out, found.plan.disk.total)
        found.lacking(*[full] if full else [])


def _foreign(asked: Asked) -> Fault | None:
    """Return the fault of a folder that is not this run's. `--fresh` may discard another run, but nothing else."""
    out = asked.out
    if out.is_file():
        return OptionFault("foreign-output", f"{out} is a file", ELSEWHERE)
    if not out.is_dir() or not any(out.iterdir()):
        return None
    kind = kinds.kind_of(out)
    if kind not in RUNS:
        what = "holds other files" if kind == kinds.OTHER else f"is {kinds.describe(out)}"
        return OptionFault("foreign-output", f"{out} {what}, not a training run", ELSEWHERE)
    other = None if asked.fresh else _other_run(asked)
    return OptionFault("foreign-output", other, f"{ELSEWHERE}, or discard it with --fresh") if other else None


def _other_run(asked: Asked) -> str | None:
    """Return a description of the run in the folder, if it is for another recipe or step."""
    try:
        there = Job.read(asked.out)
    except DataError as fault:
        return str(fault)
    same = (there.recipe, there.step) == (asked.recipe.name, asked.step)
    return None if same else f"{asked.out} holds a run of {there.step} with the recipe {there.recipe}"
