"""Several datasets as one: which rows are drawn, what is refused, and where the mixture is on record."""

import itertools
import json
import random
import tempfile
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import manifests
from tests.zephyr_train.model_folder import look, request
from tests.zephyr_train.row_shapes import trainer_pair, turn, write_lines
from zephyr_core.amounts import Wanted
from zephyr_core.errors import OptionError, WrongFolder
from zephyr_train import models
from zephyr_train.errors import ForeignRun, RowsUnfit
from zephyr_train.mixture import Mixture, first_drawn, open_rows, rows_of_each
from zephyr_train.preflight.examination import Examination
from zephyr_train.preflight.prompt_overlap import overlap
from zephyr_train.reader import Source
from zephyr_train.train import run


def talk(word: str, number: int, **more: Any) -> dict[str, Any]:
    messages = [turn("user", f"Which {word} is ripe, {number}?"), turn("assistant", f"The {word} over there, friend.")]
    return {"messages": messages, **more}


def dataset(folder: Path, train: list[dict[str, Any]], test: list[dict[str, Any]] | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    write_lines(folder / "train.jsonl", train)
    if test is not None:
        write_lines(folder / "test.jsonl", test)
    return folder


@pytest.fixture
def fruits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with three datasets: A of 100 dialogues and 10 of test, B of 60 and 5, C of 60 without a test split."""
    folder = tmp_path / "fruits"
    for name, word, rows, tests in (("A", "plum", 100, 10), ("B", "pear", 60, 5), ("C", "apple", 60, None)):
        test = None if tests is None else [talk(word, 1_000 + number) for number in range(tests)]
        dataset(folder / name, [talk(word, number) for number in range(rows)], test)
    monkeypatch.chdir(folder)
    return folder


def opened(*texts: str) -> Source:
    return open_rows(texts, "dialogues")


def contents(source: Source, split: str = "train") -> list[str]:
    return sorted(json.dumps(row, sort_keys=True) for row in source.table(split).to_pylist())


def counts(source: Source) -> list[tuple[int, int, int]]:
    assert isinstance(source, Mixture)
    return [(part["rows"], part["available"], part["test_rows"]) for part in source.parts()]


# ---- which rows ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (("A=0.7", "B=0.3"), [(100, 100, 10), (43, 60, 5)]),
        (("A=0.5", "B=0.5"), [(60, 100, 10), (60, 60, 5)]),
        (("A=0.5", "B=0.25", "C=0.25"), [(100, 100, 10), (50, 60, 5), (50, 60, 0)]),
        (("A=20", "B=30"), [(20, 100, 10), (30, 60, 5)]),
        (("A", "B"), [(100, 100, 10), (60, 60, 5)]),
        (("A", "B=1"), [(100, 100, 10), (1, 60, 5)]),
        (("A=1.0",), [(100, 100, 10)]),
        (("A=7",), [(7, 100, 10)]),
    ],
)
def test_train_is_mixed_as_wanted_and_test_is_whole(
    fruits: Path, texts: tuple[str, ...], expected: list[tuple[int, int, int]]
) -> None:
    source = opened(*texts)
    assert counts(source) == expected
    assert source.table("train").num_rows == sum(rows for rows, _, _ in expected)
    assert source.table("test").num_rows == sum(tests for _, _, tests in expected)
    words = {"A": "plum", "B": "pear", "C": "apple"}
    for (rows, _, tests), text in zip(expected, texts, strict=True):
        name = f"Which {words[text[0]]} "
        assert sum(name in row for row in contents(source)) == rows
        assert sum(name in row for row in contents(source, "test")) == tests


def test_one_dataset_without_an_amount_is_itself(fruits: Path) -> None:
    assert not isinstance(opened("A"), Mixture)


def test_the_order_of_sources_and_the_form_of_a_share_change_nothing(fruits: Path) -> None:
    one, other = opened("A=0.7", "B=0.3"), opened("B=0.30", "./A=0.70")
    assert one.digest == other.digest and contents(one) == contents(other)
    others = [opened(*texts).digest for texts in (("A=0.6", "B=0.4"), ("A=0.3", "B=0.7"), ("A", "B"), ("A=7", "B=3"))]
    assert len({one.digest, *others}) == 5


def test_more_of_a_dataset_holds_what_less_of_it_does(fruits: Path) -> None:
    less, more = contents(opened("A=20", "B")), contents(opened("A=60", "B"))
    assert set(less) < set(more)
    plums = [row for row in less if "plum" in row]
    assert plums != [row for row in contents(opened("A")) if "plum" in row][:20], "drawn, not the first ones"


SOME_ROWS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9)), min_size=2, max_size=24)


@settings(max_examples=60, deadline=None)
@given(SOME_ROWS, st.integers(1, 24), st.randoms(use_true_random=False))
def test_a_draw_does_not_depend_on_the_order_of_rows(
    rows: list[tuple[int, int]], wanted: int, shuffler: random.Random
) -> None:
    """With few different prompts, many rows share one: of the last prompt some are drawn."""
    count = min(wanted, len(rows))
    texts = [{**talk("plum", reply), "prompt_id": f"p{prompt}"} for prompt, reply in rows]
    mixed = shuffler.sample(texts, len(texts))
    with tempfile.TemporaryDirectory() as place:
        tables = [
            open_rows([str(write_lines(Path(place) / name, some))], "dialogues").table("train")
            for name, some in (("a.jsonl", texts), ("b.jsonl", mixed))
        ]
    one, other = ([json.dumps(row) for row in first_drawn(table, "dialogues", count).to_pylist()] for table in tables)
    assert len(one) == count and sorted(one) == sorted(other)


@settings(max_examples=200, deadline=None)
@given(
    st.sets(st.integers(1, 19), max_size=4),
    st.lists(st.integers(1, 500), min_size=5, max_size=5),
    st.randoms(use_true_random=False),
)
def test_shares_are_kept_within_a_row_whatever_the_order(
    cuts: set[int], available: list[int], shuffler: random.Random
) -> None:
    ends = [0, *sorted(cuts), 20]  # twentieths: many equal remainders
    shares = [Fraction(stop - start, 20) for start, stop in itertools.pairwise(ends)]
    parts = [
        (Source(name, "dialogues", "rows", None, {}, name), Wanted(name, f"{float(share):.2f}"), rows)
        for name, share, rows in zip("abcde", shares, available, strict=False)
    ]
    try:
        rows = rows_of_each(*zip(*parts, strict=True))  # type: ignore[arg-type]
    except RowsUnfit:
        return
    assert all(abs(count - share * sum(rows)) < 1 for count, share in zip(rows, shares, strict=True))
    spare = [there - count for count, (_, _, there) in zip(rows, parts, strict=True)]
    assert min(spare) in (0, 1), "none gives more than it has, and no larger whole fits"
    order = shuffler.sample(range(len(parts)), len(parts))
    again = rows_of_each(*zip(*(parts[place] for place in order), strict=True))  # type: ignore[arg-type]
    assert again == [rows[place] for place in order]


def test_pairs_are_mixed_too_and_of_the_last_prompt_as_many_as_are_needed(tmp_path: Path) -> None:
    rows = [
        trainer_pair(f"Which plum, {prompt}?", f"this one, {reply}", "no") for prompt in range(5) for reply in range(4)
    ]
    for name, some in (("a", rows), ("b", rows[::-1])):
        write_lines(tmp_path / f"{name}.jsonl", some)
    write_lines(tmp_path / "other.jsonl", [trainer_pair("Which pear?", "that one", "no")])
    one, other = (open_rows([f"{tmp_path / name}.jsonl=10", f"{tmp_path}/other.jsonl"], "pairs") for name in "ab")
    assert contents(one) == contents(other) and len(contents(one)) == 11
    replies = Counter(row["prompt_id"] for row in one.table("train").to_pylist()).values()
    assert sorted(replies) == [1, 2, 4, 4]


# ---- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("texts", "message", "hint"),
    [
        (
            ("A=200", "B=30"),
            "200 rows of A are wanted, and it has 100",
            "in this proportion 115 rows fit: --data A=100 --data B=15",
        ),
        (
            ("A=200", "B=70", "C"),
            "200 rows of A are wanted, and it has 100; 70 rows of B are wanted, and it has 60",
            "195 rows fit: --data A=100 --data B=35 --data C",
        ),
        (("A=101",), "101 rows of A are wanted, and it has 100", "100 rows fit: --data A=100"),
        (
            ("A=0.999", "B=0.001"),
            "A has 100 rows, which are 0.999 of 100; 0.001 of them is not one row of B",
            "give B a larger share, or leave it out",
        ),
    ],
)
def test_too_few_rows_are_refused_with_the_arithmetic(
    fruits: Path, texts: tuple[str, ...], message: str, hint: str
) -> None:
    with pytest.raises(RowsUnfit) as fault:
        opened(*texts).table("train")
    assert fault.value.name == "too-few-rows"
    assert str(fault.value) == message and hint in str(fault.value.hint)


@pytest.mark.parametrize(
    "texts", [("A", "A"), ("A", "./A"), ("A=0.5", "A/=0.5"), ("A", "copy"), ("A", "A/train.jsonl")]
)
def test_the_same_dataset_twice_is_refused(fruits: Path, texts: tuple[str, str]) -> None:
    dataset(
        fruits / "copy", [talk("plum", number) for number in range(100)], [talk("plum", 1_000 + n) for n in range(10)]
    )
    with pytest.raises(OptionError, match="hold the same rows") as fault:
        opened(*texts)
    assert "`--epochs` repeats all of them" in str(fault.value.hint)


def test_a_dataset_of_another_kind_is_refused_by_its_name(fruits: Path) -> None:
    dataset(fruits / "pairs", [trainer_pair("Which?", "yes", "no")])
    with pytest.raises(RowsUnfit, match="pairs: column 'messages' is absent") as fault:
        opened("A", "pairs").table("train")
    assert "`zephyr train dpo` trains on them" in str(fault.value.hint)


def test_our_dataset_of_another_kind_is_refused_in_a_mixture_and_taken_alone(fruits: Path) -> None:
    """A dataset of pairs has its chosen answers as dialogues too."""
    pairs = dataset(fruits / "pairs" / "data", [talk("fig", number) for number in range(4)]).parent
    (pairs / "data" / "train.jsonl").rename(pairs / "data" / "train_sft.jsonl")
    manifests.write(pairs, "pairs", splits={"train_sft": {"rows": 4, "rows_digest": "x"}})
    assert opened("pairs").table("train").num_rows == 4
    with pytest.raises(OptionError, match="pairs is a dataset of preference pairs, and dialogues are mixed") as fault:
        opened("A", "pairs")
    assert "give pairs/data, if its answers are to be trained on" in str(fault.value.hint)
    assert counts(opened("A", "pairs/data"))[1] == (4, 4, 0)


def test_a_folder_with_datasets_in_it_is_refused_with_the_command_for_each(fruits: Path) -> None:
    manifests.write(fruits / "runs" / "tiny" / "clean", "dialogues")
    manifests.write(fruits / "runs" / "tiny" / "my pairs", "pairs")
    for text in ("runs/tiny", "runs", "runs/tiny=20"):
        with pytest.raises(WrongFolder) as fault:
            opened(text)
        folder = text.partition("=")[0]
        assert str(fault.value) == f"{folder} is not a dataset itself, but holds runs/tiny/clean, runs/tiny/my pairs"
        assert fault.value.hint == (
            "`zephyr train sft --data runs/tiny/clean` trains on it;"
            " `zephyr train dpo --data 'runs/tiny/my pairs'` trains on it"
        )
    (fruits / "runs" / "tiny" / "run.json").write_text('{"format": 1, "recipe": "tiny", "steps": {}}')
    with pytest.raises(WrongFolder, match="is a whole run of `zephyr run`, not a dataset, but holds runs/tiny/clean"):
        opened("runs/tiny")


# ---- preflight ----------------------------------------------------------------------------------


@pytest.fixture
def examined(student: Path, here: Path, fruits: Path) -> Any:
    def examined(*texts: str, **more: Any) -> Examination:
        return look(student, data=list(texts), **more)

    return examined


def test_the_plan_has_a_line_for_each_dataset(examined: Any) -> None:
    examination = examined("A=0.5", "B=0.25", "C=0.25")
    assert examination.faults == []
    text = examination.text()
    assert "rows    200 dialogues (A=0.5 + B=0.25 + C=0.25)\n" in text
    assert "        100 of 100 rows of A (50.0%), 10 test rows\n" in text
    assert "        50 of 60 rows of C (25.0%), no test rows\n" in text
    assert "C has no test split: nothing of it is evaluated" in text
    parts = examination.record()["plan"]["rows"]["mixture"]
    assert [(part["source"], part["rows"], part["share"]) for part in parts] == [
        ("A", 100, 0.5),
        ("B", 50, 0.25),
        ("C", 50, 0.25),
    ]


def test_every_dataset_that_is_not_there_is_named(examined: Any) -> None:
    faults = examined("A", "nowhere", "neither=0.5"[:7]).faults
    assert [fault.name for fault in faults] == ["missing-input", "missing-input"]
    assert "nowhere: not a file" in faults[0].message and "neither: not a file" in faults[1].message


@pytest.mark.parametrize("more", [{}, {"dry": False}])
def test_amounts_that_do_not_fit_are_a_fault_of_an_option(examined: Any, more: dict[str, bool]) -> None:
    for texts in (("A=0.5", "B"), ("A", "A"), ("A=70%", "B")):
        [fault] = examined(*texts, **more).faults
        assert fault.name == "mixture-option" and fault.exit_code == 2
    [fault] = examined("A=200", "B", **more).faults
    assert fault.name == "too-few-rows"


def test_the_output_of_the_step_before_is_named_by_its_step(
    examined: Any, fruits: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "clean-ultrachat"
    missing = examined(f"{name}=0.5", "B=0.5")
    assert missing.faults == [] and any(
        "tiny/clean-ultrachat has no finished dataset" in note for note in missing.notes
    )
    assert [fault.name for fault in examined(f"{name}=0.5", "B=0.5", dry=False).faults] == ["missing-input"]
    monkeypatch.setattr(models, "step_before", lambda recipe, step, kind: fruits / "A" if step == name else None)
    examination = examined(f"{name}=0.5", "B=0.5")
    assert examination.faults == [] and [part["rows"] for part in examination.mixture] == [60, 60]
    dataset(fruits / name, [talk("fig", number) for number in range(8)])
    assert [part["rows"] for part in examined(f"{name}=0.5", "B=0.5").mixture] == [8, 8], "what is here goes first"


def test_a_revision_of_several_datasets_on_the_hub_is_refused(examined: Any) -> None:
    [fault, *_] = examined("owner/one", "owner/two", revision="v2").faults
    assert fault.name == "mixture-option" and "revision v2 cannot be of all of owner/one, owner/two" in fault.message


def test_a_test_prompt_of_one_in_train_of_another_is_found(examined: Any, fruits: Path) -> None:
    dataset(fruits / "D", [talk("fig", 1), talk("plum", 1_003), talk("pear", 1_001), talk("pear", 1_002)])
    [fault] = examined("A", "B", "D").faults
    assert fault.name == "test-in-train"
    assert fault.message == "3 test prompts also appear in train: 1 of A in train of D, 2 of B in train of D"
    assert examined("A", "C").faults == []


def test_ids_that_number_the_rows_of_two_datasets_are_no_overlap(tmp_path: Path) -> None:
    one = dataset(tmp_path / "one", [talk("fig", 1, prompt_id="1")], [talk("fig", 2, prompt_id="2")])
    other = dataset(tmp_path / "other", [talk("nut", 3, prompt_id="2")], [talk("nut", 4, prompt_id="1")])
    found = overlap(open_rows([str(one), str(other)], "dialogues"))
    assert (found.prompts, found.exact, found.spelled) == (2, 0, 0)


# ---- a run --------------------------------------------------------------------------------------


@pytest.mark.long
def test_a_mixture_trains_is_on_record_and_another_is_another_run(here: Path, fruits: Path, student: Path) -> None:
    def train(*texts: str) -> str:
        return run(request(student, data=texts, out="out", epochs=1, global_batch_size=12))[1]

    assert "weights whole and equal after reloading" in train("A=0.7", "B=0.3")
    out = fruits / "out"
    job, card = json.loads((out / "job.json").read_text()), (out / "model" / "README.md").read_text()
    assert [(part["source"], part["rows"]) for part in job["mixture"]] == [("A", 100), ("B", 43)]
    assert json.loads((out / "plan.json").read_text())["rows"]["mixture"] == job["mixture"]
    assert "- rows: A=0.7 + B=0.3; 100 of 100 rows of A (69.9%), 10 test rows; 43 of 60 rows of B (30.1%)" in card
    assert "nothing to do: it is whole" in train("B=0.3", "A=0.7")
    for texts in (("A=0.5", "B=0.5"), ("A",)):
        with pytest.raises(ForeignRun, match="these differ: tokens_digest, mixture"):
            train(*texts)
