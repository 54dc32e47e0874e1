"""What `--data` wants of a source: shares, rows, or all; a path that exists is a path; what makes no sense is refused."""

from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zephyr_core.amounts import Wanted, apportioned, read, read_all
from zephyr_core.errors import OptionError


@pytest.mark.parametrize(
    ("text", "name", "share", "rows"),
    [
        ("A", "A", None, None),
        ("A=0.7", "A", Fraction(7, 10), None),
        ("A=.25", "A", Fraction(1, 4), None),
        ("A=1.0", "A", Fraction(1), None),
        ("A=1", "A", None, 1),
        ("A=2000", "A", None, 2000),
        ("owner/name=2000", "owner/name", None, 2000),
        ("A=0.7=0.3", "A=0.7", Fraction(3, 10), None),
        ("A=b", "A=b", None, None),
        ("=0.5", "=0.5", None, None),
    ],
)
def test_a_text_is_a_source_and_an_amount(text: str, name: str, share: Fraction | None, rows: int | None) -> None:
    wanted = read(text)
    assert (wanted.name, wanted.share, wanted.rows, str(wanted)) == (name, share, rows, text)


def test_a_path_that_exists_goes_before_an_amount(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "A").mkdir()
    assert read("A=0.7") == Wanted("A", "0.7")
    (tmp_path / "A=0.7").mkdir()
    assert read("A=0.7") == Wanted("A=0.7")
    assert read("A=0.7=0.5") == Wanted("A=0.7", "0.5")
    assert read("A/=0.7") == Wanted("A/", "0.7"), "how to take a share of A next to it"


@pytest.mark.parametrize(
    ("texts", "message", "hint"),
    [
        (["A=0.7", "B=2000"], "A=0.7 gives a share, and B=2000 gives none", "as A=2000"),
        (["B", "A=0.7"], "A=0.7 gives a share, and B gives none", "if one has a share, all have"),
        (["A=0.7", "B=0.4"], "the shares are 0.7 + 0.4 = 1.1, not 1", "A=0.636, B=0.364"),
        (["A=0.33", "B=0.33", "C=0.33"], "= 0.99, not 1", "A=0.334, B=0.333, C=0.333"),
        (["A=0.5"], "the shares are 0.5 = 0.5, not 1", "A=1"),
        (["A=0", "B=5"], "A=0 gives 0 rows", "leave it out"),
        (["A=0.0", "B=1.0"], "A=0.0 gives 0 rows", "leave it out"),
        (["A=70%", "B"], "A=70%: '70%' is neither a share nor a number of rows", "as A=0.7"),
        (["A=-1"], "'-1' is neither", "as A=2000"),
        (["A=1e3"], "'1e3' is neither", "as A=2000"),
    ],
)
def test_amounts_that_make_no_sense_are_refused(
    texts: list[str], message: str, hint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "A").mkdir()
    with pytest.raises(OptionError) as fault:
        read_all(texts)
    assert message in str(fault.value) and hint in str(fault.value.hint)


def test_all_rows_of_one_go_with_a_number_of_rows_of_another() -> None:
    assert read_all(["A", "B=2000"]) == (Wanted("A"), Wanted("B", "2000"))


@given(st.lists(st.integers(1, 1_000), min_size=1, max_size=6), st.integers(0, 10_000), st.randoms())
def test_parts_sum_to_the_whole_and_are_within_one(weights: list[int], total: int, random) -> None:  # type: ignore[no-untyped-def]
    names = [str(place) for place in range(len(weights))]
    shares = [Fraction(weight, sum(weights)) for weight in weights]
    parts = apportioned(shares, total, names)
    assert sum(parts) == total
    assert all(abs(part - share * total) < 1 for part, share in zip(parts, shares, strict=True))
    order = random.sample(range(len(weights)), len(weights))
    again = apportioned([shares[place] for place in order], total, [names[place] for place in order])
    assert again == [parts[place] for place in order]
