"""Truecasing: what is repaired, what is left alone, and the law that only case changes."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import dialogue
from zephyr_data.cleaning.truecase.restore import lower_letter, raise_letter, restore
from zephyr_data.cleaning.truecase.stage import FLAG
from zephyr_data.cleaning.truecase.statistics import statistics

Clean = Callable[..., dict[str, Any]]
Write = Callable[..., Path]


def restored(text: str, user_text: str = "") -> str:
    return restore(text, statistics(), user_text)[0]


REPAIRED = {
    "Hello. how are you?": "Hello. How are you?",
    "I am glad to help you! charles dickens was an English writer.": "I am glad to help you! Charles Dickens was an English writer.",
    "Is it late? yes, it is.": "Is it late? Yes, it is.",
    "If you ask me, i think that i'm right and i've said so.": "If you ask me, I think that I'm right and I've said so.",
    "paris is the capital of france. it lies on the seine.": "Paris is the capital of France. It lies on the seine.",
    "THE CAT IS IN THE HOUSE AND YOU ARE NOT THERE. IT IS RAINING IN LONDON.": (
        "The cat is in the house and you are not there. It is raining in London."
    ),
    "We met on monday and in december. it was fun.": "We met on Monday and in December. It was fun.",
    "The temperature is in Celsius. at sea level it is lower.": "The temperature is in Celsius. At sea level it is lower.",
    "They live in the United states. they like it.": "They live in the United States. They like it.",
}


@pytest.mark.parametrize(("damaged", "whole"), REPAIRED.items())
def test_damage_is_repaired(damaged: str, whole: str) -> None:
    assert restored(damaged) == whole


UNTOUCHED = [
    "Use nuts, seeds, etc. to add crunch, and bake it.",
    "It is correlation vs. causation that you have to look at.",
    "Some of the fruits (e.g. plums and pears) are in season, i.e. they are cheap.",
    "See Fig. three of the paper, and No. five on the list.",
    "He collects Pop! figures and reads Yahoo! answers for fun.",
    "Call Math. floor to round the number down in the code.",
    "The tale was told by J. r. in the book of the year.",
    "Well... maybe it is so. And yet… it is not.",
    '"Stop!" he shouted at the dog in the street.',
    '"Really?" she asked, and it was the end of that.',
    "Run `make. then test` and you are done with it.",
    "```\nfoo. bar\nif i > 0. then\n```\nThat is the code for it.",
    "The site is at https://example.com/a. b and it is good for you.",
    "Write to me. at@home.org is the address that I use for it.",
    "The path is /usr/local. bin is in it, and that is all.",
    "The value of $x. y$ is the product of the two, and \\(a. b\\) is too.",
    "Put <b>bold. text</b> into the page and it is shown as such.",
    "Node.js is a runtime, and os.path. join is in the module.",
    "Set max_length. min_length is the other one that you can set.",
    "Tag it with #health. @anna will see it in the list of the day.",
    "Versions 1.2. 3 and 4 are the ones that you have to install.",
    "1. first item of the list\n2. second item of the list",
    "- milk\n- eggs\n- flour for the cake",
    "positive",
    "iPhone users like it. The eBay app is for the others.",
    "The file is README. md in the folder of the project.",
    "You may hear the march of the toy soldiers, and the bill will be paid.",
    "for i in range(10):\n    print(i)",
    "It arrives at 5 p.m. and the bus leaves at 6 a.m. from there.",
    "NASA HTML SQL",
    "SELECT NAME FROM USERS WHERE AGE > 30 ORDER BY NAME",
    "the quiet pond\na frog jumps in the water\nand the sound of it",
    "Das ist gut. aber nicht immer so, und nicht heute.",
    "x",
    "",
]


@pytest.mark.parametrize("text", UNTOUCHED)
def test_look_alikes_stay(text: str) -> None:
    assert restored(text) == text


def test_a_quotation_of_the_user_stays_and_one_of_its_own_does_not() -> None:
    text = 'You wrote "i am late. sorry for it" and that is wrong.'
    assert restored(text, user_text="mend this: i am late. sorry for it") == text
    assert restored(text) == 'You wrote "I am late. Sorry for it" and that is wrong.'


def test_who_asks_for_case_gets_it(write: Write, clean: Clean, tmp_path: Path) -> None:
    reply = "slow down. there is always time for one more cup of tea."
    rows = [
        dialogue("please answer in lower case: a motto for a tea shop", reply),
        dialogue("a motto for a tea shop", reply),
    ]
    clean(write(rows), duplicates="off")
    messages = pl.read_parquet(tmp_path / "out" / "data" / "*_sft-*.parquet")["messages"].to_list()
    assert sorted(row[1]["content"][0] for row in messages) == ["S", "s"]


@pytest.mark.parametrize("damaged", REPAIRED)
def test_the_flag_sees_what_is_repaired(damaged: str) -> None:
    assert pl.Series([damaged]).str.contains(FLAG).item()


def test_undamaged_prose_is_not_flagged() -> None:
    prose = "Plums are ripe in August. They keep for a week! Is that long? It is (I think) long enough."
    assert not pl.Series([prose]).str.contains(FLAG).item()


WORDS = st.sampled_from(
    "the The of i I i'm paris london etc. vs. hello! why? it USA https://x.y/z `a. b` ``` é Ü ß ŉ İ ı ﬁ ǆ Σ ς 😀 1. 2 # ( ) \" ’ \n \n\n a. b".split(
        " "
    )
)


@given(
    st.one_of(
        st.text(), st.lists(WORDS, max_size=40).map(" ".join), st.lists(WORDS, max_size=40).map(" ".join).map(str.upper)
    )
)
def test_law_only_case_changes(text: str) -> None:
    after, changes = restore(text, statistics())
    assert len(after) == len(text)
    assert after.casefold() == text.casefold()
    differing = {at for at in range(len(text)) if after[at] != text[at]}
    covered = {at for change in changes for at in range(change.start, change.end)}
    assert differing <= covered
    assert all(change.rule for change in changes)


@given(st.characters())
def test_law_a_letter_changes_its_case_and_comes_back(letter: str) -> None:
    for changed in (raise_letter(letter), lower_letter(letter)):
        assert len(changed) == 1 and changed.casefold() == letter.casefold()
        assert changed == letter or letter in (raise_letter(changed), lower_letter(changed))


def test_decisions_do_not_hang_on_the_hash_seed() -> None:
    code = (
        "import json\nfrom tests.zephyr_data.test_truecase import REPAIRED, restored\n"
        "print(json.dumps([restored(text.lower()) for text in REPAIRED]))"
    )
    printed = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed, "PATH": ""},
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(printed) == 1 and json.loads(printed.pop())


def test_scores_are_the_package_s_products() -> None:
    """The table against the package's own counts, on words that need context, known n-grams and unknown ones."""
    code = """
import json, pickle
from zephyr_data.cleaning.truecase.build import package_file
counts = pickle.load(package_file().open("rb"))
uni, back, fwd, tri = (counts[k] for k in ("uni_dist", "backward_bi_dist", "forward_bi_dist", "trigram_dist"))
found = []
for place in [("of", "may", "be"), ("in", "may", "the"), ("the", "house", "of"), ("The", "united", "states"), ("x", "will", "y"),
              ("President", "bush", "said"), ("to", "march", "on"), (None, "us", "dollar"), ("new", "york", None)]:
    prev, word, follow = place
    for casing in counts["word_casing_lookup"].get(word, ()):
        score = uni[casing] + 5
        score *= 1 if prev is None else back[f"{prev}_{casing}"] + 5
        score *= 1 if follow is None else fwd[f"{casing}_{follow}"] + 5
        score *= 1 if None in (prev, follow) else tri[f"{prev}_{casing}_{follow}"] + 5
        found.append([place, casing, score])
print(json.dumps(found))
"""
    expected = json.loads(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    )
    assert len(expected) > 15
    table = statistics()
    for (previous, word, following), casing, score in expected:
        scores = table.scores(previous, word, following)
        if word in table.needs_context:
            assert scores[casing] == score
        else:  # one casing wins in any context: the choice is the same
            best = max(
                (entry for entry in expected if entry[0] == [previous, word, following]), key=lambda entry: entry[2]
            )
            assert max(scores, key=scores.__getitem__) == best[1]


def test_user_turns_stay_unless_asked_for(write: Write, clean: Clean, tmp_path: Path) -> None:
    path = write(
        [
            dialogue(
                "hello there. what is a plum, and where does it grow?",
                "A plum is a fruit. it grows on a tree in the garden.",
            )
        ]
    )
    assert clean(path)["counts"]["rewritten_words"] == 1
    assert clean(path, truecase_roles=("assistant", "user"), out="both")["counts"]["rewritten_words"] == 3
    assert clean(path, truecase=False, out="off")["counts"]["rewritten_words"] == 0


def test_each_change_is_recorded_with_its_place(write: Write, clean: Clean, tmp_path: Path) -> None:
    clean(write([dialogue("What is a plum?", "A plum is a fruit. it grows on a tree.")]))
    record = pl.read_parquet(tmp_path / "out" / "audit" / "rewritten.parquet").row(0, named=True)
    assert (record["turn"], record["stage"], record["rule"], record["start"], record["end"]) == (
        1,
        "truecase",
        "sentence-start",
        19,
        21,
    )
    assert record["before"] == "A plum is a fruit. it grows on a tree."
    assert record["after"] == "A plum is a fruit. It grows on a tree."
