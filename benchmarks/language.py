"""Compare the language stage with `langdetect` on held-out text, and their cost: `python -m benchmarks.language`.

Prints Markdown; texts are named by their hash, with `--texts` by their beginnings. What a disagreeing text really is
was judged by reading and stands in tests/labelled/language.json.
"""

import hashlib
import json
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from langdetect import DetectorFactory, LangDetectException
from langdetect import detect as package

from benchmarks.corpus import SHARED
from benchmarks.prose import found_prose, shared_dialogues
from zephyr_data.cleaning.detector import SEED
from zephyr_data.cleaning.language import UNDETERMINED, detect
from zephyr_data.cleaning.language_stage import CHARACTERS, TURNS, mark_language
from zephyr_data.schemas import DIALOGUES

LABELS = Path(__file__).resolve().parent.parent / "tests" / "labelled" / "language.json"
REPEATS, PEER_DIALOGUES = 30, 120


@dataclass(frozen=True)
class Compared:
    """A text, what both say, and what it is where somebody has read it."""

    source: str
    text: str
    ours: str
    theirs: str
    truth: str | None

    @property
    def agrees(self) -> bool:
        """Return whether both would keep it as English, or neither."""
        return (self.ours == "en") == (self.theirs == "en")

    @property
    def right(self) -> str:
        """Return who was right; either where a text is in two languages."""
        if self.truth is None:
            return "not read"
        if self.truth == "mixed":
            return "either"
        return "ours" if (self.ours == "en") == (self.truth == "en") else "langdetect"


def main() -> None:
    """Print the page."""
    print("\n".join([*speed(), "", *agreement(compared([*shared_dialogues(), *found_prose()]))]))


def compared(dialogues: Iterable[tuple[str, list[str]]]) -> list[Compared]:
    """Return what the stage and the package say of each dialogue's sample."""
    labels, found = json.loads(LABELS.read_text(encoding="utf-8")), []
    for source, turns in dialogues:
        text = sample(turns)
        if text.strip():
            truth = labels.get(digest(text))
            found.append(Compared(source, text, ours(turns), theirs(text), truth))
    return found


def sample(turns: list[str]) -> str:
    """Return what the stage reads of a dialogue."""
    return "\n".join(turn[:CHARACTERS] for turn in turns[:TURNS])


def digest(text: str) -> str:
    """Return the name of a text in the labelled file."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def ours(turns: list[str]) -> str:
    """Return what the stage calls a dialogue."""
    table = pl.DataFrame([{"turns": turns}], schema=DIALOGUES)
    dropped: str | None = mark_language()(table)["dropped_by"][0]
    if dropped:
        return dropped.removeprefix("language/detected-")
    return UNDETERMINED if detect(sample(turns)) == UNDETERMINED else "en"


def theirs(text: str) -> str:
    """Return what the package calls a text, with the seed of ours."""
    DetectorFactory.seed = SEED
    try:
        return str(package(text))
    except LangDetectException:
        return "nothing"


def agreement(texts: list[Compared]) -> Iterator[str]:
    """Yield a table by source, and each disagreement."""
    by_source = defaultdict[str, Counter[str]](Counter)
    apart = [text for text in texts if text.ours != UNDETERMINED and not text.agrees]
    for text in texts:
        kind = "und" if text.ours == UNDETERMINED else "agree" if text.agrees else text.right
        by_source[text.source][kind] += 1
    kinds = ("und", "agree", "ours", "langdetect", "either", "not read")
    yield "| source | texts | too little prose | agree | ours right | langdetect right | mixed | not read | agreement |"
    yield "|---|---|---|---|---|---|---|---|---|"
    by_source["**all**"] = sum(by_source.values(), Counter())
    for source, counts in by_source.items():
        numbers = [f"{number:,}" for number in (counts.total(), *(counts[kind] for kind in kinds))]
        share = counts["agree"] / max(counts.total() - counts["und"], 1)
        yield f"| {source} | {' | '.join(numbers)} | {share:.2%} |"
    told = [text for text in texts if text.ours != UNDETERMINED]
    faults = sum(text.right == "langdetect" for text in apart)
    yield from (
        "",
        f"Agreement: {1 - len(apart) / len(told):.3%} of {len(told):,}; ours at fault: {faults / len(told):.3%}.",
    )
    yield from ("", "| source | text | ours | langdetect | is | right |", "|---|---|---|---|---|---|")
    for text in apart:
        shown = " ".join(text.text.split())[:60] if "--texts" in sys.argv else digest(text.text)
        yield f"| {text.source} | {shown} | {text.ours} | {text.theirs} | {text.truth or '?'} | {text.right} |"


def speed() -> Iterator[str]:
    """Yield how many times as fast the stage is as the package on the English dialogues of shared rows."""
    lines = (SHARED / "ultrachat" / "ultrachat_small_000-599.jsonl").read_text(encoding="utf-8").splitlines()
    dialogues = [[message["content"] for message in json.loads(line)["messages"]] for line in lines]
    table = pl.DataFrame({"turns": dialogues * REPEATS}, schema_overrides={"turns": DIALOGUES["turns"]})
    table = pl.concat([pl.DataFrame(schema=DIALOGUES), table], how="diagonal")
    stage = mark_language()
    own = min(_seconds(lambda: stage(table)) for _ in range(5)) / len(table)
    some = dialogues[:PEER_DIALOGUES]
    whole = _seconds(lambda: [theirs("\n".join(turns)) for turns in some]) / len(some)
    same = _seconds(lambda: [theirs(sample(turns)) for turns in some]) / len(some)
    yield "| | CPU time per English dialogue, µs | ratio to ours |"
    yield "|---|---|---|"
    for name, seconds in (("the stage", own), ("langdetect, whole dialogue", whole), ("langdetect, our sample", same)):
        yield f"| {name} | {seconds * 1e6:,.1f} | {seconds / own:,.0f} |"


def _seconds(call: Callable[[], object]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


if __name__ == "__main__":
    main()
