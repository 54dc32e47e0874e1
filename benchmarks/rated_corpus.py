"""Make raw UltraFeedback of a given number of rows, four answers each: `python -m benchmarks.rated_corpus ROWS FILE`.

Sentences of real dialogues are drawn anew for each text. FILE is JSON Lines; `as_table` writes its rows as Parquet.
"""

import itertools
import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks.corpus import english

ASPECTS = ("instruction_following", "honesty", "truthfulness", "helpfulness")
MODELS = ("gpt-4", "alpaca-7b", "llama-2-7b-chat", "falcon-40b-instruct", "bard", "vicuna-33b", "wizardlm-13b")
SOURCES = ("evol_instruct", "ultrachat", "sharegpt", "flan_v2_niv2", "false_qa", "truthful_qa")
UNRATED = 0.02  # share of the ratings
GROUP = 5_000  # rows of a Parquet row group


def main(rows: int, target: Path, seed: int = 0) -> None:
    """Write so many rows."""
    with target.open("w", encoding="utf-8") as stream:
        for row in itertools.islice(rated(random.Random(seed)), rows):
            stream.write(json.dumps(row, ensure_ascii=False) + "\n")


def as_table(source: Path, target: Path) -> None:
    """Write the rows of a file as Parquet."""
    pl.scan_ndjson(source).sink_parquet(target, compression="zstd", compression_level=1, row_group_size=GROUP)


def rated(chance: random.Random) -> Iterator[dict[str, Any]]:
    """Yield rows without end."""
    _, _, (said, answered) = english()

    def text(pool: list[str], least: int, most: int) -> str:
        return " ".join(chance.choices(pool, k=chance.randint(least, most)))

    def answer(model: str) -> dict[str, Any]:
        worth = chance.random() * 4 + 1
        rated = {name: min(5, max(1, round(worth + chance.gauss(0, 0.7)))) for name in ASPECTS}
        annotations = {
            name: {
                "Rating": "N/A" if chance.random() < UNRATED else str(rating),
                "Rationale": text(answered, 1, 2),
                **({} if name in ASPECTS[:2] else {"Type": ["1"], "Rationale For Rating": text(answered, 1, 1)}),
            }
            for name, rating in rated.items()
        }
        return {
            "model": model,
            "principle": "helpfulness",
            "custom_system_prompt": "You are a helpful assistant.",
            "response": text(answered, 4, 12),
            "critique": text(answered, 4, 8),
            "overall_score": float(min(10, max(1, round(2 * worth)))),
            "fine-grained_score": sum(rated.values()) / len(rated),
            "annotations": annotations,
        }

    while True:
        models = chance.sample(MODELS, 4)
        yield {
            "source": chance.choice(SOURCES),
            "instruction": text(said, 1, 3),
            "models": models,
            "completions": [answer(model) for model in models],
            "correct_answers": ["None"],
            "incorrect_answers": ["None"],
        }


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
