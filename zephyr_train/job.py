"""What a worker process is told: `run.json`, resolved once, written once, read by every rank."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from zephyr_core import manifest
from zephyr_core.keys import canonical_json, text_key

NAME = "run.json"
# What a checkpoint or a finished run is compared by; the rest (names, places, versions) may differ.
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
FREE = ("save_every", "tensorboard")  # options that change nothing in the weights or the metrics


@dataclass(frozen=True)
class Job:
    """One training run, JSON-ready; paths are absolute text."""

    step: str  # "sft" | "dpo" | "reference"
    recipe: str
    options: dict[str, Any]  # what training hangs on
    origins: dict[str, str]
    settings: dict[str, Any]  # further options of the trainer, by --set
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
    numerics: str  # "fp32" | "bf16" | "bf16-autocast"
    micro_batch_size: int
    accumulation: int
    steps: int
    warmup_steps: int
    versions: dict[str, str]
    layout: str = ""  # of pairs: "shared" | "separate" | "padded"; of dialogues none
    checkpoint: str | None = None  # to continue from

    def write(self, folder: Path) -> None:
        """Write the record into a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        manifest.write_text_whole(folder / NAME, json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n")

    @classmethod
    def read(cls, folder: Path) -> "Job":
        """Return the record of a folder."""
        return cls(**json.loads((folder / NAME).read_text(encoding="utf-8")))

    def differences(self, other: "Job") -> list[str]:
        """Return the names of what makes the other one another run."""
        mine, others = self._compared(), other._compared()
        return [name for name in {**mine, **others} if mine.get(name) != others.get(name)]

    @property
    def digest(self) -> str:
        """Return the hex sha256 of what makes this run what it is."""
        return text_key(canonical_json(self._compared()).decode())

    def _compared(self) -> dict[str, Any]:
        content = json.loads(json.dumps(asdict(self)))
        options = {name: value for name, value in sorted(content["options"].items()) if name not in FREE}
        return {**{name: content[name] for name in COMPARED if name != "options"}, **options}

    @property
    def folder(self) -> Path:
        """Return the run directory."""
        return Path(self.out)

    @property
    def state(self) -> Path:
        """Return where checkpoints lie while the run is unfinished: beside it."""
        return self.folder.with_name(self.folder.name + ".state")
