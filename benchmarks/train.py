"""Measure dDPO training against TRL's own trainer, and write "Training" of docs/benchmarks.md: `make bench-train`.

CPU-seconds are of one process pinned to one core, of training alone; memory is of the whole process.
`python -m benchmarks.train child VARIANT LENGTHS` is one run of one variant (`benchmarks/train_child.py`).
"""

import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from benchmarks import train_child
from benchmarks.cost import cost
from benchmarks.page import write_training
from benchmarks.pair_counts import MICRO_PAIRS, RANKS, STEP_PAIRS, STEPS, TRL, WAYS, ZEPHYR, critical
from benchmarks.pair_lengths import LENGTHS, PUBLISHED, Spread, draw
from benchmarks.pair_trainers import CACHED, COMPACT, VARIANTS
from benchmarks.train_page import PAGE
from zephyr_train.pairs.layout import PADDED, SEPARATE, SHARED

RUNS = {"ultrafeedback": 3, "long": 1, "short": 1}
HEADS = {"fused all": "fused, all positions", "fused replies": "fused, replies only",
         "plain all": "whole logits, all positions", "plain replies": "whole logits, replies only"}  # fmt: skip
ACCURACY = 1e-4  # relative: how far the losses of a step may lie apart
PAPER_HOURS, EPOCHS = 3.3, 3  # on 16 A100; the paper says 2 to 4 hours (§4)
FORWARD, BACKWARD, AGAIN = 1, 2, 1  # what a token costs; again: the forward pass of checkpointed activations


@dataclass(frozen=True)
class Measured:
    """Runs of one child: CPU-seconds and peak anonymous MB of each, and what the last one printed."""

    seconds: list[float]
    megabytes: list[float]
    printed: dict[str, Any]

    @property
    def median(self) -> float:
        """Return CPU-seconds."""
        return statistics.median(self.seconds)

    @property
    def cells(self) -> list[str]:
        """Return median, spread, number of runs."""
        spread = f"{min(self.seconds):.1f}–{max(self.seconds):.1f}" if len(self.seconds) > 1 else ""
        return [f"{self.median:.1f}", spread, str(len(self.seconds))]

    @property
    def memory(self) -> str:
        """Return the largest peak, in MB."""
        return f"{max(self.megabytes):,.0f}"


def measured(commands: dict[str, list[str]], runs: int) -> dict[str, Measured]:
    """Return what each child costs; in turn, so that a busy minute of the machine meets all of them."""
    taken: dict[str, list[tuple[float, float, dict[str, Any]]]] = {name: [] for name in commands}
    for _ in range(runs):
        for name, command in commands.items():
            run = cost([sys.executable, "-W", "ignore", "-m", "benchmarks.train", *command])
            printed = json.loads(run.printed.splitlines()[-1])
            taken[name].append((printed["seconds"], run.megabytes, printed))
            print(*command, f"{printed['seconds']:.1f} s, {run.megabytes:,.0f} MB", file=sys.stderr)
    return {
        name: Measured([run[0] for run in all_runs], [run[1] for run in all_runs], all_runs[-1][2])
        for name, all_runs in taken.items()
    }


def main() -> None:
    """Run everything and write the part."""
    heads = measured({name: ["head", *name.split()] for name in HEADS}, 1)
    _agree([run.printed["logps"] for run in heads.values()], "heads")
    passes = measured({layout: ["reference", layout] for layout in (PADDED, SEPARATE, SHARED)}, 3)
    _agree([run.printed["logps"] for run in passes.values()], "reference passes")
    counted = {name: {ranks: critical(name, ranks) for ranks in RANKS} for name in LENGTHS}
    trained = {name: _trained(name) for name in LENGTHS}
    part = _part(trained, counted, heads, passes)
    print(part)
    write_training(part)


def _trained(name: str) -> dict[str, Measured]:
    variants = [variant for variant in VARIANTS if variant != COMPACT or name == "ultrafeedback"]
    runs = measured({variant: ["child", variant, name] for variant in variants}, RUNS[name])
    for losses in zip(*(run.printed["losses"] for run in runs.values()), strict=True):
        _agree(losses, f"losses, {name}")
    return runs


def _agree(figures: Iterable[float], what: str) -> None:
    low, *_, high = sorted(figures)
    if abs(high - low) > ACCURACY * abs(low):
        sys.exit(f"error: {what}: {low} to {high}, further apart than {ACCURACY} of it; nothing was written")


def _part(
    trained: dict[str, dict[str, Measured]],
    counted: dict[str, dict[int, dict[str, tuple[float, float]]]],
    heads: dict[str, Measured],
    passes: dict[str, Measured],
) -> str:
    runs, paths = trained["ultrafeedback"], counted["ultrafeedback"]
    ratios = {ranks: path[ZEPHYR][0] / path[TRL][0] for ranks, path in paths.items()}
    return PAGE.format(
        date=time.strftime("%Y-%m-%d", time.gmtime()),
        cores=os.cpu_count(),
        python=platform.python_version(),
        versions=", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "trl")),
        lengths=_table(["lengths", "prompt", "chosen", "rejected", "prompt at most", "with a reply at most",
                        "mean real tokens of a pair"], map(_length_row, LENGTHS)),
        pairs=train_child.STEP_PAIRS,
        training=_table(
            ["", "CPU-s", "spread", "runs", "tokens read", "by the reference", "anonymous memory, MB", "to `trl`",
             "to `trl-cached`"],
            (_training_row(runs, variant) for variant in runs),
        ),
        losses=", ".join(f"{loss:.4f}" for loss in runs[SHARED].printed["losses"]),
        accuracy=f"{ACCURACY:g}",
        check=f"{runs[SHARED].printed['read'].get('check', 0):,}",
        cached=_ratio(runs, CACHED, "trl"),
        compact=_ratio(runs, COMPACT, CACHED),
        unpadded=_ratio(runs, SEPARATE, COMPACT),
        sharing=_ratio(runs, SHARED, SEPARATE),
        on_gpu=_ratio(runs, SHARED, COMPACT),
        sharing_tokens=f"{runs[SHARED].printed['read']['policy'] / runs[SEPARATE].printed['read']['policy']:.2f}",
        bar=_bar(runs[SHARED].median / runs[CACHED].median, 0.5, "CPU time of `trl-cached`"),
        memory_bar=_bar(max(runs[SHARED].megabytes) / max(runs["trl"].megabytes), 1, "peak of `trl`"),
        others=_table(
            ["lengths", *(f"`{variant}`, CPU-s" for variant in VARIANTS if variant != COMPACT),
             "`shared` to `trl-cached`", "its tokens to TRL's", "its memory to TRL's"],
            (_other_row(name, trained[name]) for name in ("long", "short")),
        ),
        steps=STEPS,
        step_pairs=STEP_PAIRS,
        micro_pairs=MICRO_PAIRS,
        counted=_table(
            ["layout", *(f"{ranks} ranks" for ranks in RANKS)],
            ([way, *(f"{paths[ranks][way][0]:,.0f} ({paths[ranks][way][1]:.2f})" for ranks in RANKS)] for way in WAYS),
        ),
        other_counted=_table(
            ["lengths", *(f"{ranks} ranks" for ranks in RANKS)],
            ([LENGTHS[name].told, *(_both(counted[name][ranks]) for ranks in RANKS)] for name in ("long", "short")),
        ),
        counted_bar=_bar(ratios[2], 0.55, "critical path of padded rows in order"),
        counted_ratios=", ".join(f"{ratio:.2f} at {ranks}" for ranks, ratio in ratios.items()),
        published=", ".join(f"{ratio:.2f} at {ranks}" for ranks, ratio in PUBLISHED.items()),
        heads=_table(
            ["head", "positions", "CPU-s", "anonymous memory, MB"],
            ([HEADS[name], f"{run.printed['positions']:,}", f"{run.median:.1f}", run.memory]
             for name, run in heads.items()),
        ),
        vocabulary=f"{train_child.HEAD_VOCABULARY:,}",
        hidden=train_child.HIDDEN,
        slower=f"{heads['fused all'].median / heads['plain all'].median:.1f}",
        passes=_table(
            ["layout", "CPU-s", "spread", "runs", "anonymous memory, MB", "to padded"],
            ([name, *run.cells, run.memory, f"{run.median / passes[PADDED].median:.2f}"]
             for name, run in passes.items()),
        ),
        **_paper(ratios[16]),
    )  # fmt: skip


def _paper(ratio: float) -> dict[str, str]:
    """Return the arithmetic of the paper's run; a token of training costs 5 with the reference in the loop, else 4."""
    whole = FORWARD + BACKWARD + AGAIN + FORWARD
    cached = whole / (whole - FORWARD)
    training, reference = PAPER_HOURS * ratio / cached, PAPER_HOURS * ratio * FORWARD / whole / EPOCHS
    return {
        "paper": str(PAPER_HOURS), "epochs": str(EPOCHS), "ratio": f"{ratio:.2f}", "cached_by": f"{cached:.2f}",
        "training_hours": f"{training:.2f}", "reference_hours": f"{reference:.2f}",
        "hours": f"{training + reference:.1f}",
    }  # fmt: skip


def _length_row(name: str) -> list[str]:
    lengths = LENGTHS[name]

    def told(spread: Spread) -> str:
        return f"{spread.median:.0f} ({spread.below}, {spread.above})"

    mean = statistics.mean(pair.real for pair in draw(name, STEPS * STEP_PAIRS, seed=1))
    spreads = (told(getattr(lengths, part)) for part in ("prompt", "chosen", "rejected"))
    return [lengths.told, *spreads, f"{lengths.max_prompt:,}", f"{lengths.max_length:,}", f"{mean:,.0f}"]


def _training_row(runs: dict[str, Measured], variant: str) -> list[str]:
    run = runs[variant]
    read, other = (run.printed["read"].get(who, 0) for who in ("policy", "reference"))
    ratios = [_ratio(runs, variant, against) for against in ("trl", CACHED)]
    name = f"`{variant}`: {VARIANTS[variant]}"
    return [name, *run.cells, f"{read:,}", f"{other:,}" if other else "", run.memory, *ratios]


def _other_row(name: str, runs: dict[str, Measured]) -> list[str]:
    tokens = runs[SHARED].printed["read"]["policy"] / runs[CACHED].printed["read"]["policy"]
    memory = max(runs[SHARED].megabytes) / max(runs["trl"].megabytes)
    seconds = (f"{run.median:.1f}" for run in runs.values())
    told = f"{LENGTHS[name].told}, {train_child.STEPS[name]} steps"
    return [told, *seconds, _ratio(runs, SHARED, CACHED), f"{tokens:.2f}", f"{memory:.2f}"]


def _both(paths: dict[str, tuple[float, float]]) -> str:
    """Return padded in order → shared and dealt, and their ratio."""
    return f"{paths[TRL][1]:.2f} → {paths[ZEPHYR][1]:.2f}, ratio {paths[ZEPHYR][0] / paths[TRL][0]:.2f}"


def _ratio(runs: dict[str, Measured], variant: str, against: str) -> str:
    return f"{runs[variant].median / runs[against].median:.2f}"


def _bar(figure: float, most: float, what: str) -> str:
    return f"{figure:.2f} × the {what} (the bar: {most}, {'met' if figure <= most else 'missed'})"


def _table(head: list[str], body: Iterable[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *body))


if __name__ == "__main__":
    match sys.argv[1:]:
        case []:
            main()
        case ["child", variant, name]:
            train_child.train(variant, name)
        case ["head", kind, positions]:
            train_child.head(kind, positions)
        case ["reference", layout]:
            train_child.reference(layout)
        case _:
            sys.exit(f"error: {' '.join(sys.argv[1:])!r} is none of: (nothing), child VARIANT LENGTHS")
