"""The four arms of the paper's Table 3, as commands."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Arm:
    """One way to a model, with the paper's figures for it (7 B parameters, another scale)."""

    name: str
    title: str
    what: str
    mt_bench: float  # paper, Table 3; 1..10
    alpaca_eval: float  # paper, Table 3; percent of wins


ARMS = (
    Arm("ddpo-alone", "dDPO − dSFT", "dDPO on the model as it was before dSFT", 4.76, 30.76),
    Arm("dsft-1", "dSFT-1", "dSFT on the dialogues", 6.64, 85.65),
    Arm("dsft-2", "dSFT-2", "dSFT-1, then one epoch of dSFT on the chosen answers", 6.19, 78.54),
    Arm("ddpo", "dDPO + dSFT", "dSFT-1, then dDPO", 7.00, 86.07),
)


@dataclass(frozen=True)
class Place:
    """Where the runs of one seed are, and what they are built from."""

    recipe: str  # name or file, as typed
    seed: int
    folder: Path  # of this seed
    pairs: Path  # dataset directory of pairs

    def of(self, arm: str) -> Path:
        """Return the run directory of an arm."""
        return self.folder / arm

    def figures(self, start: str) -> Path:
        """Return the file of the figures measured against a starting model: "base" or "dsft-1"."""
        return self.folder / f"held-out-above-{start}.json"


def tuning(place: Place) -> list[str]:
    """Return the command of dSFT-1, which builds or fetches the model before it."""
    return ["train", "sft", *_common(place), "--out", str(place.of("dsft-1"))]


def aligning(place: Place, base: str) -> Iterator[list[str]]:
    """Yield the training commands of the other arms; `base` is the model before dSFT-1."""
    common, tuned, chosen = _common(place), str(place.of("dsft-1")), str(place.pairs)
    second = ["--model", tuned, "--data", chosen, "--epochs", "1"]
    yield ["train", "sft", *common, *second, "--out", str(place.of("dsft-2"))]
    yield ["train", "dpo", *common, "--model", tuned, "--data", chosen, "--out", str(place.of("ddpo"))]
    yield ["train", "dpo", *common, "--model", base, "--data", chosen, "--out", str(place.of("ddpo-alone"))]


def _common(place: Place) -> list[str]:
    return ["--recipe", place.recipe, "--seed", str(place.seed)]


def measuring(place: Place, base: str) -> Iterator[tuple[Path, list[str]]]:
    """Yield the commands that measure a seed's models, each with the file for its result."""
    pairs = ["--pairs", str(place.of("ddpo")), "--json"]
    tuned = str(place.of("dsft-1"))
    models = [str(place.of(arm)) for arm in ("dsft-1", "dsft-2", "ddpo")]
    yield place.figures("dsft-1"), ["train", "measure", *models, "--start", tuned, *pairs]
    yield place.figures("base"), ["train", "measure", base, str(place.of("ddpo-alone")), "--start", base, *pairs]
