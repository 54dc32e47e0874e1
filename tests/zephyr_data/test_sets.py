"""Stages over the whole set: duplicates, selection, splits."""

import hashlib
import random
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import dialogue
from zephyr_core.keys import draw, row_key, text_key
from zephyr_core.texts import folded, is_empty
from zephyr_data.options import CleanOptions
from zephyr_data.stages import duplicates
from zephyr_data.stages.duplicates import duplicate_numbers, normalised
from zephyr_data.stages.splits import assign_sides, drawn_first, prompt_draws

Clean = Callable[..., dict[str, Any]]
Write = Callable[..., Path]


def test_the_survivor_is_the_smallest_key_and_the_dropped_row_names_it(
    write: Write, clean: Clean, tmp_path: Path
) -> None:
    group = [
        ("What is a plum?", "A plum is a fruit."),
        ("what is a PLUM", "A plum -- is a  fruit!"),
        ("What is a plum??", "A plum is\na fruit."),
    ]
    other = ("What is a pear?", "A pear is a fruit.")
    content = clean(write([dialogue(*turns, row_id=str(number)) for number, turns in enumerate([*group, other])]))
    assert content["counts"]["dropped"] == {"duplicates/same-dialogue": 2}
    survivor = min(row_key(turns) for turns in group)
    dropped = pl.read_parquet(tmp_path / "out" / "audit" / "dropped.parquet")
    assert dropped["matched"].to_list() == [survivor, survivor]
    assert survivor in pl.read_parquet(tmp_path / "out" / "audit" / "kept.parquet")["row_key"].to_list()


def test_of_exact_duplicates_the_first_place_survives(write: Write, clean: Clean, tmp_path: Path) -> None:
    turns = ("What is a plum?", "A plum is a fruit.")
    clean(write([dialogue(*turns, row_id=name) for name in ("first", "second", "third")]))
    assert pl.read_parquet(tmp_path / "out" / "audit" / "kept.parquet")["id"].to_list() == ["first"]


def test_same_prompt_is_an_option(write: Write, clean: Clean) -> None:
    path = write(
        [
            dialogue("What is a plum?", "A plum is a fruit."),
            dialogue("What is a plum?", "It is a stone fruit of the rose family."),
        ]
    )
    assert clean(path)["counts"]["kept_rows"] == 2
    assert clean(path, duplicates="prompt", out="p")["counts"]["dropped"] == {"duplicates/same-prompt": 1}
    assert clean(path, duplicates="off", out="o")["counts"]["kept_rows"] == 2


def test_dialogues_of_marks_alone_are_told_apart(write: Write, clean: Clean) -> None:
    rows = [dialogue("???", "!!!"), dialogue("...", "---"), dialogue("What is a plum?", "A plum is a fruit.")]
    assert clean(write(rows))["counts"]["kept_rows"] == 3


def test_the_test_share_follows_the_size(write: Write, clean: Clean) -> None:
    rows = [
        dialogue(f"What is fruit number {number} called?", f"It is a plum of kind {number}.") for number in range(200)
    ]
    content = clean(write(rows), size=100)
    assert (content["splits"]["train_sft"]["rows"], content["splits"]["test_sft"]["rows"]) == (90, 10)
    assert round(230_975 * CleanOptions().test_share) == 23_110


def test_normalising_ignores_case_space_and_marks_and_keeps_symbols_and_turns() -> None:
    def one(text: str) -> bytes:
        return next(iter(normalised(pl.Series([text]))))

    assert one("Hi, THERE!  you\n") == one("hi there you") == b"hithereyou"
    assert one("Ça va — très “bien” ?") == one("ça va très bien") != one("ca va tres bien")
    assert one("2+2") != one("2=2")
    assert one("😀") != one("😢")
    assert one("...") == b"..."
    assert one("a\x1eb") != one("ab")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("A small café.", "A small cafe\u0301."),
        ("ＡＢＣ １２３！", "abc 123"),
        ("DIE STRASSE", "die Straße"),
        ("ὁ σοφὸς ΣΟΦΟΣ", "Ὁ Σοφὸσ σοφοσ"),
        ("zero\u200bwidth", "zerowidth"),
        ("a heart ❤", "A heart ❤\ufe0f"),
        ("ﬁne “lines”", "fine lines"),
    ],
)
def test_what_is_written_in_two_ways_is_the_same(write: Write, clean: Clean, one: str, other: str) -> None:
    rows = [dialogue("Say it again.", text) for text in (one, other, f"{one} x")]
    assert clean(write(rows), languages=("en",))["counts"]["dropped"] == {"duplicates/same-dialogue": 1}


def cut(text: str) -> str:
    is_kept = {letter: unicodedata.category(letter)[0] not in "PZC" and not is_empty(letter) for letter in text}
    return "".join(letter for letter in text if is_kept[letter] or letter == "\x1e")


@given(st.text(st.characters(exclude_categories=("Cs", "Cn"))))
def test_the_fast_way_is_the_definition(text: str) -> None:
    form = cut(folded(cut(text.lower())))
    assert next(iter(normalised(pl.Series([text])))) == (form if form.strip("\x1e") else text).encode()


@given(st.text(alphabet=st.characters(max_codepoint=127)))
def test_the_quick_way_for_ascii_is_the_slow_way(text: str) -> None:
    quick = next(iter(normalised(pl.Series([text]))))
    slow = next(iter(normalised(pl.Series([text + "é"]))))
    assert quick + "é".encode() == slow or quick == text.encode()


def pieces(alphabet: str) -> st.SearchStrategy[str]:
    return st.lists(st.text(alphabet, max_size=9), max_size=9).map("".join)


@pytest.mark.parametrize(("read", "compared"), [(7, 2), (12, 4), (20, 8)])
@given(texts=st.lists(pieces("aEsS .,-’“…\x1eéñж\u0301\u0307\u200d\xadßΣİﬁ😀"), min_size=1, max_size=4))
def test_the_number_is_made_of_the_ends_of_the_normal_form(texts: list[str], read: int, compared: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duplicates, "READ", read)
        patch.setattr(duplicates, "COMPARED", compared)
        numbers = duplicate_numbers(pl.DataFrame({"turns": [texts]}), "dialogue")
    form = next(iter(normalised(pl.Series(["\x1e".join(texts)]))))
    assert form is not None
    ends = hashlib.sha256(form[:compared] + form[-compared:]).digest()[:8]
    assert numbers.to_list() == [int.from_bytes(ends)]


def test_long_dialogues_that_differ_only_in_the_middle_are_told_apart(write: Write, clean: Clean) -> None:
    turns = [
        "What is a plum? " * 100,
        "A plum is a fruit of a tree, and here it is number {}. " + "It is sweet. " * 100,
    ]
    numbers = (1, 2, 3, 3)
    path = write(dialogue(turns[0], turns[1].format(number)) for number in numbers)
    assert clean(path)["counts"]["dropped"] == {"duplicates/same-dialogue": 1}


@given(st.lists(st.integers(0, 8), min_size=1, max_size=30), st.integers(0, 40))
def test_whole_prompts_are_drawn_as_near_as_they_allow(prompts: list[int], rows: int) -> None:
    sums = [sum(prompt < limit for prompt in prompts) for limit in range(10)]
    nearest = min(sums, key=lambda total: (abs(total - rows), total))
    is_first = drawn_first(pl.Series(prompts, dtype=pl.UInt64), rows).to_list()
    assert sum(is_first) == nearest
    first_prompts = {prompt for prompt, is_drawn in zip(prompts, is_first, strict=True) if is_drawn}
    assert first_prompts == set(sorted(set(prompts))[: len(first_prompts)])


@given(
    st.lists(st.sampled_from("abcdefghij"), min_size=1, max_size=50), st.floats(0, 1), st.randoms(use_true_random=False)
)
def test_sides_hang_on_the_prompt_not_on_the_order(prompts: list[str], share: float, shuffler: random.Random) -> None:
    keys = [text_key(prompt) for prompt in prompts]
    sides = dict(zip(keys, assign_sides(prompt_draws(keys, 42, "split"), share), strict=True))
    shuffler.shuffle(keys)
    again = assign_sides(prompt_draws(keys, 42, "split"), share).to_list()
    assert [sides[key] for key in keys] == again


def test_the_draw_of_the_test_side_is_not_that_of_the_selection() -> None:
    keys = [text_key(str(number)) for number in range(1000)]
    selected, tested = (drawn_first(prompt_draws(keys, 42, purpose), 500) for purpose in ("select", "split"))
    assert selected.sum() == tested.sum() == 500
    assert 200 < (selected & tested).sum() < 300


def test_size_and_share(write: Write, clean: Clean, tmp_path: Path) -> None:
    kinds = [
        (f"What is fruit number {number} called?", f"It is called a plum of the kind {number}.")
        for number in range(200)
    ]
    path = write([dialogue(*turns) for turns in kinds])
    content = clean(path, size=100, test_share=0.1)
    assert {name: entry["rows"] for name, entry in content["splits"].items()} == {
        "train_sft": 90,
        "test_sft": 10,
        "train_gen": 90,
        "test_gen": 10,
    }
    assert content["counts"]["dropped"] == {"selection/not-drawn": 100}
    other = clean(path, size=100, test_share=0.1, seed=43, out="other")
    assert other["splits"]["train_sft"]["rows_digest"] != content["splits"]["train_sft"]["rows_digest"]
    dropped = pl.read_parquet(tmp_path / "out" / "audit" / "dropped.parquet")
    assert dropped["matched"].null_count() == dropped["turn"].null_count() == 100


def test_dialogues_of_one_prompt_stay_together(write: Write, clean: Clean, tmp_path: Path) -> None:
    rows = [
        dialogue(f"What is fruit number {number % 20}?", f"It is the plum called {number} in the list.")
        for number in range(200)
    ]
    clean(write(rows), size=150, test_share=0.2)
    kept_rows = pl.read_parquet(tmp_path / "out" / "audit" / "kept.parquet")
    assert (kept_rows.group_by("prompt_id").agg(pl.col("split").n_unique())["split"] == 1).all()
    assert (kept_rows.group_by("prompt_id").len()["len"] == 10).all()


def test_one_row_too_many_is_left_out_and_the_draw_is_that_of_selection(
    write: Write, clean: Clean, tmp_path: Path
) -> None:
    rows = [(f"What is fruit number {number} called?", f"It is a plum of the kind {number}.") for number in range(40)]
    path = write([dialogue(*turns) for turns in rows])
    assert clean(path, size=39, test_share=0.1026)["counts"]["dropped"] == {"selection/not-drawn": 1}
    assert clean(path, size=40, test_share=0.1, out="all")["counts"]["dropped"] == {}
    clean(path, size=20, test_share=0.2, out="half")
    kept_rows = pl.read_parquet(tmp_path / "half" / "audit" / "kept.parquet")
    keys = {text_key(prompt): draw(42, "select", text_key(prompt), 2**64) for prompt, _ in rows}
    assert set(kept_rows["prompt_id"]) == set(sorted(keys, key=keys.__getitem__)[:20])
    tested = {key: draw(42, "split", key, 2**64) for key in kept_rows["prompt_id"]}
    assert set(kept_rows.filter(split="test_sft")["prompt_id"]) == set(sorted(tested, key=tested.__getitem__)[:4])


@pytest.mark.parametrize(
    "flags",
    [
        {"size": 0},
        {"test_share": -0.1},
        {"test_share": 1.5},
        {"duplicates": "all"},
        {"on_hit": "burn"},
        {"languages": ("english",)},
        {"languages": ()},
    ],
)
def test_impossible_options_are_refused(write: Write, clean: Clean, flags: dict[str, Any]) -> None:
    from zephyr_core.errors import OptionError

    with pytest.raises(OptionError):
        clean(write([dialogue("What is a plum?", "A plum is a fruit.")]), **flags)
