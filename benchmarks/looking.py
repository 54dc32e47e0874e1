"""What looking costs: `python -m benchmarks.looking` compares our digests of files with sha256sum's, in the same run.

For a small dataset, the folder of a 7 B model (15 GB in three files) and a checkpoint of 1 GB it prints the processor
seconds of a look by size and time, of a full look, and of sha256sum. The large files are sparse, so it measures the
processor and not a disk. Nothing is kept.
"""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from zephyr_core import manifest
from zephyr_core.folder import damage
from zephyr_train.training import checkpoints

HEAD = (
    "set",
    "manifest, s",
    "look by time, s",
    "full look, s",
    "checkpoint's look, s",
    "sha256sum, s",
    "full look / sha256sum",
    "GB/s",
)
SETS = {
    "dataset of 0.2 MB": {"data/train_sft.parquet": 150_000, "data/test_sft.parquet": 50_000},
    "checkpoint of 1 GB": {"model.safetensors": 333_000_000, "optimizer.pt": 667_000_000},
    "model of 15 GB": {f"model-{part}.safetensors": 5_000_000_000 for part in (1, 2, 3)},
}


def seconds(work: Callable[[], object]) -> float:
    """Return the processor time of a call and of its processes: other work on the machine adds little to it."""
    begin = _processor_time()
    work()
    return _processor_time() - begin


def _processor_time() -> float:
    return time.process_time() + sum(os.times()[2:4])


def made(folder: Path, sizes: dict[str, int]) -> list[Path]:
    """Write sparse files of those sizes."""
    files = [folder / name for name in sizes]
    for file, size in zip(files, sizes.values(), strict=True):
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("wb") as stream:
            stream.truncate(size)
    return files


def figures(folder: Path, sizes: dict[str, int]) -> list[float]:
    """Return the seconds of each look at a folder of such files, in the order of HEAD."""
    files, program = made(folder, sizes), str(shutil.which("sha256sum"))
    write = seconds(lambda: manifest.write(folder, {"kind": "model"}))
    looks = [seconds(lambda: damage(folder, hashed=False)), seconds(lambda: damage(folder))]
    (folder / manifest.NAME).unlink()
    checkpoints.mark_complete(folder, "run")
    resumed = seconds(lambda: checkpoints.latest_complete(folder.parent, "run"))
    other = seconds(lambda: subprocess.run([program, *files], check=True, capture_output=True))
    return [write, *looks, resumed, other]


def main() -> None:
    """Print the table."""
    print(f"| {' | '.join(HEAD)} |\n{'|---' * len(HEAD)}|")
    for name, sizes in SETS.items():
        with tempfile.TemporaryDirectory() as temporary:
            spent = figures(Path(temporary) / "checkpoint-1", sizes)
        ratio, speed = spent[2] / spent[-1], sum(sizes.values()) / 1e9 / spent[2]
        print(f"| {name} | {' | '.join(f'{value:.4f}' for value in spent)} | {ratio:.2f} | {speed:.2f} |", flush=True)


if __name__ == "__main__":
    main()
