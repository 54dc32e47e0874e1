"""Points, means, ticks and intervals behind a drawing."""

import pytest

from zephyr_page import series


def test_a_mean_stays_within_its_epoch() -> None:
    line = [(0.5, 0.0), (1.0, 0.0), (1.5, 9.0), (2.0, 9.0)]
    assert series.smoothed(line, 3) == line
    assert series.smoothed([(0.1, 0.0), (0.2, 3.0), (0.3, 6.0)], 3) == [(0.1, 1.5), (0.2, 3.0), (0.3, 4.5)]


def test_a_long_line_is_thinned_and_keeps_its_mean() -> None:
    line = [(float(at), float(at % 2)) for at in range(4000)]
    thin = series.thinned(line)
    assert len(thin) == 400 and {value for _, value in thin} == {0.5}


@pytest.mark.parametrize(
    ("low", "high"), [(0.0, 1.0), (-0.06, 0.44), (6.3, 7.63), (5.0, 5.0), (0.0, 0.0), (1e-9, 3e-9), (-5, 3e6)]
)
def test_ticks_are_few_and_span_the_values(low: float, high: float) -> None:
    marks = series.ticks(low, high)
    assert 2 <= len(marks) <= 8 and marks[0] <= low and marks[-1] >= high and marks == sorted(set(marks))


def test_the_interval_of_a_share_is_wilsons() -> None:
    assert series.interval(0.5, 2) == pytest.approx((0.0945, 0.9055), abs=1e-3)
    assert series.interval(1.0, 10)[0] == pytest.approx(0.7225, abs=1e-3) and series.interval(1.0, 10)[1] == 1.0


def test_the_mean_moves_over_about_the_root_of_the_rows() -> None:
    assert [series.window(rows) for rows in (0, 2, 11, 12, 100, 150, 6_000)] == [1, 1, 1, 3, 11, 13, 77]
    line = [(at / 20, float(at**2)) for at in range(1, 11)]
    assert series.smoothed(line, 1) == line
    assert [value for _, value in series.smoothed(line, 3)[1:9]] == pytest.approx(
        [at**2 + 2 / 3 for at in range(2, 10)]
    )
