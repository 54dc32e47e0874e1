"""Entry point of `zephyr train`: from the command line to a verified model, or to a plan."""

import shutil
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zephyr_core import manifest, paths
from zephyr_core.console import say, show
from zephyr_core.disk import clear_disk_errors
from zephyr_core.errors import DataError, PartlyDone, UsageError
from zephyr_core.folder import damage, discard, lock
from zephyr_core.kinds import JOB
from zephyr_core.metrics import measured
from zephyr_core.records import ModelManifest, ReferenceManifest
from zephyr_train.errors import ForeignRun, PreflightFailed
from zephyr_train.job import AGAIN, Job
from zephyr_train.nodes import node_rank, own_folder
from zephyr_train.planning.plan import Plan
from zephyr_train.preflight.examination import Examination, listed
from zephyr_train.preflight.examine import examine
from zephyr_train.preflight.row_checks import limits_of
from zephyr_train.preflight.step_checks import step_fault, step_note
from zephyr_train.request import TrainRequest
from zephyr_train.training.progress import following, following_pass

if TYPE_CHECKING:
    from zephyr_train.tokenizing.token_sets import TokenSet

PATIENCE = 2.0  # seconds to wait for another run, which may be about to end


def answer(step: str, parameters: dict[str, Any]) -> None:
    """Run a command: explain where a value comes from, plan, or train.

    Raises:
        ZephyrError: with what to do about it; a plan with faults is shown first.
    """
    request, as_json = TrainRequest.typed(step, parameters), parameters["as_json"]
    if parameters["machine"] and not parameters["dry_run"]:
        raise UsageError("--machine is about a plan", "give it with --dry-run")
    if parameters["explain"] is not None:
        line = request.resolved.explain(parameters["explain"])
        show({"explained": line}, line, as_json)
    elif parameters["dry_run"]:
        examination = examine(request, dry=True, with_inputs=not parameters["machine"])
        show(examination.record(), examination.text(whole_table=parameters["memory"]), as_json)
        examination.refuse()
    else:
        show(*run(request), as_json)


def answer_reference(parameters: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """Return the manifest of a dDPO run's reference log-probs, computed or found, and a one-line summary."""
    request = TrainRequest.typed("dpo", parameters)
    examination = examine(request, dry=False, writes_run=False)
    examination.refuse()
    job = _with_reference(_job(examination), examination)
    content = manifest.read_as(Path(str(job.reference)), ReferenceManifest)
    pairs = sum(content["rows"].values())
    return {"folder": job.reference, **content}, f"{job.reference}: {pairs:,} pairs"


def run(request: TrainRequest) -> tuple[ModelManifest, str]:
    """Return the manifest of the trained run and a summary for people.

    Raises:
        ZephyrError: with what to do about it.
    """
    _refuse_damaged(request, [JOB])  # what says which run it is; the rest once it is known to be this one
    examination = examine(request, dry=False)
    examination.refuse()
    with (
        clear_disk_errors(request.out, hint="give another folder with --out"),
        _output_lock(request.out, request.options.nodes),
    ):
        job = _job(examination)
        say(examination.text())
        _refuse_other(request, job)
        if manifest.is_whole(request.out) and not request.fresh:
            _refuse_damaged(request)
            shutil.rmtree(job.state, ignore_errors=True)
            return manifest.read_as(
                request.out, ModelManifest
            ), f"{request.out}: nothing to do: it is whole, from the same inputs and options"
        if job.step == "dpo":
            job = _with_reference(job, examination)
        content = _train(request, job, examination)
    return content, _closing(request.out, content)


def artefacts() -> Path:
    """Return the folder that runs share: it holds token rows and reference log-probs, named by their digests."""
    return paths.shared_directory().resolve()


def _job(examination: Examination) -> Job:
    """Return the job, with its token rows built or found; the plan is updated to cover all rows.

    Raises:
        PreflightFailed: a fault that only some rows have.
    """
    from zephyr_train.preflight.prepare import exact_plan, prepare
    from zephyr_train.tokenizing.token_sets import token_set

    assert examination.source is not None and examination.chat is not None
    tokens = token_set(examination.source, examination.chat, limits_of(examination.request.options), artefacts())
    if tokens.faults:
        raise PreflightFailed(listed(tokens.faults), "nothing was trained")
    plan = examination.plan = exact_plan(examination, tokens)
    examination.add(*filter(None, [step_fault(plan, examination.request.options)]))
    examination.refuse()
    examination.notes += [*_faulty_rows(tokens), *_odd_rows(plan), *filter(None, [step_note(plan)])]
    return prepare(examination, tokens, plan)


def _faulty_rows(tokens: "TokenSet") -> list[str]:
    """Return a note on the rows that were left out as faulty, and where they are listed."""
    from zephyr_train.tokenizing.tally import DROPPABLE, dropped_rows

    totals = {name: sum(counts.get(dropped_rows(name), 0) for counts in tokens.counts.values()) for name in DROPPABLE}
    words = ", ".join(f"{rows:,} {name}" for name, rows in totals.items() if rows)
    return [f"left out as faulty: {words}; listed in {tokens.path / 'changed.parquet'}"] if words else []


def _odd_rows(plan: Plan) -> list[str]:
    """Return a note on the last step of an epoch, if the rows do not fill it."""
    assert plan.rows.rows is not None
    rest = plan.rows.rows % plan.global_batch_size
    filled = -rest % (plan.micro_batch_size * plan.gpus) if plan.gpus > 1 and plan.step == "sft" else 0
    if not rest:
        return []
    repeats = f", filled up with {filled} seen before, so that all processes have work" if filled else ""
    return [f"the last step of each epoch has {rest} of {plan.global_batch_size} {plan.rows.unit}{repeats}"]


def _with_reference(job: Job, examination: Examination) -> Job:
    from zephyr_train.launch import run_workers
    from zephyr_train.reference import ensure_reference, has_parts, scoring_job

    need = examination.plan.reference if examination.plan and not job.cpu else None

    def start(passes: Job) -> None:
        with following_pass(passes) as follower:
            run_workers(scoring_job(passes, need.gpus if need else 1), follower, lambda: has_parts(passes.folder))

    return ensure_reference(job, artefacts(), start, is_first=node_rank(job.options.nodes) == 0)


def _refuse_damaged(request: TrainRequest, names: Iterable[str] | None = None) -> None:
    """Refuse a finished run that is not as it was written, unless `--fresh` discards it.

    Sizes and times of change are trusted. `names`: compare these files and the manifest only.

    Raises:
        DataError: naming the first damaged file.
    """
    is_finished = manifest.is_whole(request.out) and (request.out / JOB).is_file()
    what = damage(request.out, hashed=False, names=names) if is_finished and not request.fresh else None
    if what:
        raise DataError(f"{request.out} is damaged: {what}", f"{AGAIN}; `zephyr run` does so by itself")


def _refuse_other(request: TrainRequest, job: Job) -> None:
    """With `--fresh`, discard what is in the output folder; without it, refuse to continue another run's work.

    Raises:
        ForeignRun: the run in the folder, finished or not, was set up differently.
        UsageError: `--resume` was given, and there is nothing to continue.
    """
    recorded = request.out / JOB
    if request.fresh and node_rank(job.options.nodes) > 0:
        return  # the first machine discards: its workers meet those here only afterwards
    if request.fresh:
        for folder in (request.out, job.state):
            discard(folder)
    if not recorded.is_file():
        if request.resume:
            raise UsageError(f"{request.out} has no run to continue", "leave --resume out to begin one")
        return
    differs = Job.read(request.out).differences(job)
    if differs:
        raise ForeignRun(
            f"{request.out} holds a run made differently; these differ: {', '.join(differs)}",
            "give another --out, or discard it with --fresh",
        )
    if not manifest.is_whole(request.out) and node_rank(job.options.nodes) == 0:
        say(f"continuing the run in {request.out}")


def _train(request: TrainRequest, job: Job, examination: Examination) -> ModelManifest:
    from zephyr_train.launch import run_alone, run_workers
    from zephyr_train.results.finish import finish
    from zephyr_train.training.checkpoints import has_complete, latest_complete

    def continues() -> bool:
        return has_complete(job.state)

    assert examination.plan is not None
    rank = node_rank(job.options.nodes)
    if rank == 0:
        job.write(job.folder)  # first of all: it marks the folder as this run's
        manifest.write_json(job.folder / "plan.json", examination.plan.record())
        last = latest_complete(job.state, job.digest)
        job = replace(job, checkpoint=str(last) if last else None)
    with following(job) as follower:
        run_workers(job, follower, continues)
    if rank > 0:
        raise PartlyDone(f"machine {rank} has done its part; the first one finishes {request.out}")
    run_alone(job, "zephyr_train.training.probe", continues)
    return finish(job, examination.inputs(), examination.plan.record(), request.recipe)


def _output_lock(out: Path, nodes: int) -> AbstractContextManager[int]:
    """Lock the output against other runs."""
    lock_file = out.with_name(f".{own_folder(out, nodes).name}.lock")
    return lock(lock_file, busy=f"another run is writing to {out}", patience=PATIENCE)


def _closing(out: Path, content: ModelManifest) -> str:
    results = measured(content["results"])
    figures = ", ".join(f"{name} {results[name]:.4f}" for name in ("loss", "accuracy", "margin") if name in results)
    split = results.get("split", "train")
    return f"{out / 'model'}: {content['step']} done; {split} {figures}; weights whole and equal after reloading"
