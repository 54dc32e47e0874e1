"""What a worker process reads: `job.json`, resolved once, written once, read by every rank."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from zephyr_core import manifest
from zephyr_core.errors import DataError, OptionError
from zephyr_core.keys import json_key
from zephyr_core.kinds import JOB, RECORD
from zephyr_core.options import from_json
from zephyr_core.reading import parsed
from zephyr_core.records import MixedSource
from zephyr_core.shape import misfit
from zephyr_train.options import DPOOptions, SFTOptions, StepOptions

# The fields that must match those of a checkpoint or finished run; the rest (names, paths, versions) may differ.
COMPARED = (
    "step",
    "options",
    "settings",
    "model_digest",
    "tokens_digest",
    "reference_digest",
    "template_digest",
    "backend",
    "world",
    "cpu",
    "numerics",
    "layout",
)
# Options that do not identify a run. A job does not even keep the first five: inputs are identified by digest, `set`
# is in `settings`, and only the plan uses gpu_memory. The digest of the tokens covers on_faulty.
NOT_KEPT = ("model", "data", "revision", "gpu_memory", "set")
FREE = (*NOT_KEPT, "save_every", "tensorboard", "on_faulty")
AGAIN = "train it again with --fresh"


def state_of(out: Path) -> Path:
    """Return the folder for the checkpoints of a run directory; it is next to it."""
    return out.with_name(out.name + ".state")


@dataclass(frozen=True)
class Job:
    """One training run, JSON-ready; paths are absolute text."""

    step: str  # "sft" | "dpo" | "reference"
    recipe: str
    options: StepOptions  # those in NOT_KEPT have their defaults once the job is read from disk
    origins: dict[str, str]  # of the options that are kept
    settings: dict[str, object]  # more options of the trainer, from --set
    out: str
    model: str
    model_digest: str
    tokens: str
    tokens_digest: str
    template_digest: str
    reference: str | None
    reference_digest: str | None
    backend: str  # "single" | "ddp" | "deepspeed-1" …
    world: int
    cpu: bool
    numerics: str  # "fp32" | "bf16" | "bf16-autocast" | "bf16-frozen"
    micro_batch_size: int
    accumulation: int
    steps: int
    warmup_steps: int
    versions: dict[str, str]
    layout: str = ""  # of pairs: "shared" | "separate" | "padded"; empty for dialogues
    checkpoint: str | None = None  # to continue from
    mixture: list[MixedSource] = field(default_factory=list)  # what is trained on of each dataset

    def write(self, folder: Path) -> None:
        """Write the record to a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        manifest.write_json(folder / JOB, asdict(self) | {"options": self.values()})

    @classmethod
    def read(cls, folder: Path) -> "Job":
        """Return the job recorded in a folder.

        Raises:
            DataError: there is none, it is damaged, or another version of zephyr wrote it.
        """
        file = folder / JOB
        if not file.is_file() and (folder / RECORD).is_file():
            raise DataError(f"{folder} was made by an older zephyr: it has no {JOB}", AGAIN)
        try:
            content = parsed(file)
            wrong = misfit(content, cls)
            if wrong is None:
                kind = SFTOptions if content["step"] == "sft" else DPOOptions  # a reference has its dDPO run's
                wrong = misfit(content["options"], kind, "options")
            if wrong is None:
                return cls(**content | {"options": from_json(kind, content["options"])})
        except (OSError, ValueError, TypeError, OptionError) as fault:
            wrong = str(fault)
        raise DataError(f"{file} is damaged, or from another version of zephyr: {wrong}", AGAIN)

    def values(self) -> dict[str, object]:
        """Return the options that the job keeps, by name."""
        return {name: value for name, value in asdict(self.options).items() if name not in NOT_KEPT}

    @property
    def sft_options(self) -> SFTOptions:
        """Return the options of a dSFT run."""
        assert isinstance(self.options, SFTOptions), f"a job of {self.step} has no options of dSFT"
        return self.options

    @property
    def dpo_options(self) -> DPOOptions:
        """Return the options of a dDPO run, or of its reference pass."""
        assert isinstance(self.options, DPOOptions), f"a job of {self.step} has no options of dDPO"
        return self.options

    def differences(self, other: "Job") -> list[str]:
        """Return the names of the fields and options in which the other run differs."""
        mine, others = self._compared(), other._compared()
        return [name for name in {**mine, **others} if mine.get(name) != others.get(name)]

    @property
    def digest(self) -> str:
        """Return the hex sha256 of everything that identifies this run."""
        return json_key(self._compared())

    def _compared(self) -> dict[str, object]:
        content = json.loads(json.dumps(asdict(self)))  # tuples as lists, as on disk
        options = {name: value for name, value in sorted(content["options"].items()) if name not in FREE}
        drawn = sorted([part["digest"], part["rows"]] for part in self.mixture)  # the digest of the tokens covers it
        mixture = {"mixture": drawn} if drawn else {}
        return {**{name: content[name] for name in COMPARED if name != "options"}, **options, **mixture}

    @property
    def folder(self) -> Path:
        """Return the run directory."""
        return Path(self.out)

    @property
    def state(self) -> Path:
        """Return the folder for checkpoints while the run is unfinished."""
        return state_of(self.folder)
