"""What this machine has: packages, GPUs and their capability, memory, disk; without torch."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType

from zephyr_core.disk import require_space
from zephyr_core.errors import NoSpace
from zephyr_core.faults import Lack
from zephyr_train.nodes import node_faults
from zephyr_train.options import TrainOptions
from zephyr_train.preflight import gpu_tools

FLASH = {"flash_attention_2": "flash_attn", "flash_attention_3": "flash_attn_interface"}
INSTALL = "pip install 'zephyr-toolkit[train]'"
INSTALL_FLASH = "pip install 'zephyr-toolkit[gpu]' --no-build-isolation   (needs nvcc)"
# Part of an optimiser's name → the package that it comes in; the first part that fits counts.
OPTIMIZERS = {
    "galore": "galore_torch",
    "apollo": "apollo_torch",
    "lomo": "lomo_optim",
    "grok": "grokadamw",
    "schedule_free": "schedulefree",
    "stable_adamw": "optimi",
    "anyprecision": "torchdistx",
    "torch_4bit": "torchao",
    "torch_8bit": "torchao",
    **dict.fromkeys(("8bit", "bnb", "paged", "ademamix", "lion"), "bitsandbytes"),
}
AMPERE = 8.0  # minimum compute capability for bf16 and FlashAttention-2


@dataclass(frozen=True)
class Gpu:
    """One GPU of this machine."""

    name: str
    capability: float
    memory: float | None  # GB; None if the driver does not report it, as for memory shared with the CPU
    uuid: str = ""


@dataclass(frozen=True)
class HostMemory:
    """The memory of this machine in bytes, as the kernel counts it."""

    total: int
    available: int  # without swapping, files in the cache given up


def host_memory(file: Path = Path("/proc/meminfo")) -> HostMemory | None:
    """Return the memory of this machine; None if the system does not say."""
    try:
        lines = file.read_text().splitlines()
    except OSError:
        return None
    sizes = {name: int(rest.split()[0]) * 1024 for name, _, rest in (line.partition(":") for line in lines) if rest}
    if not {"MemTotal", "MemAvailable"} <= sizes.keys():
        return None
    return HostMemory(sizes["MemTotal"], sizes["MemAvailable"])


def gpus_here() -> list[Gpu]:
    """Return the GPUs that nvidia-smi reports on this machine; CUDA_VISIBLE_DEVICES may hide some."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    query = [tool, "--query-gpu=name,uuid,compute_cap,memory.total", "--format=csv,noheader,nounits"]
    answer = subprocess.run(query, capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        return []
    lines = (line.rsplit(",", 3) for line in answer.stdout.splitlines())
    gpus = [gpu for line in lines if (gpu := _gpu(line)) is not None]
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return gpus if visible is None else list(_visible(gpus, visible))


def _gpu(fields: list[str]) -> Gpu | None:
    """Return the GPU in a line of nvidia-smi: name, uuid, compute capability, memory in MiB; None for other lines."""
    if len(fields) != 4:
        return None
    name, uuid, capability, memory = (field.strip() for field in fields)
    if not re.fullmatch(r"\d+\.\d+", capability):
        return None
    return Gpu(name, float(capability), float(memory) * 2**20 / 1e9 if memory.isdigit() else None, uuid)


def _visible(gpus: list[Gpu], visible: str) -> Iterator[Gpu]:
    """Yield the GPUs that CUDA_VISIBLE_DEVICES names, by number or uuid; like CUDA, stop at the first missing one."""
    for part in (part.strip() for part in visible.split(",")):
        if part.isdigit() and int(part) < len(gpus):
            yield gpus[int(part)]
        elif part.startswith("MIG-") and gpus:
            yield gpus[0]  # a slice; nvidia-smi does not say of which GPU
        elif (gpu := next((gpu for gpu in gpus if part and gpu.uuid.startswith(part)), None)) is not None:
            yield gpu
        else:
            return


def machine_faults(
    options: TrainOptions, gpus: list[Gpu], settings: Mapping[str, object] = MappingProxyType({})
) -> list[Lack]:
    """Return what this machine lacks for these options; `settings` are those of `--set`."""
    tools = [*gpu_tools.compiler_faults()] if gpus else [*gpu_tools.unseen_gpus()]
    faults = [*_package_faults(options, settings), *_attention_faults(options, gpus), *tools]
    return [*faults, *_gpu_faults(options, gpus), *node_faults(options)]


def import_fault(fault: ImportError) -> Lack:
    """Return the fault of a package that is needed to check the inputs but cannot be imported."""
    return Lack("missing-package", f"the inputs were not checked: {fault}", INSTALL)


def _package_faults(options: TrainOptions, settings: Mapping[str, object]) -> Iterator[Lack]:
    packages = ["torch", "transformers", "trl", "accelerate"]
    packages += ["deepspeed"] if options.zero else []
    packages += ["peft"] if options.lora else []
    packages += ["tensorboard"] if options.tensorboard else []
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        yield Lack("missing-package", f"{', '.join(missing)} not installed", INSTALL)
    optional = dict.fromkeys(_optimizer_packages(options.optimizer), f"optimizer is {options.optimizer}")
    optional |= {"liger_kernel": "use_liger_kernel is on"} if settings.get("use_liger_kernel") else {}
    for package, reason in optional.items():
        if find_spec(package) is None:
            hint = f"install the package that has {package}, or leave the option out"
            yield Lack("missing-package", f"{reason}, and {package} is not installed", hint)


def _attention_faults(options: TrainOptions, gpus: list[Gpu]) -> Iterator[Lack]:
    package = FLASH.get(options.attention)
    instead = f"{INSTALL_FLASH}; or use `--attention sdpa`, which goes on record"
    if package is not None and find_spec(package) is None:
        message = f"attention is {options.attention}, and {package} is not installed"
        yield Lack("missing-package", message, instead)
    elif package is not None and gpus:
        yield from gpu_tools.import_faults(package, instead)


def _optimizer_packages(name: str) -> list[str]:
    return [package for part, package in OPTIMIZERS.items() if part in name][:1]


def _gpu_faults(options: TrainOptions, gpus: list[Gpu]) -> Iterator[Lack]:
    if not gpus and options.attention not in FLASH:  # on a CPU
        return
    here = -(-options.gpus // options.nodes)
    if len(gpus) < here:
        yield Lack(
            "missing-gpu",
            f"{options.gpus} GPUs on {options.nodes} node(s) are {here} on each; this machine shows {len(gpus)}",
            f"--gpus {_fitting(options, len(gpus))} keeps the global batch by accumulating"
            + ("" if gpus else "; on a CPU use `--attention sdpa` too"),
        )
    weak = [gpu for gpu in gpus if gpu.capability < AMPERE]
    if weak and (options.precision == "bf16" or options.attention in FLASH):
        yield Lack(
            "missing-gpu",
            f"{weak[0].name} has compute capability {weak[0].capability}: bf16 and FlashAttention-2 need {AMPERE}",
            "use a newer card, or precision fp32 with `--attention sdpa`",
        )


def _fitting(options: TrainOptions, here: int) -> int:
    """Return the most GPUs, with so many on each node, whose rows divide the global batch."""
    nodes, rows = options.nodes, options.micro_batch_size
    numbers = range(nodes, here * nodes + 1, nodes)
    return max((number for number in numbers if options.global_batch_size % (rows * number) == 0), default=nodes)


def disk_fault(place: Path, needed_bytes: float) -> Lack | None:
    """Return a fault if the place cannot be written or its disk has less room than needed."""
    try:
        require_space(place, needed_bytes, "give a folder on another disk with --out")
    except NoSpace as fault:
        return Lack("no-disk", str(fault), str(fault.hint))
    return None
