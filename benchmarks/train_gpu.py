"""dDPO on one NVIDIA GPU, the project's layouts against TRL: `python -m benchmarks.train_gpu`. Prints Markdown.

First whether log-probs and gradients are those of padded rows (`gpu_equality.py`), then what a step costs a model of a
billion parameters. `--device cpu --small` runs the same program on a toy, to see that it runs.
"""

import argparse
import contextlib
import gc
import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile
from transformers import TrainerCallback

from benchmarks.gpu_equality import HEAD, attentions, cast, equality
from benchmarks.pair_lengths import LENGTHS, pair_of, token_rows
from benchmarks.pair_trainers import CACHED, TRL, VARIANTS, Rows, random_model, trainer, with_reference
from zephyr_train.pairs.layout import PADDED, SEPARATE, SHARED

LIKE, STEP_PAIRS, WARM_STEPS, TIMED_STEPS, TOP = "ultrafeedback", 8, 2, 6, 12
STEPS = WARM_STEPS + TIMED_STEPS + 1  # the last one is profiled and counts nowhere else
BILLION = {
    "vocab_size": 32_000, "hidden_size": 2048, "intermediate_size": 7168, "num_hidden_layers": 16,
    "num_attention_heads": 16, "num_key_value_heads": 4,
}  # fmt: skip
TOY = {
    "vocab_size": 512, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
    "num_attention_heads": 2, "num_key_value_heads": 1,
}  # fmt: skip


@dataclass
class Watch(TrainerCallback):
    """Notes when each step ends and the peak of memory after the warm-up, and profiles the last step."""

    is_gpu: bool
    ends: list[float] = field(default_factory=list)  # seconds, on a clock that never goes back
    peak: int = 0  # bytes
    profiler: Any = None

    def on_step_begin(self, _arguments: Any, state: Any, *_: Any, **__: Any) -> None:
        """Begin to count memory, or to profile."""
        if self.is_gpu and state.global_step == WARM_STEPS:
            torch.cuda.reset_peak_memory_stats()
        if state.global_step == STEPS - 1:
            if self.is_gpu:
                self.peak = torch.cuda.max_memory_allocated()
            self.profiler = profile(activities=[ProfilerActivity.CPU, *[ProfilerActivity.CUDA][: self.is_gpu]])
            self.profiler.start()

    def on_step_end(self, _arguments: Any, state: Any, *_: Any, **__: Any) -> None:
        """Note the time once the GPU is done."""
        if self.is_gpu:
            torch.cuda.synchronize()
        self.ends.append(time.perf_counter())
        if state.global_step == STEPS:
            self.profiler.stop()

    @property
    def step_seconds(self) -> list[float]:
        """Return the timed steps, from one end to the next: reading of rows included."""
        ends = self.ends[WARM_STEPS - 1 : STEPS - 1]
        return [later - earlier for earlier, later in itertools.pairwise(ends)]

    def top(self) -> Iterable[list[str]]:
        """Yield what took most time of the profiled step: GPU kernels, or operations on a CPU."""
        events = self.profiler.key_averages()
        if self.is_gpu:
            own = [(event.self_device_time_total, event) for event in events if event.device_type.name == "CUDA"]
        else:
            own = [(event.self_cpu_time_total, event) for event in events]
        whole = sum(spent for spent, _ in own) or 1
        for spent, event in sorted(own, key=lambda entry: -entry[0])[:TOP]:
            yield [f"`{event.key[:90]}`", str(event.count), f"{spent / 1000:.1f}", f"{100 * spent / whole:.0f} %"]


def main(device: str, is_small: bool) -> bool:
    """Print equality and speed; return whether all layouts are equal."""
    attention = attentions()[0] if device == "cuda" else "sdpa"
    print(f"# dDPO on {torch.cuda.get_device_name() if device == 'cuda' else 'a CPU, to try the program'}\n")
    print(f"{_versions()}. One process. Lengths {LENGTHS[LIKE].told}, random tokens, random weights.\n")
    print(
        "## Equality\n\nLargest differences: fp32 from padded rows; bf16 from padded rows in fp32, beside what padded"
    )
    print("rows in bf16 are off. Gradients relative to the largest of their parameter.\n")
    rows = list(equality(device))
    _tell(HEAD, rows)
    _speed(device, attention, is_small)
    return all(row[-1] == "pass" for row in rows)


def _speed(device: str, attention: str, is_small: bool) -> None:
    sizes = TOY if is_small else BILLION
    pairs, vocabulary = STEP_PAIRS // 4 if is_small else STEP_PAIRS, sizes["vocab_size"]
    rows = token_rows(LIKE, pairs * STEPS, vocabulary)
    numbers = {**sizes, "attn_implementation": attention}
    with torch.device("meta"):
        parameters = sum(parameter.numel() for parameter in random_model(**numbers).parameters())
    print(f"\n## Speed\n\n{parameters / 1e6:,.0f}M parameters, {attention}, {pairs} pairs in one forward pass a step,")
    print(f"{'fp32' if device == 'cpu' else 'bf16 weights and AdamW'}, activation checkpointing on. Median of")
    print(f"{TIMED_STEPS} steps after {WARM_STEPS}; the same pairs in each step whatever the variant.\n")
    table, tops = [], {}
    known: Rows = []
    for variant in (TRL, CACHED, SEPARATE, SHARED):
        try:
            if not known and variant != TRL:
                known = _known(device, rows, numbers)
            watch, losses = _train(device, variant, known or rows, numbers, pairs)
        except torch.OutOfMemoryError:
            table.append([VARIANTS[variant], "out of memory", "", "", "", ""])
        else:
            table.append([VARIANTS[variant], *_figures(watch, rows, pairs), f"{losses[0]:.4f}, {losses[-1]:.4f}"])
            tops[variant] = list(watch.top())
        _free()
    _tell(["", "step, s", "spread", "real tokens/s", "peak memory, GiB", "first and last loss"], table)
    for variant, top in tops.items():
        print(f"\n### One step of {VARIANTS[variant]}, profiled\n")
        _tell(["kernel" if device == "cuda" else "operation", "calls", "ms", "share"], top)


def _known(device: str, rows: Rows, numbers: dict[str, Any]) -> Rows:
    """Return the rows with reference log-probs, by padded rows one pair at a time."""
    return with_reference(rows, _model(device, numbers), PADDED)


def _train(device: str, variant: str, rows: Rows, numbers: dict[str, Any], pairs: int) -> tuple[Watch, list[float]]:
    watch = Watch(is_gpu=device == "cuda")
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
        made = trainer(
            variant, _model(device, numbers), rows, Path(folder), use_cpu=device == "cpu", bf16=device == "cuda",
            activation_checkpointing=True, per_device_train_batch_size=pairs, max_length=LENGTHS[LIKE].max_length,
            learning_rate=1e-6,
        )  # fmt: skip
        made.add_callback(watch)
        made._is_checked = True  # our check before the first step; equality is measured above
        made.train()
    return watch, [entry["loss"] for entry in made.state.log_history if "loss" in entry]


def _model(device: str, numbers: dict[str, Any]) -> Any:
    with torch.device(device):
        return cast(random_model(**numbers), torch.bfloat16 if device == "cuda" else torch.float32)


def _figures(watch: Watch, rows: Rows, pairs: int) -> list[str]:
    """Return step time, spread, real tokens a second, peak memory; a step's tokens are those of a mean step."""
    seconds = watch.step_seconds
    median, tokens = statistics.median(seconds), pairs * statistics.mean(pair_of(row).real for row in rows)
    memory = f"{watch.peak / 2**30:.1f}" if watch.is_gpu else ""
    return [f"{median:.3f}", f"{min(seconds):.3f}–{max(seconds):.3f}", f"{tokens / median:,.0f}", memory]


def _free() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _versions() -> str:
    def told(name: str) -> str:
        try:
            return f"{name} {version(name)}"
        except PackageNotFoundError:
            return f"no {name}"

    return ", ".join(map(told, ("torch", "transformers", "trl", "flash_attn")))


def _tell(head: list[str], body: Iterable[list[str]]) -> None:
    for row in (head, ["---"] * len(head), *body):
        print(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.train_gpu")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--small", action="store_true", help="a toy model, two pairs a step")
    given = parser.parse_args()
    if given.device == "cpu" and not given.small:
        parser.error("on a CPU only --small makes sense")
    if given.device == "cuda" and not torch.cuda.is_available():
        print("error: torch sees no NVIDIA GPU here; `--device cpu --small` tries the program", file=sys.stderr)
        sys.exit(4)
    sys.exit(0 if main(given.device, given.small) else 1)
