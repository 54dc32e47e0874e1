"""What a step left on disk: its place, and the digests that identify it."""

from dataclasses import dataclass
from pathlib import Path

from zephyr_core import manifest, paths
from zephyr_core.folder import discard
from zephyr_core.keys import json_key
from zephyr_core.kinds import JOB
from zephyr_core.reading import json_file
from zephyr_core.records import AnyManifest, DatasetManifest, JobRecord, StepEntry
from zephyr_core.shape import fitting
from zephyr_core.steps import Step

SAMPLES = "samples.jsonl"  # next to the steps: the models' answers to held-out prompts


@dataclass(frozen=True)
class StepOutput:
    """The folder of a step; None for an artefact that is not named yet."""

    step: Step
    folder: Path | None

    @property
    def is_whole(self) -> bool:
        """Return whether it was finished."""
        return self.folder is not None and manifest.is_whole(self.folder)

    def manifest(self) -> AnyManifest | None:
        """Return its manifest; None if there is no readable one."""
        return None if self.folder is None else manifest.find(self.folder)

    def dataset(self) -> DatasetManifest | None:
        """Return its manifest if it is that of a dataset."""
        return manifest.as_dataset(self.manifest())

    def job(self) -> JobRecord:
        """Return the job of a training run, as far as it can be read."""
        return fitting({} if self.folder is None else json_file(self.folder / JOB), JobRecord)

    def manifest_digest(self) -> str | None:
        """Return the hex sha256 of the manifest's bytes, which changes each time the output is made."""
        return manifest.file_digest(self.folder / manifest.NAME) if self.folder and self.is_whole else None

    def written(self) -> tuple[int, int] | None:
        """Return the manifest's inode and time, which show whether a command has written the output again."""
        if self.folder is None or not self.is_whole:
            return None
        status = (self.folder / manifest.NAME).stat()
        return status.st_ino, status.st_mtime_ns

    def content(self) -> str | None:
        """Return the hex sha256 of what later steps read of it: equal for equal results."""
        parts = content_parts(self.manifest())
        return json_key(parts) if parts else None

    def mark(self) -> str | None:
        """Return the hex sha256 of the file that identifies the run owning this folder, finished or not, or None."""
        for name in (JOB, manifest.NAME):
            if self.folder is not None and (self.folder / name).is_file():
                return manifest.file_digest(self.folder / name)
        return None

    def remove(self) -> None:
        """Remove the folder."""
        if self.folder is not None:
            discard(self.folder)


def content_parts(content: AnyManifest | None) -> dict[str, str]:
    """Return the digests that identify an output, by its manifest: split or file → digest."""
    if content is None or content["kind"] == "tokens":
        return {}
    if content["kind"] == "student":
        return {name: entry["sha256"] for name, entry in content["files"].items()}
    if content["kind"] == "model":
        return {name: entry["sha256"] for name, entry in content["files"].items() if _is_model_file(name)}
    if content["kind"] == "reference":
        return {"digest": content["digest"]}
    return {name: entry["rows_digest"] for name, entry in content["splits"].items()}


def weights(content: AnyManifest | None) -> dict[str, str]:
    """Return the sha256 of each weight file of a trained run, by its manifest."""
    return {name: digest for name, digest in content_parts(content).items() if name.endswith(".safetensors")}


def find(step: Step, run_directory: Path, record: StepEntry) -> StepOutput:
    """Return a step's output; an artefact is where the record says, else where the job of a later step says."""
    if step.folder is not None:
        return StepOutput(step, run_directory / step.folder)
    for name in (record.get("artefact"), _named_by(run_directory, *step.named_by)):
        if name and paths.is_name(name) and manifest.is_whole(artefacts(run_directory) / name):
            return StepOutput(step, artefacts(run_directory) / name)
    return StepOutput(step, None)


def artefacts(run_directory: Path) -> Path:
    """Return the folder that runs share, next to them."""
    return run_directory.parent / paths.SHARED


def shared(step: Step, run_directory: Path) -> list[Path]:
    """Return the finished folders among the artefacts that a step's command may look up."""
    names = (place for pattern in step.shared for place in sorted(artefacts(run_directory).glob(pattern)))
    return [place for place in names if not place.suffix and manifest.is_whole(place)]


def _named_by(run_directory: Path, step: str, key: str) -> str:
    """Return the name of an artefact that the job of a training step names."""
    return Path(str(json_file(run_directory / step / JOB).get(key) or "")).name


def _is_model_file(name: str) -> bool:
    return name.startswith("model/") and name != "model/README.md"
