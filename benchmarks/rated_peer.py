"""What a user would write with `datasets`: `python -m benchmarks.rated_peer FILE OUT` makes pairs of raw UltraFeedback.

The mean rating of each answer, the best against a random lower one, both as messages. Prints the CPU-seconds of `map`.
"""

import random
import sys
import tempfile
import time
from typing import Any

from datasets import Dataset, disable_caching, disable_progress_bars, load_dataset


def main(source: str, target: str) -> None:
    """Turn a Parquet file of raw rows into one of pairs."""
    disable_caching()
    disable_progress_bars()
    chance = random.Random(42)

    def score(answer: dict[str, Any]) -> float | None:
        ratings = [aspect["Rating"] for aspect in answer["annotations"].values()]
        known = [float(rating) for rating in ratings if rating != "N/A"]
        return sum(known) / len(known) if known else None

    def paired(row: dict[str, Any]) -> dict[str, Any]:
        scored = [(score(answer), answer["response"]) for answer in row["completions"] if answer["response"].strip()]
        known = [(value, text) for value, text in scored if value is not None]
        best = max(known, default=(0.0, ""))
        lower = [answer for answer in known if answer[0] < best[0]]
        rejected = chance.choice(lower) if lower else (None, "")
        asked = {"role": "user", "content": row["instruction"]}
        return {
            "prompt": row["instruction"],
            "chosen": [asked, {"role": "assistant", "content": best[1]}],
            "rejected": [asked, {"role": "assistant", "content": rejected[1]}],
            "score_chosen": best[0],
            "score_rejected": rejected[0],
        }

    with tempfile.TemporaryDirectory() as cache:
        rows: Dataset = load_dataset("parquet", data_files=source, split="train", cache_dir=cache)
        start = time.process_time()
        pairs = rows.map(paired, remove_columns=rows.column_names)
        print(time.process_time() - start)
        pairs.filter(lambda score: score is not None, input_columns="score_rejected").to_parquet(target)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
