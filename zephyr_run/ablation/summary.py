"""The figures of all seeds in one record: means, spread, and what each arm said."""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from zephyr_core.reading import json_file, json_lines
from zephyr_run.ablation.arms import ARMS, Place

FIGURES = ("accuracy_per_token", "implicit_accuracy", "eos_probability", "stopped_share", "played_on_share")
NAMES = tuple(arm.name for arm in ARMS)
SHOWN = 6  # prompts whose answers are shown side by side


def summary(recipe: str, places: Sequence[Place]) -> dict[str, Any]:
    """Return the record behind the page, JSON-ready."""
    seeds = {place.seed: _measured(place) for place in places}
    some = next(iter(seeds.values()))["ddpo"]
    return {
        "recipe": recipe,
        "seeds": list(seeds),
        "pairs": some["pairs"],
        "answered": len(some["answers"]),
        "chance": 0.5,
        "longer_is_chosen": some["longer_is_chosen"],
        "arms": {name: _spread([arms[name] for arms in seeds.values()]) for name in ("base", *NAMES)},
        "paper": {arm.name: {"mt_bench": arm.mt_bench, "alpaca_eval": arm.alpaca_eval} for arm in ARMS},
        "epochs": {arm: [_epochs(place.of(arm)) for place in places] for arm in ("ddpo", "ddpo-alone")},
        "first_loss": {
            arm: [_rows(place.of(arm), "train")[0]["loss"] for place in places] for arm in ("ddpo", "ddpo-alone")
        },
        "samples": _samples(seeds[places[0].seed]),
    }


def _measured(place: Place) -> dict[str, dict[str, Any]]:
    """Return arm → figures of one seed; "base" is the model before dSFT."""
    by_arm: dict[str, dict[str, Any]] = {}
    for start in ("dsft-1", "base"):
        content = json_file(place.figures(start))
        shared = {name: content[name] for name in ("pairs", "longer_is_chosen")}
        for name, figures in content["models"].items():
            arm = Path(name).name if Path(name).parent == place.folder else "base"
            by_arm[arm] = {**figures, **shared}
    return by_arm


def _spread(measures: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return each figure's mean, least and largest over seeds, and the standard error of one seed's share."""
    figures: dict[str, Any] = {"standard_error": statistics.mean(one["standard_error"] for one in measures)}
    for name in FIGURES:
        values = [one[name] for one in measures if one[name] is not None]
        figures[name] = (
            {"mean": statistics.mean(values), "least": min(values), "largest": max(values), "values": values}
            if values
            else None
        )
    return figures


def _epochs(run: Path) -> list[dict[str, float]]:
    """Return each epoch's share of train pairs with a margin above 0 as it trained them, and the test share."""
    import pyarrow.parquet as pq

    tests = {round(row["epoch"]): row for row in _rows(run, "test") if abs(row["epoch"] - round(row["epoch"])) < 1e-6}
    epochs = []
    for number in range(1, len(list((run / "margins").glob("epoch-*.parquet"))) + 1):
        with (run / "margins" / f"epoch-{number}.parquet").open("rb") as stream:
            margins = pq.read_table(stream, columns=["margin"])["margin"].to_pylist()
        test = tests.get(number, {})
        epochs.append(
            {
                "epoch": number,
                "train_accuracy": sum(margin > 0 for margin in margins) / max(len(margins), 1),
                "test_accuracy": test.get("accuracy"),
                "test_loss": test.get("loss"),
            }
        )
    return epochs


def _rows(run: Path, split: str) -> list[dict[str, Any]]:
    rows, _ = json_lines(run / "metrics.jsonl")
    return [row for row in rows if row["split"] == split]


def _samples(by_arm: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the first prompts with every arm's answer, and whether it ended its turn."""
    return [
        {
            "prompt": by_arm["ddpo"]["prompts"][place],
            "answers": {
                arm: {"text": by_arm[arm]["answers"][place], "stopped": by_arm[arm]["stopped"][place]} for arm in NAMES
            },
        }
        for place in range(min(SHOWN, len(by_arm["ddpo"]["prompts"])))
    ]
