"""`zephyr data diff`: each kind of change by its name, every row counted once, the figures, the exit code."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import zephyr
from tests.zephyr_train.row_shapes import (
    from_value_pair,
    published_pair,
    text_pair,
    trainer_pair,
    turn,
    write_lines,
    write_parquet,
)
from zephyr_core.errors import UsageError
from zephyr_look.change_examples import example_texts, examples
from zephyr_look.comparison import ONLY_LEFT, ONLY_RIGHT, Comparison, compare
from zephyr_look.comparison_text import comparison_text
from zephyr_look.difference import difference
from zephyr_look.matching import CHANGES
from zephyr_look.opening import open_dataset
from zephyr_look.row_index import row_index
from zephyr_look.screen import Screen
from zephyr_look.word_changes import word_changes

Rows = list[dict[str, Any]]


@pytest.fixture
def compared(tmp_path: Path) -> Callable[[Rows, Rows], Comparison]:
    """Compare rows that are written to two files."""

    def run(left: Rows, right: Rows) -> Comparison:
        files = [write_lines(tmp_path / f"{name}.jsonl", rows) for name, rows in (("left", left), ("right", right))]
        return compare(*(open_dataset(str(file)) for file in files))

    return run


def changes(comparison: Comparison) -> dict[str, int]:
    """Return the changes that some row has."""
    return {name: rows for name, rows in comparison.record["changes"].items() if rows}


def pair(prompt: str, chosen: str, rejected: str, **more: Any) -> dict[str, Any]:
    return text_pair(prompt, chosen, rejected) | more


def talk(*texts: str) -> dict[str, Any]:
    return {"messages": [turn(("user", "assistant")[number % 2], text) for number, text in enumerate(texts)]}


@pytest.mark.parametrize(
    ("left", "right", "change"),
    [
        (pair("a", "b", "c"), pair("a", "c", "b"), "flipped"),
        (pair("a", "b", "c"), pair("a", "b", "d"), "changed-rejected"),
        (pair("a", "b", "c"), pair("a", "d", "c"), "changed-chosen"),
        (pair("a", "b", "c"), pair("a!", "b", "c"), "edited-prompt"),
        (pair("a", "b", "c", prompt_id="1"), pair("a!", "b", "c", prompt_id="1"), "edited-prompt"),
        (pair("a", "b", "c"), pair("a", "d", "e"), "edited"),
        (talk("a", "b"), talk("a", "B"), "edited-replies"),
        (talk("a", "b"), talk("A", "b"), "edited-prompt"),
        (talk("a", "b", "c", "d"), talk("a", "b"), "edited-replies"),
        (
            talk("a", "b", "c", "d"),
            {
                "messages": [
                    turn("user", "a"),
                    turn("assistant", "b") | {"weight": 0},
                    turn("user", "c"),
                    turn("assistant", "d"),
                ]
            },
            "edited-replies",
        ),
    ],
)
def test_each_change_has_its_name(
    left: dict[str, Any], right: dict[str, Any], change: str, compared: Callable[[Rows, Rows], Comparison]
) -> None:
    others = [talk("x", "y")] if "messages" in left else [pair("x", "y", "z")]
    comparison = compared([left, *others], [*others, right])
    assert changes(comparison) == {change: 1} and comparison.record["same"] == 1
    assert comparison.numbers(change).rows() == [(0, 1)] and comparison.has_change


def test_the_shape_of_a_dataset_is_no_change(tmp_path: Path) -> None:
    shapes = (trainer_pair, published_pair, text_pair, from_value_pair)
    texts = [("Which plum?", "The ripe one.", "None."), ("Hi", "Hello!", "What?")]
    files = [write_lines(tmp_path / f"{shape.__name__}.jsonl", [shape(*each) for each in texts]) for shape in shapes]
    for file in files[1:]:
        comparison = compare(open_dataset(str(files[0])), open_dataset(str(file)))
        assert comparison.record["same"] == 2 and not comparison.has_change


def test_rows_of_one_prompt_match_by_content_then_by_an_equal_answer_then_in_order(
    compared: Callable[[Rows, Rows], Comparison],
) -> None:
    left = [pair("p", "1", "2"), pair("p", "3", "4"), pair("p", "5", "6"), pair("p", "7", "8"), pair("p", "9", "0")]
    right = [pair("p", "x", "y"), pair("p", "5", "z"), pair("p", "4", "3"), pair("p", "1", "2")]
    comparison = compared(left, right)
    assert sorted(comparison.matches.rows()) == [
        (0, 3, "same"),
        (1, 2, "flipped"),
        (2, 1, "changed-rejected"),
        (3, 0, "edited"),
    ]
    assert comparison.numbers(ONLY_LEFT).rows() == [(4, None)]


def test_a_row_counts_as_often_as_it_is_there(compared: Callable[[Rows, Rows], Comparison]) -> None:
    comparison = compared([talk("a", "b")] * 3, [talk("a", "b")] * 2 + [talk("c", "d")])
    assert comparison.record["same"] == 2 and changes(comparison) == {ONLY_LEFT: 1, ONLY_RIGHT: 1}


def test_a_common_answer_makes_no_edited_prompt(compared: Callable[[Rows, Rows], Comparison]) -> None:
    comparison = compared([talk("a", "Yes."), talk("b", "Yes.")], [talk("c", "Yes."), talk("d", "Yes.")])
    assert changes(comparison) == {ONLY_LEFT: 2, ONLY_RIGHT: 2}


def test_every_row_is_counted_once_from_both_sides(tmp_path: Path) -> None:
    draw = random.Random(7)
    for number in range(8):
        sides = [[pair(*draw.choices("abc", k=3)) for _ in range(draw.randrange(1, 30))] for _ in range(2)]
        files = [write_lines(tmp_path / f"{number}-{at}.jsonl", rows) for at, rows in enumerate(sides)]
        datasets = [open_dataset(str(file)) for file in files]
        forth, back = compare(*datasets), compare(*reversed(datasets))
        record, matched = forth.record, forth.matches.height
        counted = record["same"] + sum(record["changes"][name] for name in CHANGES)
        assert matched == counted and forth.matches["left"].n_unique() == forth.matches["right"].n_unique() == matched
        assert record["changes"][ONLY_LEFT] == len(sides[0]) - matched == back.record["changes"][ONLY_RIGHT]
        content = [[tuple(row[name] for name in ("prompt", "chosen", "rejected")) for row in rows] for rows in sides]
        naive = sum(min(content[0].count(each), content[1].count(each)) for each in set(content[0]))
        assert record["same"] == back.record["same"] == naive
        assert not compare(datasets[0], datasets[0]).has_change


def test_what_stands_next_to_the_texts_is_compared_where_both_have_it(tmp_path: Path) -> None:
    rows = [published_pair(f"{number}?", "yes", "no") | {"score_rejected": 1.0, "source": "a"} for number in range(4)]
    for side in ("left", "right", "bare"):
        moved, split = rows[2:], rows[:2]
        if side == "right":
            split = [rows[0] | {"score_chosen": 5.0}, rows[3] | {"source": "b"}]
            moved = [rows[2], rows[1]]
        if side == "bare":
            split, moved = ([text_pair(row["prompt"], "yes", "no") for row in part] for part in (split, moved))
        write_parquet(tmp_path / side / "train_prefs-00000-of-00001.parquet", split)
        write_parquet(tmp_path / side / "test_prefs-00000-of-00001.parquet", moved)
    left, right, bare = (open_dataset(str(tmp_path / side)) for side in ("left", "right", "bare"))
    record = compare(left, right).record
    assert (record["same"], record["moved"], record["rescored"], record["resourced"]) == (4, 2, 1, 1)
    assert record["sources"] == {"a": (4, 3), "b": (0, 1)} and compare(left, right).has_change
    assert not compare(left, bare).has_change, "what one of them does not have is not compared"
    whole = open_dataset(str(write_lines(tmp_path / "whole.jsonl", rows)))
    assert compare(left, whole).record["moved"] == 0, "a file says nothing of train and test"
    figures = record["measures"]["margin"]
    assert [side["mean"] for side in figures] == [3.5, 3.625] and figures[0]["p90"] == 3.5
    assert record["measures"]["chosen_characters"][0]["median"] == 3 and "reply_characters" not in record["measures"]


def test_unfit_rows_are_compared_too_and_counted_by_reason(compared: Callable[[Rows, Rows], Comparison]) -> None:
    comparison = compared([pair("a", "b", "b"), pair("c", "d", "e")], [pair("c", "d", "e")])
    assert comparison.record["unfit"] == {"identical-texts": (1, 0)} and changes(comparison) == {ONLY_LEFT: 1}


def test_two_audits_are_compared_by_reason(clean: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    first, second = clean(), clean(out="other", without=("phrases/as-an-ai",))
    record = compare(open_dataset(str(tmp_path / "out")), open_dataset(str(tmp_path / "other"))).record
    dropped = [content["counts"]["dropped"] for content in (first, second)]
    assert record["dropped"] == {
        name: tuple(each.get(name, 0) for each in dropped) for name in {**dropped[0], **dropped[1]}
    }
    assert record["changes"][ONLY_RIGHT] > 0 == record["changes"][ONLY_LEFT]
    assert "phrases/as-an-ai" in comparison_text(record)


def test_in_memory_are_no_texts(tmp_path: Path) -> None:
    rows = [talk("a" * 5000, "b" * 5000), talk("c", "d")]
    index = row_index(open_dataset(str(write_lines(tmp_path / "a.jsonl", rows))))
    assert index.estimated_size() < 2_000
    assert index["reply_characters"].to_list() == [5000, 1]


def test_rows_of_two_kinds_are_refused(compared: Callable[[Rows, Rows], Comparison]) -> None:
    with pytest.raises(UsageError, match="have no row in common"):
        compared([talk("a", "b")], [pair("a", "b", "c")])


def test_examples_show_what_changed_word_by_word(compared: Callable[[Rows, Rows], Comparison]) -> None:
    left = [pair("Which plum?", "The ripe one.", "It is late today."), pair("x", "y", "z"), pair("u", "v", "w")]
    right = [pair("Which plum?", "The ripe one.", "It is early\x1b today."), pair("x", "z", "y")]
    comparison = compared(left, right)
    texts = "\n".join(example_texts(examples(comparison, 3), Screen(None, False))).split("\n")
    start = next(number for number, line in enumerate(texts) if line.startswith("── changed-rejected"))
    assert texts[start].startswith("── changed-rejected  left.jsonl:1 ↔ right.jsonl:1  ")
    assert texts[start + 1 : start + 5] == [
        "  prompt",
        "    Which plum?",
        "  rejected",
        "    It is [-late-]{+early\\x1b+} today.",
    ]
    assert any(line.startswith("── only-left  left.jsonl:3  ") for line in texts)
    assert any(line.startswith("── flipped  left.jsonl:2 ↔ right.jsonl:2") for line in texts)
    assert {name: len(each) for name, each in examples(comparison, 0).items()} == {}


def test_changed_words_with_equal_ones_left_out() -> None:
    same = "word " * 50
    assert [*word_changes("one two three", "one 2 3")] == [("same", "one "), ("went", "two three"), ("came", "2 3")]
    assert next(word_changes(f"{same}a", f"{same}b"))[1].startswith(" … ")
    lines = [f"{number}\n" for number in range(3_000)]
    large = [*word_changes("".join(lines), "".join([*lines[:9], "x\n", *lines[10:]]))]
    assert large[1:3] == [("went", "9\n"), ("came", "x\n")] and sum(len(text) for _, text in large) < 200


def test_a_page_holds_figures_and_examples_and_runs_nothing(tmp_path: Path) -> None:
    left = write_lines(tmp_path / "a.jsonl", [pair("Which <plum>?", "The ripe one.", "It is late.")])
    right = write_lines(tmp_path / "b.jsonl", [pair("Which <plum>?", "The ripe one.", "It <b>is</b> late.")])
    assert difference(str(left), str(right), (), 1, file=tmp_path / "pages" / "diff.html")
    text = (tmp_path / "pages" / "diff.html").read_text()
    assert "another rejected answer" in text and "<ins>&lt;b&gt;</ins>" in text and "Which &lt;plum&gt;?" in text
    assert "<b>" not in text and "<script" not in text and "default-src 'none'" in text


def test_as_typed_with_its_exit_code(tmp_path: Path) -> None:
    write_lines(tmp_path / "a.jsonl", [talk("a", "b")])
    write_lines(tmp_path / "b.jsonl", [talk("a", "c")])
    done = zephyr("data", "diff", "a.jsonl", "b.jsonl", "--fail-on-change", "--examples", "1", cwd=tmp_path)
    assert done.returncode == 1 and "replies edited" in done.stdout and "[-b-]{+c+}" in done.stdout
    same = zephyr("data", "diff", "a.jsonl", "a.jsonl", "--fail-on-change", "--json", cwd=tmp_path)
    assert same.returncode == 0 and json.loads(same.stdout)["same"] == 1


def test_a_difference_alone_is_no_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [str(write_lines(tmp_path / f"{text}.jsonl", [talk("a", text)])) for text in "bc"]
    assert difference(*files, (), 2, as_json=True)
    record = json.loads(capsys.readouterr().out)
    assert record["examples"]["edited-replies"][0][1]["reply"] == "c" and record["rows"] == [1, 1]
