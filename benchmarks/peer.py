"""What a user would write, with `datasets`, `re`, `langdetect`, `truecase`: `python -m benchmarks.peer FILE OUT`.

The phrases come first, which spares the peer some of the dear steps. The package's own tokenizer needs a download, so
words are cut by NLTK's rules without one. The truecaser sees every assistant turn, as its documentation says.
"""

import hashlib
import re
import sys
import tempfile
from typing import Any

from datasets import Dataset, disable_caching, disable_progress_bars, load_dataset
from langdetect import DetectorFactory, LangDetectException, detect
from nltk.tokenize import NLTKWordTokenizer
from truecase.TrueCaser import TrueCaser

PHRASES = re.compile(
    r"as an ai|language model|i do not have personal|i don['’]t have personal|i do not have feelings|i cannot browse"
    r"|i don['’]t have access|i do not have access|i['’]m sorry, but",
    re.IGNORECASE,
)


def main(source: str, target: str) -> None:
    """Clean a file of raw dialogues into a Parquet file."""
    disable_caching()
    disable_progress_bars()
    DetectorFactory.seed = 0
    caser, cutter, seen = TrueCaser(), NLTKWordTokenizer(), set[str]()

    def is_plain(row: dict[str, Any]) -> bool:
        return not any(PHRASES.search(turn) for turn in row["data"][1::2])

    def is_english(row: dict[str, Any]) -> bool:
        try:
            return bool(detect(" ".join(row["data"])) == "en")
        except LangDetectException:
            return False

    def truecased(row: dict[str, Any]) -> dict[str, Any]:
        turns = list(row["data"])
        for place in range(1, len(turns), 2):
            words = caser.get_true_case_from_tokens(cutter.tokenize(turns[place]), "as-is")
            turns[place] = caser.detknzr.detokenize(words)
        return {"data": turns}

    def is_new(row: dict[str, Any]) -> bool:
        key = hashlib.sha256("\x1e".join(row["data"]).lower().encode()).hexdigest()
        return not (key in seen or seen.add(key))  # type: ignore[func-returns-value]

    with tempfile.TemporaryDirectory() as cache:
        rows: Dataset = load_dataset("json", data_files=source, split="train", cache_dir=cache)
        rows = rows.filter(is_plain).filter(is_english).map(truecased).filter(is_new)
        rows.to_parquet(target)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
