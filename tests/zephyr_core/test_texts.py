"""What can be seen of a text, and its folded form."""

import re
import sys
import unicodedata

import polars as pl
import pytest

from zephyr_core.texts import STEADY, VISIBLE, folded, is_empty, normal_form
from zephyr_data.stages.duplicates import normalised

EVERY = [chr(code) for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code)) != "Cs"]


def test_white_space_and_format_characters_are_invisible_and_letters_are_not() -> None:
    for letter in EVERY:
        kind = unicodedata.category(letter)
        if letter.isspace() or (kind in ("Cc", "Cf") and letter != "\0"):
            assert is_empty(letter), ascii(letter)
        elif kind in ("Lu", "Ll", "Nd", "Sm", "Po", "Mc"):
            assert not is_empty(letter), ascii(letter)


@pytest.mark.parametrize(
    "text", ["", " \n\t", "\u200b", "\ufeff\u2060\u00ad", "\ufe0f", "\u034f", "\u3164", "\uffa0", "\u115f", "\u2800"]
)
def test_a_text_of_nothing_visible_is_empty(text: str) -> None:
    assert is_empty(text) and not is_empty(f"{text}.") and not is_empty(f"{text}\0")


def test_both_regex_engines_see_the_same() -> None:
    assert pl.Series(EVERY).str.contains(VISIBLE).to_list() == [not is_empty(letter) for letter in EVERY]


def test_one_form_for_what_is_written_in_two_ways() -> None:
    for one, other in (("café", "cafe\u0301"), ("ＡＢＣ", "abc"), ("STRASSE", "Straße"), ("ΣΟΦΟΣ", "σοφος")):
        assert folded(one) == folded(other)
    assert folded("cafe") != folded("café")


def test_steady_characters_are_left_alone() -> None:
    steady = [letter for letter in EVERY if re.match(f"[{STEADY}]", letter) and not "A" <= letter <= "Z"]
    assert [letter for letter in steady if folded(letter) != letter or unicodedata.combining(letter)] == []
    spaced = [letter for letter in steady if letter < "\u3000"]
    assert [a + b for a in spaced for b in spaced if len(folded(a + b)) != 2] == []


SPELLINGS = (
    ("Hello, World!", "hello world"),
    ("“Straße” – ＡＢＣ", "STRASSE ABC"),
    ("caf\u00e9\u200b au lait", "Cafe\u0301 au\tlait?"),
    ("ΟΔΟΣ", "οδος"),
    ("日本語。", "日本語"),
)


def test_texts_that_differ_in_spelling_have_one_normal_form() -> None:
    for one, other in SPELLINGS:
        assert normal_form(one) == normal_form(other) != normal_form(one + "x")
    assert normal_form("?!") == "?!" != normal_form("!?"), "nothing is left: it stays as it is"
    assert normal_form("a\x1eb") != normal_form("ab")


def test_the_normal_form_is_that_of_duplicates() -> None:
    """But for characters that this Python does not know yet, and Rust does."""
    known = [letter for letter in EVERY if unicodedata.category(letter) != "Cn"]
    spellings = [text for pair in SPELLINGS for text in pair]
    texts = [*known[::3], *(f"A{letter}b" for letter in known[::7]), *spellings, "", "\x1e", "?!"]
    forms = zip(texts, map(normal_form, texts), normalised(pl.Series(texts)), strict=True)
    assert [ascii(text) for text, ours, theirs in forms if ours.encode() != theirs] == []
