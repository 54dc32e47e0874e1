"""What this machine has: GPUs as nvidia-smi tells them, packages, disk; each lack by name with what to do."""

import dataclasses
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from zephyr_train.options import DPOOptions, SFTOptions
from zephyr_train.preflight import gpu_tools, machine
from zephyr_train.preflight.machine import Gpu, disk_fault, gpus_here, host_memory, machine_faults

A100 = Gpu("NVIDIA A100-SXM4-80GB", 8.0, 85.9, "GPU-a")
V100 = Gpu("Tesla V100", 7.0, 17.2, "GPU-v")
CPU = DPOOptions(attention="sdpa", gpus=2, zero=0, precision="fp32")

THREE = """NVIDIA A100-SXM4-80GB, GPU-aa11, 8.0, 81920
GB10, the small one, GPU-bb22, 12.1, [N/A]
Tesla V100, GPU-cc33, 7.0, 16384
Quadro, GPU-dd44, [N/A], 4096
"""


@pytest.fixture
def smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Put an nvidia-smi on the PATH that prints lines and ends with a code."""

    def install(printed: str, code: int = 0) -> None:
        tool = tmp_path / "bin" / "nvidia-smi"
        tool.parent.mkdir(exist_ok=True)
        (tmp_path / "printed").write_text(printed)
        tool.write_text(f'#!/bin/sh\ncase "$1" in --query-gpu=name,uuid,compute_cap,memory.total) ;; *) exit 9;; esac\n'
                        f'cat {tmp_path / "printed"}\nexit {code}\n')  # fmt: skip
        tool.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tool.parent}{os.pathsep}/usr/bin{os.pathsep}/bin")
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    return install


def test_gpus_are_read_off_the_tool(smi: Callable[..., None]) -> None:
    smi(THREE)
    gpus = gpus_here()
    assert [(gpu.name, gpu.capability, gpu.uuid) for gpu in gpus] == [
        ("NVIDIA A100-SXM4-80GB", 8.0, "GPU-aa11"),
        ("GB10, the small one", 12.1, "GPU-bb22"),
        ("Tesla V100", 7.0, "GPU-cc33"),
    ]
    assert gpus[0].memory == pytest.approx(85.9, abs=0.01), "MiB to GB"
    assert gpus[1].memory is None


def test_the_memory_of_the_machine_is_the_kernels(tmp_path: Path) -> None:
    file = tmp_path / "meminfo"
    file.write_text(
        "MemTotal:       1000 kB\nMemFree:         100 kB\nMemAvailable:    400 kB\nHugePages_Total:       0\n"
    )
    assert host_memory(file) == machine.HostMemory(1_024_000, 409_600)
    assert host_memory(tmp_path / "none") is None
    here = host_memory()
    assert here is not None and 0 < here.available <= here.total


@pytest.mark.parametrize(("printed", "code"), [("", 0), ("No devices were found\n", 0), (THREE, 6)])
def test_without_a_driver_or_device_there_is_no_gpu(smi: Callable[..., None], printed: str, code: int) -> None:
    smi(printed, code)
    assert gpus_here() == []


def test_without_the_tool_there_is_no_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpus_here() == []


@pytest.mark.parametrize(
    ("visible", "capabilities"),
    [
        ("0,2", [8.0, 7.0]),
        ("2", [7.0]),
        ("2, 0", [7.0, 8.0]),
        ("", []),
        ("-1", []),
        ("0,9,2", [8.0]),
        ("3,0", []),
        ("GPU-cc", [7.0]),
        ("GPU-cc33,GPU-aa11", [7.0, 8.0]),
        ("MIG-77", [8.0]),
    ],
)
def test_cuda_visible_devices_hides_and_orders(
    smi: Callable[..., None], monkeypatch: pytest.MonkeyPatch, visible: str, capabilities: list[float]
) -> None:
    smi(THREE)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert [gpu.capability for gpu in gpus_here()] == capabilities


def names(options: DPOOptions | SFTOptions, gpus: list[Gpu]) -> list[str]:
    return [str(fault) for fault in machine_faults(options, gpus)]


@pytest.fixture(autouse=True)
def packages(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Names of packages that are not installed; all others are."""
    missing: set[str] = set()
    for module in (machine, gpu_tools):
        monkeypatch.setattr(module, "find_spec", lambda name: None if name in missing else machine)
    monkeypatch.setattr(gpu_tools, "IMPORTS", dict.fromkeys(machine.FLASH.values(), ""))
    return missing


@pytest.fixture(autouse=True)
def devices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the devices of the machine are: none. It is the first of several machines, if there are any."""
    monkeypatch.setattr(gpu_tools, "DEVICES", tmp_path / "dev")
    (tmp_path / "dev").mkdir()
    for name, value in {"NODE_RANK": "0", "MASTER_ADDR": "10.0.0.1"}.items():
        monkeypatch.setenv(name, value)
    return tmp_path / "dev"


def test_a_cpu_with_sdpa_and_enough_gpus_lack_nothing() -> None:
    assert names(CPU, []) == []
    assert names(dataclasses.replace(CPU, zero=3), []) == [], "not even a compiler"
    assert names(dataclasses.replace(CPU, nodes=2), []) == [], "a rehearsal of two machines"
    assert names(DPOOptions(gpus=2), [A100, A100]) == []
    assert names(DPOOptions(gpus=4, nodes=2), [A100, A100]) == []


def test_too_few_gpus_are_counted_per_node() -> None:
    [name] = names(DPOOptions(gpus=16, nodes=2), [A100] * 4)
    assert name == "missing-gpu: 16 GPUs on 2 node(s) are 8 on each; this machine shows 4"
    [fault] = machine_faults(DPOOptions(gpus=16), [A100] * 4)
    assert fault.hint.startswith("--gpus 4 ") and "sdpa" not in fault.hint
    assert "--attention sdpa" in machine_faults(DPOOptions(gpus=16), [])[0].hint


@pytest.mark.parametrize(
    ("printed", "shown"), [("", "code 9"), ("couldn't communicate with the driver", "communicate")]
)
def test_a_gpu_that_the_tool_does_not_show_is_no_cpu_run(
    devices: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, printed: str, shown: str
) -> None:
    (devices / "nvidia0").touch()
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    [fault] = machine_faults(CPU, gpus_here())
    assert fault.name == "unseen-gpu" and "nvidia-smi is not installed" in fault.message
    assert "NVIDIA_DRIVER_CAPABILITIES" in fault.hint and "CUDA_VISIBLE_DEVICES" in fault.hint
    tool = tmp_path / "bin" / "nvidia-smi"
    tool.parent.mkdir()
    tool.write_text(f'#!/bin/sh\necho "{printed}"\nexit 9\n')
    tool.chmod(0o755)
    [fault] = machine_faults(CPU, gpus_here())
    assert fault.name == "unseen-gpu" and shown in fault.message
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert machine_faults(CPU, gpus_here()) == [], "the user insists"


def test_an_amd_gpu_is_named_as_untried(devices: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (devices / "kfd").touch()
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    [fault] = machine_faults(CPU, [])
    assert fault.name == "unseen-gpu" and "ROCm" in fault.message


def test_triton_needs_a_compiler_and_headers(
    packages: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr(gpu_tools.sysconfig, "get_path", lambda _: str(tmp_path))
    options = dataclasses.replace(CPU, gpus=1)
    assert [fault.name for fault in machine_faults(options, [A100])] == ["no-compiler"] * 2
    assert machine_faults(options, []) == [], "nothing is compiled on a CPU"
    (tmp_path / "Python.h").touch()
    compiler = tmp_path / "mycc"
    compiler.write_text("")
    compiler.chmod(0o755)
    monkeypatch.setenv("CC", "mycc")
    assert machine_faults(options, [A100]) == []
    packages.add("triton")
    monkeypatch.delenv("CC")
    assert machine_faults(options, [A100]) == []


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("raise ImportError('undefined symbol: _ZN3c10')", "ImportError: undefined symbol: _ZN3c10"),
        ("flash_attn_func = None", "cannot import name 'flash_attn_varlen_func'"),  # FlashAttention-4 alone
    ],
)
def test_a_flash_attention_for_another_torch_is_found_out(
    content: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    (tmp_path / "flash_attn.py").write_text(content)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    [fault] = gpu_tools.import_faults("flash_attn", "install it")
    assert fault.name == "broken-package" and words in fault.message
    (tmp_path / "flash_attn.py").write_text("flash_attn_func = flash_attn_varlen_func = None")
    assert [*gpu_tools.import_faults("flash_attn", "install it")] == []


def test_capability_below_8_is_refused_for_bf16_and_for_flash_attention() -> None:
    old = dataclasses.replace(CPU, gpus=1)
    assert names(old, [V100]) == []
    for change in ({"precision": "bf16"}, {"precision": "bf16", "attention": "flash_attention_2"}):
        [name] = names(dataclasses.replace(old, **change), [V100])
        assert name.startswith("missing-gpu: Tesla V100 has compute capability 7.0")
        assert names(dataclasses.replace(old, **change), [A100]) == []


@pytest.mark.parametrize(
    ("attention", "package"), [("flash_attention_2", "flash_attn"), ("flash_attention_3", "flash_attn_interface")]
)
def test_flash_attention_is_not_replaced_and_its_install_line_named(
    packages: set[str], attention: str, package: str
) -> None:
    packages.add(package)
    [fault] = machine_faults(DPOOptions(attention=attention, gpus=1), [A100])
    assert fault.name == "missing-package" and f"{package} is not installed" in fault.message
    assert "zephyr-toolkit[gpu]' --no-build-isolation" in fault.hint and "--attention sdpa" in fault.hint


@pytest.mark.parametrize(
    ("package", "needed_by"),
    [
        ("torch", {}),
        ("trl", {}),
        ("deepspeed", {"zero": 2}),
        ("peft", {"lora": True}),
        ("tensorboard", {"tensorboard": True}),
    ],
)
def test_packages_are_missed_where_they_are_needed(
    packages: set[str], package: str, needed_by: dict[str, object]
) -> None:
    packages.add(package)
    [name] = names(dataclasses.replace(CPU, **needed_by), [])
    assert name == f"missing-package: {package} not installed"
    assert (names(CPU, []) == []) == bool(needed_by)


@pytest.mark.parametrize(
    ("optimizer", "settings", "package"),
    [
        ("adamw_torch_fused", {"use_liger_kernel": False}, None),
        ("adamw_torch", {"use_liger_kernel": True}, "liger_kernel"),
        ("paged_adamw_8bit", {}, "bitsandbytes"),
        ("galore_adamw_8bit", {}, "galore_torch"),
        ("adamw_torch_8bit", {}, "torchao"),
        ("schedule_free_sgd", {}, "schedulefree"),
    ],
)
def test_packages_of_the_trainers_options_are_missed_before_a_worker_starts(
    packages: set[str], optimizer: str, settings: dict[str, object], package: str | None
) -> None:
    packages |= {"liger_kernel", "bitsandbytes", "galore_torch", "torchao", "schedulefree"}
    faults = machine_faults(dataclasses.replace(CPU, optimizer=optimizer), [], settings)
    assert [str(fault).partition(", and ")[2] for fault in faults] == (
        [f"{package} is not installed"] if package else []
    )


def test_disk_is_looked_at_where_the_folder_will_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places: list[Path] = []

    def usage(place: Path) -> "shutil._ntuple_diskusage":
        places.append(place)
        return shutil._ntuple_diskusage(0, 0, 2_000_000_000)

    monkeypatch.setattr(machine.shutil, "disk_usage", usage)
    assert disk_fault(tmp_path / "runs" / "new", 2e9) is None
    full = disk_fault(tmp_path / "runs" / "new", 2e9 + 1)
    assert full is not None and full.name == "no-disk" and "2.0 GB are free" in full.message
    assert places == [tmp_path, tmp_path]


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.os, "access", lambda place, mode: False)
    fault = disk_fault(tmp_path / "new", 0)
    assert fault is not None and fault.name == "no-disk" and f"{tmp_path} cannot be written" in fault.message


@pytest.mark.parametrize(
    ("here", "nodes", "fitting"), [(0, 1, 1), (1, 1, 1), (3, 1, 2), (6, 1, 4), (8, 1, 8), (15, 1, 8), (3, 2, 4)]
)
def test_the_number_of_gpus_that_is_advised_divides_the_global_batch(here: int, nodes: int, fitting: int) -> None:
    options = SFTOptions(gpus=16 * nodes, nodes=nodes)
    advice = [fault.hint for fault in machine_faults(options, [A100] * here) if fault.name == "missing-gpu"]
    assert advice and f"--gpus {fitting} keeps the global batch" in advice[0]
