"""docs/benchmarks.md, which two programs write: what stands before "Training", and that part."""

from pathlib import Path

TARGET = Path(__file__).resolve().parent.parent / "docs" / "benchmarks.md"
TRAINING = "\n## Training\n"


def write_data(text: str) -> None:
    """Replace all that stands before the part about training."""
    _, mark, training = _parts()
    TARGET.write_text(text + mark + training, encoding="utf-8")


def write_training(text: str) -> None:
    """Replace the part about training, which is the last one."""
    TARGET.write_text(_parts()[0] + TRAINING + text, encoding="utf-8")


def _parts() -> tuple[str, str, str]:
    return TARGET.read_text(encoding="utf-8").partition(TRAINING)
