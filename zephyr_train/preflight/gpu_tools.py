"""Whether GPUs can be used as they are: the driver's tool, a compiler for Triton, a FlashAttention that imports."""

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from zephyr_core.faults import Lack

DEVICES = Path("/dev")
IMPORTS = {"flash_attn": "from flash_attn import flash_attn_func, flash_attn_varlen_func"}
_ON_CPU = "set CUDA_VISIBLE_DEVICES to nothing to train on the CPU all the same"
_IMPORT_SECONDS = 300


def unseen_gpus() -> Iterator[Lack]:
    """Yield why a machine shows no GPU though it has one, where CUDA_VISIBLE_DEVICES does not hide it."""
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in ("", "-1"):
        return
    device = next(iter(sorted(DEVICES.glob("nvidia[0-9]*"))), None)
    if device is not None:
        tool = shutil.which("nvidia-smi")
        what = "nvidia-smi is not installed" if tool is None else f"nvidia-smi shows none: {_answer(tool)}"
        hint = "repair the driver; a container needs NVIDIA_DRIVER_CAPABILITIES=compute,utility"
        yield Lack("unseen-gpu", f"there is {device}, and {what}", f"{hint}; or {_ON_CPU}")
    elif (DEVICES / "kfd").exists():
        yield Lack("unseen-gpu", f"there is {DEVICES / 'kfd'}: GPUs under ROCm were never tried", _ON_CPU)


def _answer(tool: str) -> str:
    ended = subprocess.run([tool], capture_output=True, text=True, check=False)
    lines = [line.strip() for line in (ended.stdout + ended.stderr).splitlines() if line.strip()]
    return lines[0] if lines else f"it ended with code {ended.returncode}"


def compiler_faults() -> Iterator[Lack]:
    """Yield what Triton lacks to build its driver at the first launch of a kernel, which the trainers' heads do."""
    if find_spec("triton") is None:
        return
    if not any(map(shutil.which, filter(None, (os.environ.get("CC"), "gcc", "clang")))):
        yield Lack("no-compiler", "Triton needs a C compiler, and there is no gcc or clang", "install gcc, or set CC")
    header = Path(sysconfig.get_path("include")) / "Python.h"
    if not header.is_file():
        hint = "install the headers of this Python (python3-dev)"
        yield Lack("no-compiler", f"Triton needs Python's headers, and there is no {header}", hint)


def import_faults(package: str, hint: str) -> Iterator[Lack]:
    """Yield why an installed package cannot be imported, as one built for another torch; a fresh process tries it."""
    code = IMPORTS.get(package, f"import {package}")
    try:
        command = [sys.executable, "-c", code]
        ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_IMPORT_SECONDS)
    except subprocess.TimeoutExpired:
        words = f"it takes more than {_IMPORT_SECONDS} s"
    else:
        if ended.returncode == 0:
            return
        words = (ended.stderr.strip().splitlines() or [f"exit code {ended.returncode}"])[-1]
    yield Lack("broken-package", f"{package} is installed and cannot be imported: {words}", hint)
