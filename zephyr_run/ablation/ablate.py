"""`zephyr ablate`: the arms of Table 3 and the epochs of Figure 3, trained and measured by zephyr's own commands."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from zephyr_core import manifest, paths, recipe
from zephyr_core.errors import UsageError
from zephyr_core.reading import json_file
from zephyr_run.ablation import page, summary
from zephyr_run.ablation.arms import Place, aligning, measuring, tuning
from zephyr_run.command import start, typed
from zephyr_run.errors import StepFailed

Tell = Callable[[str], None]


def ablate(name_or_file: str, seeds: Sequence[int], tell: Tell) -> Path:
    """Return the page of the ablations; what is there of the same is not done again.

    Raises:
        StepFailed: a command failed, with its exit code.
    """
    name = recipe.load(name_or_file).name
    for step in ("clean-ultrachat", "binarize"):
        _zephyr(["data", step, "--recipe", name_or_file], tell)
    folder = paths.run_directory(name, "ablations")
    places = [
        Place(name_or_file, seed, folder / f"seed-{seed}", paths.run_directory(name, "binarize")) for seed in seeds
    ]
    for place in places:
        train(place, tell)
    content = summary.summary(name, places)
    manifest.write_text_whole(folder / "ablations.json", json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    return page.write(folder, content)


def numbers(text: str) -> list[int]:
    """Return the seeds of a list such as "42,43".

    Raises:
        UsageError: it is none.
    """
    try:
        return list(dict.fromkeys(int(part) for part in text.split(",")))
    except ValueError:
        raise UsageError(f"--seeds {text}: whole numbers with commas between them are expected") from None


def train(place: Place, tell: Tell) -> None:
    """Train the arms of a seed, and look at them; what is there of the same is not done again."""
    _zephyr(tuning(place), tell)
    base = json.loads((place.of("dsft-1") / "run.json").read_text(encoding="utf-8"))["model"]
    for words in aligning(place, base):
        _zephyr(words, tell)
    made_of = _weights(place)
    for file, words in measuring(place, base):
        if json_file(file).get("made_of") == made_of:
            continue
        answer = json.loads(_zephyr(words, tell, keep=True))
        manifest.write_text_whole(file, json.dumps({"made_of": made_of, **answer}, ensure_ascii=False))


def _weights(place: Place) -> dict[str, str]:
    """Return the digest of each arm's weights, by its manifest."""
    found: dict[str, str] = {}
    for run in sorted(path.parent for path in place.folder.glob("*/manifest.json")):
        files: dict[str, Any] = manifest.read(run)["files"]
        found |= {
            f"{run.name}/{name}": entry["sha256"] for name, entry in files.items() if name.endswith(".safetensors")
        }
    return found


def _zephyr(words: list[str], tell: Tell, *, keep: bool = False) -> str:
    """Run a command as a user would type it; return what it printed, where that is kept.

    Raises:
        StepFailed: it failed; its own message stands on stderr.
    """
    command = ["zephyr", *words]
    tell(f"$ {typed(command)}")
    ended = start(command, catch=("out",) if keep else ())
    if ended.code != 0:
        said = f"`{typed(command)}` ended with {ended.code}"
        raise StepFailed(said, "mend what its message names; the same command continues behind it", ended.code)
    return ended.out
