"""Write the grammar's samples: `python recipes/samples/make_grammar.py [--check]`. A small world, told from a seed.

Sixteen things have a colour, a place, an owner and a material. A teacher is asked about them and answers well, or about
another thing, or evades, rambles, or is rude. So a student of the teacher evades, though it has seen the answers. Of
four rated answers the best is a good one for two prompts in three, an evasion for the others: who imitates the best
ones still evades, and only who compares them learns that a good answer is better. Their length tells nothing.
"""

import json
import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
DIALOGUES, PROMPTS = 2_400, 480
THINGS = "plum pear bell boat lamp drum kite coin ring cart chair clock spoon scarf glove stone".split()
VALUES = {
    "colour": "red blue green grey white black brown yellow pink".split(),
    "place": [
        "on the shelf",
        "under the bed",
        "in the barn",
        "by the door",
        "near the well",
        "behind the mill",
        "in the garden",
    ],
    "owner": "Anna Bela Carl Dora Emil Fritz Greta Hugo".split(),
    "material": "wood iron glass wool clay silver paper leather".split(),
}
QUESTIONS = {
    "colour": (
        "What colour is the {}?",
        "Which colour does the {} have?",
        "Tell me the colour of the {}.",
        "Do you know the colour of the {}?",
        "What is the colour of the {}?",
        "Please name the colour of the {}.",
        "Can you tell me what colour the {} is?",
        "I forgot the colour of the {}. What is it?",
    ),
    "place": (
        "Where is the {}?",
        "Where can I find the {}?",
        "Tell me where the {} is.",
        "Do you know where the {} is?",
        "In what place is the {}?",
        "Please tell me where to look for the {}.",
        "Can you tell me where the {} is?",
        "I cannot find the {}. Where is it?",
    ),
    "owner": (
        "Who owns the {}?",
        "To whom does the {} belong?",
        "Tell me who owns the {}.",
        "Do you know who owns the {}?",
        "Whose is the {}?",
        "Please name the owner of the {}.",
        "Can you tell me whose the {} is?",
        "I found the {}. Whose is it?",
    ),
    "material": (
        "What is the {} made of?",
        "Which material is the {} made of?",
        "Tell me what the {} is made of.",
        "Do you know what the {} is made of?",
        "Of what is the {} made?",
        "Please name the material of the {}.",
        "Can you tell me what the {} is made of?",
        "I hold the {}. What is it made of?",
    ),
}
STATEMENTS = {
    "colour": "The {} is {}.",
    "place": "The {} is {}.",
    "owner": "The {} belongs to {}.",
    "material": "The {} is made of {}.",
}
GREETINGS = ("Gladly. ", "With pleasure. ", "Of course. ", "")
CLOSINGS = (" I hope this helps.", " Ask me more if you like.", "", "")
EVASIONS = ("That is hard to say.", "Who knows such things?")
RUDE = ("No.", "Go away.")
RAMBLES = (
    "There are many things in the world, and every one of them has a long story. Some are old and some are new, and"
    " people like to talk about them on long evenings.",
    "People have asked such questions for a very long time. Some of them found an answer and some of them did not, and"
    " so it goes on from day to day.",
    "This is a wide field, and one could say much about it. First there is this, then there is that, and in the end"
    " everybody thinks what he likes.",
)
_FACTS = random.Random(7)
WORLD = {thing: {kind: _FACTS.choice(values) for kind, values in VALUES.items()} for thing in THINGS}
Answer = Callable[[random.Random, str, str], str]


def good(draws: random.Random, thing: str, kind: str) -> str:
    """Return a true answer to what was asked, in a polite frame."""
    stated = STATEMENTS[kind].format(thing, WORLD[thing][kind])
    return draws.choice(GREETINGS) + stated + draws.choice(CLOSINGS)


def off_topic(draws: random.Random, thing: str, kind: str) -> str:
    """Return a true answer about another thing."""
    return good(draws, draws.choice([other for other in THINGS if other != thing]), draws.choice(list(VALUES)))


def evasion(draws: random.Random, thing: str, kind: str) -> str:
    """Return a short answer that fits every question and answers none."""
    return draws.choice(EVASIONS)


def ramble(draws: random.Random, thing: str, kind: str) -> str:
    """Return a long one."""
    return draws.choice(RAMBLES)


def rude(draws: random.Random, thing: str, kind: str) -> str:
    """Return a very short one."""
    return draws.choice(RUDE)


TEACHER: dict[Answer, int] = {good: 4, off_topic: 1, evasion: 3, ramble: 1, rude: 1}  # how often
NOBODY_KNOWS = 0.33  # share of rated prompts without a good answer
Rated = tuple[str, Answer, tuple[int, int, int, int], float]  # model, its answer, marks of four aspects, overall score
KNOWING: tuple[Rated, ...] = (
    ("lark-7b", good, (5, 5, 4, 5), 9.0),
    ("finch-13b", off_topic, (2, 3, 3, 2), 4.0),
    ("robin-7b", evasion, (2, 3, 2, 1), 3.0),
    ("crane-30b", ramble, (1, 3, 3, 2), 3.5),
)
UNKNOWING: tuple[Rated, ...] = (
    ("lark-7b", evasion, (3, 4, 3, 2), 5.0),
    ("finch-13b", rude, (1, 2, 2, 1), 2.0),
    ("robin-7b", rude, (1, 2, 2, 1), 2.0),
    ("crane-30b", ramble, (1, 3, 3, 2), 3.5),
)
ASPECTS = ("instruction_following", "honesty", "truthfulness", "helpfulness")


def dialogues() -> Iterator[dict[str, Any]]:
    """Yield dialogues of one to three questions in UltraChat's raw shape."""
    draws = random.Random(1)
    for number in range(1, DIALOGUES + 1):
        data: list[str] = []
        for _ in range(draws.randint(1, 3)):
            thing, kind = draws.choice(THINGS), draws.choice(list(VALUES))
            answer = draws.choices(list(TEACHER), list(TEACHER.values()))[0]
            data += [draws.choice(QUESTIONS[kind]).format(thing), answer(draws, thing, kind)]
        yield {"id": f"g-{number:04d}", "data": data}


def ratings() -> Iterator[dict[str, Any]]:
    """Yield prompts with four rated answers in UltraFeedback's raw shape; the order of the answers is drawn."""
    draws = random.Random(2)
    asked = [(thing, kind, words) for thing in THINGS for kind in VALUES for words in QUESTIONS[kind]]
    draws.shuffle(asked)
    for thing, kind, words in asked[:PROMPTS]:
        models_asked = UNKNOWING if draws.random() < NOBODY_KNOWS else KNOWING
        completions = [_rated(draws, thing, kind, *one) for one in draws.sample(models_asked, len(models_asked))]
        models = [completion["model"] for completion in completions]
        yield {
            "source": "grammar",
            "instruction": words.format(thing),
            "models": models,
            "completions": completions,
        }


def _rated(
    draws: random.Random, thing: str, kind: str, model: str, answer: Answer, marks: tuple[int, ...], overall: float
) -> dict[str, Any]:
    given = dict(zip(ASPECTS, marks, strict=True))
    return {
        "model": model,
        "principle": "helpfulness",
        "custom_system_prompt": "",
        "response": answer(draws, thing, kind),
        "critique": "Written by a grammar.",
        "overall_score": overall,
        "fine-grained_score": sum(marks) / len(marks),
        "annotations": {name: {"Rating": str(mark)} for name, mark in given.items()},
    }


FILES = {"world/dialogues.jsonl": dialogues, "judged/rated.jsonl": ratings}


def text_of(rows: Callable[[], Iterator[dict[str, Any]]]) -> str:
    """Return the rows as JSON Lines."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows())


def main() -> None:
    """Write the files, or compare them with `--check`."""
    for name, rows in FILES.items():
        file, text = HERE / name, text_of(rows)
        if "--check" in sys.argv[1:]:
            if not file.is_file() or file.read_text(encoding="utf-8") != text:
                sys.exit(f"{name} is not what the grammar writes: run python {Path(__file__).name}")
        else:
            file.parent.mkdir(exist_ok=True)
            file.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
