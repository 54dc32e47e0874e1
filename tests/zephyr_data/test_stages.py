"""The verbs on tables larger than a slice."""

import polars as pl
import pytest

from zephyr_data import schemas
from zephyr_data.stages import verbs as stages
from zephyr_data.stages.verbs import mark


@pytest.mark.parametrize("size", [1, 7, 1_000])
def test_a_set_is_judged_in_slices_as_in_one_piece(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    table = pl.DataFrame([{"line": line} for line in range(100)], schema=schemas.DIALOGUES)
    verdicts = pl.DataFrame(
        [(row, rule, row % 3, f"{row}", row % 8 == 3) for rule in ("a", "b") for row in range(99, 0, -4)],
        schema=schemas.VERDICTS,
        orient="row",
    )
    again = pl.DataFrame([(3, "c", None, None, True)], schema=schemas.VERDICTS, orient="row")
    whole = mark("two", lambda _: again)(mark("one", lambda _: verdicts)(table))
    assert whole["dropped_by"].drop_nulls().to_list() == ["one/a"] * 13 and whole["hits"].list.len().sum() == 51
    monkeypatch.setattr(stages, "SLICE", size)
    parts = mark("two", lambda _: again)(mark("one", lambda _: verdicts)(table))
    assert parts.equals(whole, null_equal=True) and parts["line"].to_list() == table["line"].to_list()
