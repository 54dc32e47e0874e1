"""Translation tasks are one kind: kept and counted, or dropped, by an option."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.conftest import dialogue
from zephyr_data.cleaning.translations import is_task
from zephyr_data.reporting.story import story

Clean = Callable[..., dict[str, Any]]
Write = Callable[..., Path]
ENGLISH_TEXT = "The bakery opens at seven and the bread is still warm when the first people come in."
GERMAN_TEXT = "Die Bäckerei öffnet um sieben, und das Brot ist noch warm, wenn die ersten Leute kommen."
MORE_GERMAN = (
    "Danach wird es ruhig, bis mittags die Schule aus ist und alle Kinder noch einmal etwas Süßes kaufen wollen. "
    "Am Abend fegt der alte Bäcker den Hof, löscht das Licht und geht müde nach Hause."
)
TASKS = [
    (f"Translate this into German: {ENGLISH_TEXT}", GERMAN_TEXT),
    (f"{ENGLISH_TEXT}\nPlease put the text above into german", f"Sure, here it is:\n\n{GERMAN_TEXT}"),
    ("Write two lines about a bakery in German.", GERMAN_TEXT.upper()),
    ("Answer in another language than mine. When does the bakery open?", GERMAN_TEXT),
    ("How do you say 'good evening' in French?", "Bonsoir."),
    ("translate to Chinese: the plum tree stands by the river", "李子树在河边。它很高，也很老。"),
    ("Give the Spanish translation of this line: I like apples and pears.", "Me gustan las manzanas y las peras."),
    (
        "You teach me Italian. Let us talk about the weather.",
        "Va bene! Oggi il sole è caldo, ma domani piove. Che tempo fa da te?",
    ),
]
ENGLISH = [
    (f"Translate this into English: {GERMAN_TEXT}", ENGLISH_TEXT),
    (
        "How do you say good morning in French?",
        "You say bonjour. In the evening it is bonsoir, and at night bonne nuit.",
    ),
    ("Can you speak Korean?", "I'm not able to do that, but I can help you with this in English."),
    ("Who is the Italian coach of the team?", "Marco Bellini"),
    (
        "Translate the findings into a plan for the team, please.",
        "First, list what you have. Then share it with the people.",
    ),
]
FOREIGN = [
    (
        "Comment utiliser Google Translate au travail ?",
        "Ouvrez la page, collez le texte et choisissez la langue que vous voulez.",
    ),
    ("When does the bakery open?", f"{GERMAN_TEXT} {MORE_GERMAN}"),
    ("Was heißt bakery auf Deutsch, und wann ist sie offen?", GERMAN_TEXT),
]


@pytest.mark.parametrize(("asked", "reply"), TASKS, ids=range(len(TASKS)))
def test_tasks(asked: str, reply: str) -> None:
    assert is_task(asked, reply) and is_task(asked.upper(), reply.lower())
    assert not is_task(asked, reply, ("en", "de", "fr", "zh", "es", "it"))


@pytest.mark.parametrize(("asked", "reply"), [*ENGLISH, FOREIGN[0], FOREIGN[1]])
def test_others(asked: str, reply: str) -> None:
    assert not is_task(asked, reply) and not is_task(asked.upper(), reply.lower())


def test_kept_by_default_and_on_record(write: Write, clean: Clean, tmp_path: Path) -> None:
    path = write(dialogue(*pair, row_id=f"r{number}") for number, pair in enumerate([*TASKS, *ENGLISH, *FOREIGN]))
    counts = clean(path)["counts"]
    assert counts["kept_rows"] == len(TASKS) + len(ENGLISH) and counts["spared"]["translations"] == len(TASKS)
    assert sum(counts["dropped"].values()) == len(FOREIGN)
    spared = pl.read_parquet(tmp_path / "out" / "audit" / "spared.parquet").filter(stage="language")
    assert set(spared.select("stage", "rule", "unless", "turn").rows()) == {
        ("language", "translation", "translations", 1)
    }
    assert "translations" in story(tmp_path / "out", "r0")


def test_dropped_if_asked_and_only_in_languages_not_kept(write: Write, clean: Clean) -> None:
    path = write(dialogue(*pair) for pair in [*TASKS, *ENGLISH, *FOREIGN])
    dropped = clean(path, translations="drop")["counts"]["dropped"]
    assert dropped["language/translation"] == len(TASKS)
    german = clean(path, translations="drop", languages=("en", "de"), out="german")["counts"]
    assert german["dropped"]["language/translation"] == len(TASKS) - 4
    assert clean(path, languages=("de",), out="others")["counts"]["kept_rows"] >= 2


def test_a_later_reply_counts_too(write: Write, clean: Clean) -> None:
    rows = [dialogue("When does it open?", ENGLISH_TEXT, "And now in German, please.", GERMAN_TEXT)]
    rows += [dialogue("When does it open?", ENGLISH_TEXT)]
    assert clean(write(rows), translations="drop")["counts"]["dropped"] == {"language/translation": 1}
