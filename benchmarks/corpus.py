"""Make raw dialogues of a given size from text at hand, damaged and labelled: `python -m benchmarks.corpus MB FILE`.

A turn is a real one in which every fourth sentence is another real one, so that only planted duplicates repeat a
dialogue, while lists, lines, and how often odd characters stand in a turn stay as they are. Each row says in `labels`
what was done to it. Needs the shared real rows; nothing of them enters the project.
"""

import json
import os
import random
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SHARED = Path(os.environ.get("SHARED_FOR_TESTS", Path(__file__).resolve().parent.parent.parent / "shared")) / "data"
DAMAGED, BOILERPLATE, FOREIGN, DUPLICATE = 0.05, 0.10, 0.01, 0.02  # shares of the dialogues
EXCHANGED = 0.25  # share of the sentences of a turn that come from elsewhere
REFUSALS = (
    "As an AI language model, I don't have personal experiences, but here is what people say.",
    "I do not have personal opinions or beliefs.",
    "I'm sorry, but I cannot browse the internet.",
    "I don’t have access to real-time information.",
    "As an AI, I do not have feelings.",
)
_SENTENCE = re.compile(r"(?<=[.!?])(\s+)")


def main(megabytes: float, target: Path, seed: int = 0) -> None:
    """Write about so many megabytes of dialogues."""
    written, number = 0, 0
    with target.open("w", encoding="utf-8") as stream:
        for row in dialogues(random.Random(seed)):
            line = json.dumps({"id": str(number), **row}, ensure_ascii=False) + "\n"
            stream.write(line)
            written, number = written + len(line.encode()), number + 1
            if written >= megabytes * 1e6:
                return


def dialogues(chance: random.Random) -> Iterator[dict[str, Any]]:
    """Yield dialogues without end."""
    lengths, turns_by_role, sentences_by_role = english()
    foreign = _foreign()
    recent: list[list[str]] = []
    while True:
        if recent and chance.random() < DUPLICATE:
            yield {"data": chance.choice(recent), "labels": ["duplicate"]}
            continue
        if chance.random() < FOREIGN:
            yield {"data": [chance.choice(foreign), chance.choice(foreign)], "labels": ["foreign"]}
            continue
        turns, labels = [], []
        for place in range(chance.choice(lengths)):
            parts = list(chance.choice(turns_by_role[place % 2]))  # sentence, space, sentence, …
            for at in range(0, len(parts), 2):
                if chance.random() < EXCHANGED:
                    parts[at] = chance.choice(sentences_by_role[place % 2])
            turns.append("".join(parts))
        if chance.random() < BOILERPLATE:
            place = 2 * chance.randrange(len(turns) // 2) + 1
            turns[place] = f"{chance.choice(REFUSALS)} {turns[place]}"
            labels.append("boilerplate")
        if chance.random() < DAMAGED:
            place = 2 * chance.randrange(len(turns) // 2) + 1
            turns[place], damage = _damaged(turns[place], chance)
            labels.append(damage)
        recent = [*recent[-999:], turns]
        yield {"data": turns, "labels": labels}


def _damaged(text: str, chance: random.Random) -> tuple[str, str]:
    kind = chance.choice(("sentence-starts", "all-lower", "lone-i"))
    if kind == "all-lower":
        return text.lower(), kind
    if kind == "lone-i":
        return re.sub(r"\bI\b", "i", text), kind
    return re.sub(r"([.!?]\s+)([A-Z])", lambda match: match[1] + match[2].lower(), text), kind


def english() -> tuple[list[int], tuple[list[list[str]], ...], tuple[list[str], ...]]:
    """Return how many turns real dialogues have, their turns in sentences, and all sentences, by who says them."""
    lengths: list[int] = []
    turns: tuple[list[list[str]], ...] = ([], [])
    sentences: tuple[list[str], ...] = ([], [])
    for line in (SHARED / "ultrachat" / "ultrachat_small_000-599.jsonl").read_text(encoding="utf-8").splitlines():
        said = [message["content"] for message in json.loads(line)["messages"]]
        lengths.append(len(said))
        for place, text in enumerate(said):
            parts = _SENTENCE.split(text)
            turns[place % 2].append(parts)
            sentences[place % 2].extend(part for part in parts[::2] if part.strip())
    return lengths, turns, sentences


def _foreign() -> list[str]:
    texts = []
    for path in sorted((SHARED / "multilingual").glob("*.jsonl")):
        if "en" not in path.stem:
            texts += [_longest(json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]
    return [text for text in texts if len(text) > 40]


def _longest(value: Any) -> str:
    if isinstance(value, str):
        return value
    inner = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    return max((_longest(item) for item in inner), key=len, default="")


if __name__ == "__main__":
    main(float(sys.argv[1]), Path(sys.argv[2]))
