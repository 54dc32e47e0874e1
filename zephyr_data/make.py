"""Entry point of the steps that make a dataset: from the command line to a dataset directory."""

import os
import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypedDict, TypeGuard

from zephyr_core import folder, kinds, manifest, paths, recipe
from zephyr_core.console import progress
from zephyr_core.disk import require_space
from zephyr_core.errors import DataError, PartlyDone, UsageError
from zephyr_core.options import flag_values
from zephyr_core.recipe import Recipe, Resolved
from zephyr_core.records import DatasetManifest
from zephyr_data.engine.dry_run import Projection, project
from zephyr_data.engine.inputs import missing_parts
from zephyr_data.engine.pipeline import make
from zephyr_data.engine.step import DataStep, Options
from zephyr_data.engine.store import odd_manifest
from zephyr_data.engine.work import Work
from zephyr_data.options import StepOptions
from zephyr_data.reporting.closing import closing_table
from zephyr_data.sources.files import RawFile, SourceFiles, hub_files, is_local, is_utf8, raw_faults

WORK_SHARE = 1.6  # disk used while working, relative to the plain raw bytes: 0.9 for blocks, 0.6 for the dataset


@dataclass(frozen=True)
class DataRequest:
    """What the command line asked for."""

    recipe: Recipe
    flags: dict[str, Any]  # option → value; None where the flag was not given
    out: Path | None = None
    workers: int | None = None
    dry_run: bool = False
    overwrite: bool = False
    explain: str | None = None

    @classmethod
    def typed(cls, options: type[StepOptions], parameters: dict[str, Any]) -> "DataRequest":
        """Return the request for a command's parameters; those that name a step option are its flags."""
        names = ("recipe", "workers", "dry_run", "overwrite", "explain")
        out = Path(parameters["out"]) if parameters["out"] else None
        return cls(flags=flag_values(options, parameters), out=out, **{name: parameters[name] for name in names})


class Explained(TypedDict):
    """Where the value of an option comes from."""

    explained: str


Answer = DatasetManifest | Projection | Explained


def is_dataset(content: Answer) -> TypeGuard[DatasetManifest]:
    """Return whether a command's answer is the manifest of a dataset."""
    return "inputs" in content


def answer(step: DataStep[Options], parameters: dict[str, Any]) -> tuple[Answer, str]:
    """Return what a command with these parameters shows: a result, or where an option's value comes from.

    Raises:
        ZephyrError: with a hint on what to do.
    """
    request = DataRequest.typed(step.options, parameters)
    if request.explain is None:
        return run(step, request)
    line = resolve(step, request).explain(request.explain)
    return {"explained": line}, line


def run(step: DataStep[Options], request: DataRequest) -> tuple[DatasetManifest | Projection, str]:
    """Return the manifest (for a dry run, the projection) and a table that shows it to a person.

    Raises:
        ZephyrError: with a hint on what to do.
    """
    resolved = resolve(step, request)
    _refuse_odd_names(resolved)
    step.overruled(resolved.options)
    out = request.out or paths.run_directory(resolved.recipe, step.name)
    sources, resolved = collect(step, resolved)
    with raw_faults(sources.files):
        if request.dry_run:
            return project(step, resolved, sources, out)
        return _existing_or_new(step, resolved, sources, Work(out), request)


def _existing_or_new(
    step: DataStep[Options], resolved: Resolved[Options], sources: SourceFiles, work: Work, request: DataRequest
) -> tuple[DatasetManifest, str]:
    """Return the dataset that is there, or make it.

    Whether one is there is decided under the lock, once what a killed run left is put in order. Only if no run is at
    work or has left anything does a look suffice, so a finished dataset may be on a disk that cannot be written.
    """
    out, files = work.out, sources.files
    _refuse_foreign(out)
    if work.is_settled() and manifest.is_whole(out) and not request.overwrite:
        return _existing_dataset(step, resolved, files, out)
    with work.lock():
        work.settle()
        _refuse_foreign(out)
        if manifest.is_whole(out) and not request.overwrite:
            return _existing_dataset(step, resolved, files, out)
        require_space(out, _needed_bytes(files), "give a folder on another disk with --out")
        with progress(sum(file.path.stat().st_size for file in files), unit="bytes") as reporter:
            content = make(step, resolved, sources, work, _workers(request, files), reporter)
    return content, "\n".join([closing_table(content, step.reports, out), *step.reports.cautions(resolved.options)])


def refuse_cut_inputs(content: Answer) -> None:
    """Raise if an input of a written dataset was not read to its end.

    Raises:
        PartlyDone: naming each such input and what is missing.
    """
    missing = missing_parts(content["inputs"]) if is_dataset(content) else []
    if missing:
        listed = "\n  ".join(missing)
        raise PartlyDone(
            f"the dataset is written, but lacks the rest of:\n  {listed}",
            "fetch these files again and run with --overwrite",
        )


def resolve(step: DataStep[Options], request: DataRequest) -> Resolved[Options]:
    """Return the step's options with their origins."""
    return step.implied(recipe.resolve(step.name, step.options, request.recipe, request.flags))


def collect(step: DataStep[Options], resolved: Resolved[Options]) -> tuple[SourceFiles, Resolved[Options]]:
    """Return what is behind all sources; a Hub source is fetched, and its commit replaces the revision."""
    sources = SourceFiles()
    for source in resolved.options.sources:
        if is_local(source):
            sources += step.reading.files(source)
        else:
            of_hub, commit = hub_files(source, resolved.options.revision)
            sources += of_hub
            origins = {**resolved.origins, "revision": f"{resolved.origins['revision']}, resolved on the Hub"}
            resolved = replace(resolved, options=replace(resolved.options, revision=commit), origins=origins)
    sources.files = [replace(file, is_whole=step.reading.is_whole(file)) for file in sources.files]
    names = [(file.source, file.name) for file in sources.files]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise UsageError(f"{twice[1]} of {twice[0]} is named twice", "give each source once")
    return sources, resolved


def _existing_dataset(
    step: DataStep[Options], resolved: Resolved[Options], files: list[RawFile], out: Path
) -> tuple[DatasetManifest, str]:
    """Return the existing dataset if it was made from the same inputs with the same options.

    Raises:
        UsageError: it is a different dataset.
        DataError: it is damaged.
    """
    content = manifest.read_as(out, DatasetManifest)
    recorded, current = content["options"]["values"], resolved.record()["values"]
    differs = [name for name in current if _plain(current[name]) != _plain(recorded.get(name))]
    digests = {(entry["source"], entry["file"]): entry["sha256"] for entry in content["inputs"]}
    now = {(file.source, file.name): manifest.file_digest(file.path) for file in files}
    differs += [] if digests == now else ["the inputs"]
    differs += [] if content["rules"] == step.digests(resolved.options) else ["the rule files"]
    if differs:
        raise UsageError(
            f"{out} holds a dataset made differently; these differ: {', '.join(differs)}",
            "give another --out, or replace it with --overwrite",
        )
    fault = folder.damage(out, hashed=False)
    if fault:
        again = f"`zephyr data {step.name} … --out {shlex.quote(str(out))} --overwrite` makes it again"
        raise DataError(f"{out} is damaged: {fault}", again)
    with odd_manifest(out):
        table = closing_table(content, step.reports, out)
    return content, f"{table}\nnothing to do: it was already whole, from the same inputs and options"


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def _refuse_odd_names(resolved: Resolved[Options]) -> None:
    """Raise if a name given for a file cannot be recorded."""
    for option, setting in vars(resolved.options).items():
        if option == "sources":
            continue
        for text in setting if isinstance(setting, tuple) else (setting,):
            if isinstance(text, str) and not is_utf8(text):
                raise UsageError(f"{option} holds {text!r}, which is not UTF-8", "rename the file")


def _refuse_foreign(out: Path) -> None:
    kinds.refuse(out, kinds.DATASET)
    outer = next((parent for parent in out.absolute().parents if manifest.is_whole(parent)), None)
    if outer is not None:
        raise UsageError(f"{out} is inside the dataset {outer}", "give a folder outside of it with --out")
    if out.is_dir() and any(out.iterdir()) and not manifest.is_whole(out):
        raise UsageError(f"{out} holds other files and no dataset", "give an empty or new folder with --out")
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file", "give a folder with --out")


def _needed_bytes(files: list[RawFile]) -> float:
    ratio = {
        "plain": 1.0,
        "array": 1.0,
        "gzip": 3.0,
        "zstd": 3.0,
        "parquet": 2.0,
        "rated": 4.0,
    }  # plain bytes per stored byte, roughly
    return WORK_SHARE * sum(ratio[file.kind] * file.path.stat().st_size for file in files)


def _workers(request: DataRequest, files: list[RawFile]) -> int:
    if request.workers is not None:
        if request.workers < 1:
            raise UsageError(f"--workers is {request.workers}: it must be at least 1")
        return request.workers
    small = sum(file.path.stat().st_size for file in files) < 64 * 2**20  # not worth starting processes
    return 1 if small else os.cpu_count() or 1
