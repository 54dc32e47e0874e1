"""What we write opens: the whole dataset and every configuration on its card, for the smallest sets too."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import dialogue
from tests.zephyr_data.rated import generic

DIALOGUES = [dialogue(f"What is a plum, number {number}?", "A plum is a fruit.") for number in range(3)]
SETS: dict[str, tuple[str, list[str], dict[str, Any]]] = {
    "one dialogue": ("clean", DIALOGUES[:1], {"truecase": False}),
    "no test side": ("clean", DIALOGUES, {"test_share": 0.0}),
    "one dropped": ("clean", [*DIALOGUES, "x"], {}),
    "one pair": ("binarize", [generic("p", [2, 1])], {}),
    "no test pairs": ("binarize", [generic(f"p{number}", [2, 1]) for number in range(3)], {"test_prompts": 0}),
}


@pytest.mark.parametrize("name", SETS)
def test_the_smallest_sets(
    name: str, write: Callable[..., Path], clean: Callable[..., Any], binarize: Callable[..., Any], tmp_path: Path
) -> None:
    from datasets import load_dataset

    step, lines, flags = SETS[name]
    content = (clean if step == "clean" else binarize)(write(lines), out="set", **flags)
    folder, cache = tmp_path / "set", str(tmp_path / "cache")
    loaded = load_dataset(str(folder), cache_dir=cache)
    rows = {split: entry["rows"] for split, entry in content["splits"].items() if entry["rows"]}
    assert {split: table.num_rows for split, table in loaded.items()} == rows and rows
    card = yaml.safe_load((folder / "README.md").read_text(encoding="utf-8").split("---")[1])
    names = {config["config_name"] for config in card["configs"]}
    assert ("audit-dropped" in names) == bool(sum(content["counts"]["dropped"].values())) and "audit-kept" in names
    for config in names - {"default"}:
        assert load_dataset(str(folder), config, split="train", cache_dir=cache).num_rows
