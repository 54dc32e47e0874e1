"""Names of the dialogue: which capitals of other turns a reply that lost its own gets back, and which say nothing."""

import json
from collections import Counter, defaultdict

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import shared
from zephyr_data.cleaning.truecase.stage import truecase
from zephyr_data.schemas import DIALOGUES


def replies(dialogues: list[list[str]]) -> list[list[str]]:
    """Return the turns as the stage leaves them."""
    table = pl.DataFrame([{"turns": turns} for turns in dialogues], schema=DIALOGUES)
    return list(truecase()(table)["turns"].to_list())


RESTORED = {
    "one name, said once": (
        "Do you know when Zopalia opens its shop?",
        "I do not know when zopalia opens, but zopalia's page may say.",
        "I do not know when Zopalia opens, but Zopalia's page may say.",
    ),
    "all parts of a name": (
        "We have met Orla Quibbet of Lower Fenmoor at the Zopal Tea Fair.",
        "I have no word of orla quibbet, of lower fenmoor, or of the zopal tea fair.",
        "I have no word of Orla Quibbet, of Lower Fenmoor, or of the Zopal Tea Fair.",
    ),
    "common words that are a name together": (
        "What is sold at Line Press? I often buy at Line Press.",
        "I am not sure what they sell at line press.",
        "I am not sure what they sell at Line Press.",
    ),
    "a title that is quoted again": (
        'Who wrote the poem "Songs of the Salt Path" and when?',
        'I cannot say who wrote "songs of the salt path" or where it is.',
        'I cannot say who wrote "Songs of the Salt Path" or where it is.',
    ),
    "the casing that its owners chose": (
        "I use QuibbleDesk and a VPN at work.",
        "It is fine to use quibbledesk with a vpn.",
        "It is fine to use QuibbleDesk with a VPN.",
    ),
    "both sides of a hyphen": (
        "Who printed the New-Fenmoor Courant that year?",
        "I do not know who printed the new-fenmoor courant.",
        "I do not know who printed the New-Fenmoor Courant.",
    ),
    "other names go with them": (
        "What is the way from Fenmoor to the sea?",
        "It is a long way from fenmoor through france to the sea.",
        "It is a long way from Fenmoor through France to the sea.",
    ),
}


@pytest.mark.parametrize("kind", RESTORED)
def test_names_of_the_dialogue_come_back(kind: str) -> None:
    user, reply, wanted = RESTORED[kind]
    assert replies([[user, reply]]) == [[user, wanted]]


STAYS = {
    "a sentence start": ("Plums are what I like. Are they good in a cake?", "I think that plums are good in it."),
    "a heading": (
        "Baked Plum Cake With Almond Crust\nhow long does it take?",
        "Let the plum cake with the almond crust cool.",
    ),
    "a list": (
        "Rate them:\n1. Almond Crust\n2. Plum Jam - sweet\nwhich is best?",
        "I would take the almond crust, or the plum jam.",
    ),
    "a line in capitals": ("HOW TO BAKE A PLUM CAKE\nis it hard?", "It is not hard to bake a plum cake."),
    "a title in quotation marks": ('Who wrote "The Plum Tree" and why?', "In it, the plum tree stands for home."),
    "one of a kind": ("May I bring a Tandem to the Garden Shop?", "You may bring a tandem to any garden shop."),
    "also said in lower case": ("We sell Almond Cake. Is almond cake sweet?", "It is true that almond cake is sweet."),
    "an interjection": ("He said Oh when he saw it.", "It is fine to say oh when you see it."),
    "an address": ("Is Plumweb good? I read plumweb.example once.", "It is said that plumweb.example is fine."),
    "a reply with capitals of its own": (
        "Is Basil Tea good with Mint?",
        "Some in Rome say that mint and basil are good.",
    ),
}


@pytest.mark.parametrize("kind", STAYS)
def test_capitals_that_say_nothing(kind: str) -> None:
    user, reply = STAYS[kind]
    assert replies([[user, reply]]) == [[user, reply]]


def test_who_asks_for_lower_case_gets_it() -> None:
    dialogue = ["Write of Zopalia in lower case, please.", "It is told that zopalia was far away."]
    assert replies([dialogue]) == [dialogue]


WORDS = 'İstanbul met Zopalia zopalia the Of of "Salt salt Path" ß ẞ ŉ ǅ Σίσυφος i I. a New-Fenmoor \'s e\u0301 \u00ad \n . ! 😀 @x http://Zop.x'.split(
    " "
)


@settings(deadline=None)  # the first reads the table
@given(st.lists(st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join), min_size=2, max_size=4))
def test_law_only_case_changes_whatever_the_other_turns_say(turns: list[str]) -> None:
    (changed,) = replies([turns])
    assert [len(turn) for turn in changed] == [len(turn) for turn in turns]
    assert [turn.casefold() for turn in changed] == [turn.casefold() for turn in turns]


def test_names_of_real_replies() -> None:
    """Labelled by reading (`../shared/bin/score-casing`): names come back, and other words stay."""
    words = defaultdict(list)
    for line in shared("labelled/casing_real.jsonl").read_text(encoding="utf-8").splitlines():
        label = json.loads(line)
        words[label["file"]].append(label)
    counts = Counter[tuple[str, str]]()
    for name, labels in words.items():
        rows = [json.loads(row) for row in shared(name).read_text(encoding="utf-8").splitlines()]
        texts = replies([[message["content"] for message in row["messages"]] for row in rows])
        for label in labels:
            start = label["offset"]
            now = texts[label["line"] - 1][label["turn"]][start : start + len(label["word"])]
            counts[label["label"], now] += 1
            is_raised = now == label["elsewhere"]
            counts[label["label"], "raised" if is_raised else "kept"] += 1
    named, others = (counts[label, "raised"] + counts[label, "kept"] for label in ("cap", "low"))
    assert named > 90 and counts["cap", "raised"] >= 0.75 * named
    assert others > 200 and counts["low", "raised"] <= 0.01 * others
