"""Weight files and their headers: which files a model has, and which tensors they list. No torch."""

import json
from pathlib import Path
from typing import Any

from zephyr_train.errors import ModelUnreachable

INDEX = "model.safetensors.index.json"
AGAIN = "fetch or save the model again"


def weight_files(model: Path) -> list[Path]:
    """Return the safetensors files of a model's folder, sorted by name; [] if there are none.

    Raises:
        ModelUnreachable: a file that the index names is missing.
    """
    index = model / INDEX
    if not index.is_file():
        return sorted(model.glob("*.safetensors"))
    names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    missing = [name for name in names if not (model / name).is_file()]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise ModelUnreachable(f"{model / missing[0]} is missing{more}, named in {INDEX}", AGAIN)
    return [model / name for name in names]


def tensors(file: Path) -> dict[str, dict[str, Any]]:
    """Return name → description (dtype, shape, data_offsets) of each tensor of a file.

    The first eight bytes hold the header's length, little-endian; the tensors follow the header without a gap.

    Raises:
        ModelUnreachable: the header cannot be read, or the file's length does not match it.
    """
    try:
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            header: dict[str, dict[str, Any]] = json.loads(stream.read(length))
    except (OSError, ValueError, OverflowError, MemoryError) as fault:
        raise ModelUnreachable(f"{file} is missing or cut short: {fault}", AGAIN) from None
    header.pop("__metadata__", None)
    size = file.stat().st_size
    whole = 8 + length + max((entry["data_offsets"][1] for entry in header.values()), default=0)
    if size != whole:
        raise ModelUnreachable(f"{file} is cut short: it has {size:,} bytes, its header says {whole:,}", AGAIN)
    return header


def shapes(model: Path) -> dict[str, list[int]]:
    """Return name → shape of each tensor in the weight files of a model's folder; {} if there are none.

    Raises:
        ModelUnreachable: a file is missing or incomplete.
    """
    return {name: entry["shape"] for file in weight_files(model) for name, entry in tensors(file).items()}
