"""The output folder: no other run's work in it, and room on its disk."""

from pathlib import Path

from zephyr_core import kinds, manifest
from zephyr_core.errors import DataError
from zephyr_core.faults import Fault, OptionFault
from zephyr_train.job import Job, state_of
from zephyr_train.nodes import node_rank
from zephyr_train.preflight import machine
from zephyr_train.preflight.examination import Examination
from zephyr_train.request import TrainRequest

ELSEWHERE = "give another folder with --out"
RUNS = ("sft-run", "dpo-run", kinds.UNFINISHED, kinds.OLD)


def examine_output(examination: Examination) -> None:
    """Check the output folder for other work, and its disk for room; of several machines, the first one does."""
    if node_rank(examination.request.options.nodes) > 0:
        return
    foreign = _foreign(examination.request)
    if foreign is not None:
        examination.add(foreign)
    else:
        examine_disk(examination)


def examine_disk(examination: Examination) -> None:
    """Check the disk of the output folder for the room that the run still needs: what it wrote before counts."""
    request, plan = examination.request, examination.plan
    is_finished = manifest.is_whole(request.out) and not request.fresh
    if plan is None or plan.disk is None or is_finished:
        return
    full = machine.disk_fault(request.out, max(0, plan.disk.total - _held(request.out) - _held(state_of(request.out))))
    examination.lacking(*[full] if full else [])


def _held(folder: Path) -> int:
    """Return the bytes of a folder's files; 0 if there is no folder."""
    return sum(file.lstat().st_size for file in folder.rglob("*") if file.is_file())


def _foreign(request: TrainRequest) -> Fault | None:
    """Return the fault of a folder that is not this run's. `--fresh` may discard another run, but nothing else."""
    out = request.out
    if out.is_file():
        return OptionFault("foreign-output", f"{out} is a file", ELSEWHERE)
    if not out.is_dir() or not any(out.iterdir()):
        return None
    kind = kinds.kind_of(out)
    if kind not in RUNS:
        what = "holds other files" if kind == kinds.OTHER else f"is {kinds.describe(out)}"
        return OptionFault("foreign-output", f"{out} {what}, not a training run", ELSEWHERE)
    other = None if request.fresh else _other_run(request)
    return OptionFault("foreign-output", other, f"{ELSEWHERE}, or discard it with --fresh") if other else None


def _other_run(request: TrainRequest) -> str | None:
    """Return a description of the run in the folder, if it is for another recipe or step."""
    try:
        there = Job.read(request.out)
    except DataError as fault:
        return str(fault)
    same = (there.recipe, there.step) == (request.recipe.name, request.step)
    return None if same else f"{request.out} holds a run of {there.step} with the recipe {there.recipe}"
