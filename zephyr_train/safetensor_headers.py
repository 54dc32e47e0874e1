"""Weight files and their headers: which files a model has, and which tensors they list. No torch.

The files that are measured, digested and loaded are one list, `weight_files`. transformers loads the same ones when it
is called with `use_safetensors=True`, as everything in zephyr does (`models.LOAD_WEIGHTS`).
"""

import json
import math
import os
import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zephyr_core.errors import DataError, first_line
from zephyr_core.reading import checked
from zephyr_train.errors import ModelUnreachable

WEIGHTS = "model.safetensors"  # comes before the index, as in transformers
INDEX = "model.safetensors.index.json"
AGAIN = "fetch or save the model again"
LONGEST_HEADER = 100_000_000  # bytes; safetensors has the same limit
_FORMATS = (".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".h5", ".msgpack", ".gguf")  # endings of weight files
_NO_WEIGHTS = ("training_args.bin", "optimizer.pt", "optimizer.bin", "scheduler.pt", "scheduler.bin")
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 100
_WIDTHS = {"F64": 8, "I64": 8, "U64": 8, "F32": 4, "I32": 4, "U32": 4, "F16": 2, "BF16": 2, "I16": 2, "U16": 2,
           "I8": 1, "U8": 1, "BOOL": 1}  # fmt: skip  # bytes per number


def short(value: object) -> str:
    """Return what a file holds as it would be written in Python, cut to what a message can hold."""
    return _SHORT.repr(value)


def weight_files(model: Path) -> list[Path]:
    """Return the weight files that are loaded from a model's folder, sorted by name; [] if there are none.

    Raises:
        ModelUnreachable: a file that the index names is missing.
        DataError: the index is damaged, or names something else than safetensors files in the same folder.
    """
    if (model / WEIGHTS).is_file():
        return [model / WEIGHTS]
    if not (model / INDEX).is_file():
        return []
    names = _named_by(model / INDEX)
    missing = [name for name in names if not (model / name).is_file()]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise ModelUnreachable(f"{model / missing[0]} is missing{more}, named in {INDEX}", AGAIN)
    return [model / name for name in names]


def _named_by(index: Path) -> list[str]:
    """Return the names of the files that an index lists."""
    content = checked(index, hint=AGAIN)
    parts = (content.get("weight_map"), content.get("metadata")) if isinstance(content, dict) else ()
    if not parts or not all(isinstance(part, dict) for part in parts):
        raise DataError(f"{index} is damaged: it does not hold an object with weight_map and metadata", AGAIN)
    names = list(content["weight_map"].values())
    if not names or not all(isinstance(name, str) for name in names):
        raise DataError(f"{index} is damaged: its weight_map does not give each tensor the name of a file", AGAIN)
    for name in names:
        if not name.endswith(".safetensors") or "/" in name or "\\" in name or "\0" in name:
            raise DataError(f"{index} names {short(name)}, which is not a safetensors file in the same folder", AGAIN)
    return sorted(set(names))


def unread_weights(model: Path) -> list[str]:
    """Return the names of the files that look like weights but are not loaded."""
    read = {path.name for path in weight_files(model)}
    names = [path.name for path in model.iterdir() if path.suffix in _FORMATS and path.is_file()]
    return sorted(name for name in names if name not in read and name not in _NO_WEIGHTS)


def tensors(file: Path) -> dict[str, dict[str, Any]]:
    """Return name → description (dtype, shape, data_offsets) of each tensor of a file.

    The first eight bytes hold the header's length, little-endian; the tensors follow the header without a gap.

    Raises:
        DataError: the header cannot be read or is damaged, or the file's length does not match it.
    """
    try:
        with file.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            length = int.from_bytes(stream.read(8), "little")
            if length > LONGEST_HEADER:
                raise _damaged(file, f"its header would have {length:,} bytes, at most {LONGEST_HEADER:,} are allowed")
            if size < 8 + length:
                raise DataError(f"{file} is cut short: it has {size:,} bytes, its header ends at {8 + length:,}", AGAIN)
            header = json.loads(stream.read(length))
    except RecursionError:
        raise _damaged(file, "its header is nested too deeply") from None
    except OSError as fault:
        raise DataError(f"{file} cannot be read: {fault.strerror}", AGAIN) from None
    except ValueError as fault:
        raise DataError(f"{file} is damaged or cut short: its header is not JSON: {first_line(fault)}", AGAIN) from None
    if not isinstance(header, dict):
        raise _damaged(file, "its header does not hold an object")
    header.pop("__metadata__", None)
    wrong = next(filter(None, (_misfit(name, entry) for name, entry in header.items())), None)
    if wrong:
        raise _damaged(file, wrong)
    whole = 8 + length + _end(file, header)
    if size != whole:
        raise DataError(f"{file} is damaged or cut short: it has {size:,} bytes, its header says {whole:,}", AGAIN)
    return header


def _damaged(file: Path, what: str) -> DataError:
    return DataError(f"{file} is damaged: {what}", AGAIN)


def _misfit(name: str, entry: object) -> str | None:
    """Return what is wrong with a tensor's entry in a header, or None."""
    if not isinstance(entry, Mapping) or not isinstance(entry.get("dtype"), str):
        return f"the entry of the tensor {short(name)} has no dtype"
    for key, count in (("shape", None), ("data_offsets", 2)):
        values = entry.get(key)
        if not isinstance(values, list) or not all(type(value) is int and value >= 0 for value in values):
            return f"{key} of the tensor {short(name)} is not a list of whole numbers"
        if count is not None and len(values) != count:
            return f"{key} of the tensor {short(name)} has {len(values)} numbers, not {count}"
    begin, end = entry["data_offsets"]
    expected = math.prod(entry["shape"]) * _WIDTHS.get(entry["dtype"], 0)
    if end < begin or (entry["dtype"] in _WIDTHS and end - begin != expected):
        return f"the tensor {short(name)} does not have as many bytes as its shape says"
    return None


def _end(file: Path, header: Mapping[str, Mapping[str, Any]]) -> int:
    """Return where the last tensor ends, counted from the header's end; they must follow each other without a gap."""
    end = 0
    for (begin, stop), name in sorted((tuple(entry["data_offsets"]), name) for name, entry in header.items()):
        if begin != end:
            raise _damaged(file, f"the tensor {short(name)} does not begin where the one before it ends")
        end = stop
    return end


def shapes(model: Path) -> dict[str, list[int]]:
    """Return name → shape of each tensor in the weight files of a model's folder; {} if there are none.

    Raises:
        ModelUnreachable: a file is missing.
        DataError: a file is damaged or incomplete.
    """
    return {name: entry["shape"] for file in weight_files(model) for name, entry in tensors(file).items()}
