"""What truecasing leaves alone because it is no prose, while it mends the prose around it; and odd characters in words."""

import unicodedata

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.zephyr_data.test_dialogue_names import replies
from zephyr_data.cleaning.truecase.bare import Bare, is_bare
from zephyr_data.cleaning.truecase.stage import truecase
from zephyr_data.schemas import DIALOGUES

AROUND = ("Here it is for you. this is the one:\n\n", "\n\nThat is all of it. it works well.")
MENDED = ("Here it is for you. This is the one:\n\n", "\n\nThat is all of it. It works well.")
BLOCKS = {
    "Python": 'def odd(n):\n    if n % 2:\n        print("yes. it is odd")\n    else:\n        print("no. it is not")',
    "JavaScript": 'function add(a, b) {\n  // both are numbers. add them\n  return a + b\n}\nconsole.log("sum. done")',
    "Java": 'class Tea {\n  private String kind = "green. or black";\n  void pour() {\n    serve(this);\n  }\n}',
    "Ruby": 'class Cup\n  def fill(tea)\n    @tea = tea\n    puts "full. drink up"\n  end\nend',
    "SQL": "SELECT NAME, AGE\nFROM GUESTS\nWHERE TOWN = 'THE HAGUE. OR DELFT' AND AGE > 30\nORDER BY NAME",
    "SQL in lower case": "select name from guests\nwhere town = 'delft. or rome'\norder by name;",
    "BASIC": '10 PRINT "THE SUM IS"\n20 FOR I = 1 TO 9\n30 LET S = S + I\n40 NEXT I\n50 IF S > 20 THEN PRINT "IT IS OVER. AND YOU ARE DONE"',
    "a shell": "$ git status\nnothing to commit. tree is clean\n$ ls -la\ntotal 4",
    "a trace": 'Traceback (most recent call last):\n  File "tea.py", line 3, in <module>\n    pour(cup)\nteaError: no cup. get one',
    "a trace of Java": "Caused by: tea.NoCupException: no cup. get one\n  at tea.Pot.pour(Pot.java:12)\n  at tea.Main.main(Main.java:4)",
    "a table": "| name | note |\n|---|---|\n| ann | is late. no call |\n| bob | i do not know |",
    "tabs": "name\tnote\tday\nann\tis late. no call\tmonday\nbob\ti am in\ttuesday",
    "markup": "<ul>\n  <li>tea. and more</li>\n  <li>i like it</li>\n</ul>",
    "a doctype": '<!DOCTYPE html>\n<html lang="en">\n<p>tea. and more</p>',
}


@pytest.mark.parametrize("kind", BLOCKS)
def test_blocks_stay_and_the_prose_around_is_mended(kind: str) -> None:
    block = BLOCKS[kind]
    texts = [["Show me.", block.join(AROUND)], ["Show me.", block]]
    assert [turns[1] for turns in replies(texts)] == [block.join(MENDED), block]


SPANS = {
    "an error of a spreadsheet": "The cell shows #VALUE! when it is empty. Check it.",
    "emotes": "Ahoy there! *waves a hat* What is it that you want? *grins*",
    "a letter of another language": "You may read “han sa at i dag er det fint” in the letter to the king of the land.",
    "a list in a list": "A. Put the kettle on.\na. The small one is the best for it.\nB. Pour the tea into the cups.",
    "common nouns that are names too": "Raise it with a jack. That eases the work, and a note on the bp is of use to the nurse.",
    "a title of someone": "The brooks are full in the march of the year, and it is a titan of a tree.",
}


@pytest.mark.parametrize("kind", SPANS)
def test_spans_stay(kind: str) -> None:
    text = SPANS[kind]
    assert replies([["Tell me.", text]]) == [["Tell me.", text]]


def test_lists_and_brackets_are_prose() -> None:
    text = "Sure! here is what you need:\n- bread, butter, and jam\n- plates (ten)\nThat is all. enjoy it with them!"
    wanted = "Sure! Here is what you need:\n- bread, butter, and jam\n- plates (ten)\nThat is all. Enjoy it with them!"
    assert replies([["Tell me.", text]]) == [["Tell me.", wanted]]


ODD = ["\u00ad", "\u200b", "\u200d", "\u2060", "\ufeff", "\u0301", "\ufe0f"]


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: f"U+{ord(odd):04X}")
def test_a_word_with_an_odd_character_is_one_word(odd: str) -> None:
    texts = [f"she is in the us{odd}ual town now. it has the ide{odd}al bill for the cat{odd}s of it."]
    texts.append(f"It is the us{odd}ual one. the bill{odd} is due, and the may{odd}or will pay.")
    changed = [turns[1] for turns in replies([["Tell me.", text] for text in texts])]
    letters = [
        [letter for at, letter in enumerate(text) if text[at - 1 : at] == odd and letter.isupper()] for text in changed
    ]
    assert letters == [[], []]
    assert changed[0].startswith("She is in the us") and ". It has" in changed[0]


@settings(deadline=None)  # the first reads the table
@given(
    st.lists(st.sampled_from("she sees são paulo bogotá josé i am in may. it élan! café the École".split()), min_size=4)
)
def test_law_composed_or_not_the_same_letters_change(words: list[str]) -> None:
    text = " ".join(words)
    composed, apart = (
        truecase()(pl.DataFrame([{"turns": ["Tell me.", form]}], schema=DIALOGUES))["turns"].to_list()[0][1]
        for form in (text, unicodedata.normalize("NFD", text))
    )
    assert unicodedata.normalize("NFC", apart) == composed


@settings(deadline=None)  # the first reads the table
@given(st.text())
def test_law_the_bare_form_leads_back(text: str) -> None:
    bare = Bare(text)
    assert bare.recased(bare.text) == text
    assert is_bare(bare.text) or not is_bare(text)
    assert [bare.span(at, at + 1)[0] for at in range(len(bare.text))] == sorted(
        {bare.span(at, at + 1)[0] for at in range(len(bare.text))}
    )
