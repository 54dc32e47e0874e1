"""The laws of the design, over every stage of the pipeline: a new stage cannot break them unseen."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import dialogue
from tests.zephyr_data.rated import completion, raw
from zephyr_data.cleaning import ultrachat
from zephyr_data.cleaning.ultrachat import CLEANING
from zephyr_data.json_digests import list_keys
from zephyr_data.options import BinarizeOptions, CleanOptions
from zephyr_data.pairing.binarize import BINARIZING
from zephyr_data.schemas import DIALOGUES
from zephyr_data.sources.blocks import Block, read_blocks
from zephyr_data.sources.files import RawFile
from zephyr_data.sources.rated import parse_rated
from zephyr_data.stages.near_duplicates import with_bands
from zephyr_data.stages.phrases import cut_phrases
from zephyr_data.stages.verbs import Stage, at_hand, split_verdict

DEFAULT = CleanOptions()
CUTTING = CleanOptions(on_hit="cut", truecase_roles=("assistant", "user"))
STAGES = [
    *CLEANING.row_stages(DEFAULT),
    *CLEANING.row_stages(CUTTING),
    *CLEANING.whole_set.stages(CleanOptions(size=2, test_share=0.5, near_duplicates=0.5), at_hand),
]
PIECES = st.sampled_from(
    [
        "As an AI language model, I don't have personal opinions.",
        "I cannot browse the internet.",
        "hello. how are you? i am fine! paris is big.",
        "THE CAT IS IN THE HOUSE AND YOU ARE NOT THERE.",
        "```\ncode. here\n```",
        "Wie kann ich meine Zeit besser einteilen, wenn ich so viel zu tun habe?",
        "你好，请问如何安排时间？",
        "“quoted. text”",
        "etc. and so on",
        "\u2028\u0085\ufeff\u200b",
        "İSTANBUL ß ŉ ǆ",
    ]
)
TEXT = st.one_of(st.text(min_size=1, max_size=60), st.lists(PIECES, min_size=1, max_size=4).map(" ".join))
TURNS = st.lists(TEXT, min_size=2, max_size=6).filter(lambda turns: len(turns) % 2 == 0)
TABLES = st.lists(TURNS, min_size=0, max_size=6)


def table_of(rows: list[list[str]], dropped: int = 0) -> pl.DataFrame:
    table = pl.DataFrame([{"turns": turns} for turns in rows], schema=DIALOGUES)
    first = pl.int_range(pl.len()) < dropped
    keyed = ultrachat.with_keys(
        table.with_columns(
            pl.lit("s").alias("source"),
            pl.lit("f").alias("file"),
            pl.int_range(1, pl.len() + 1).cast(pl.Int64).alias("line"),
            row_key=pl.Series(list_keys(table["turns"]), dtype=pl.String),
            dropped_by=pl.when(first).then(pl.lit("read/empty-turn")),
        ),
        "dialogue",
        42,
    )
    return with_bands(keyed, 0.5)


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: f"{stage.verb}-{stage.name}")
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rows=TABLES, dropped=st.integers(0, 2))
def test_every_stage_keeps_the_laws(stage: Stage, rows: list[list[str]], dropped: int) -> None:
    before = table_of(rows, dropped)
    after = stage(before)
    assert after.schema == before.schema
    keys = [
        name
        for name in before.columns
        if name not in ("turns", "dropped_by", "dropped_turn", "matched", "hits", "edits")
    ]
    assert after.select(keys).equals(before.select(keys)), "no row lost, none moved, no key changed"
    was = before["dropped_by"].is_not_null()
    assert after.filter(was)["dropped_by"].equals(before.filter(was)["dropped_by"]), "a reason is never overwritten"
    if stage.verb == "mark":
        assert after["turns"].equals(before["turns"]) and after["edits"].equals(before["edits"])
    else:
        assert after["dropped_by"].equals(before["dropped_by"])
        assert after.filter(was)["turns"].equals(before.filter(was)["turns"]), "a dropped row is not rewritten"
        changed = after["turns"].ne_missing(before["turns"])
        assert changed.equals(after["edits"].is_not_null()), "what changed is recorded, and nothing else"
    if stage.name == "truecase":
        folded = [[text.casefold() for text in turns] for turns in before["turns"].to_list()]
        assert [[text.casefold() for text in turns] for turns in after["turns"].to_list()] == folded, "case only"
    kept, dropped_rows = split_verdict(after)
    assert kept.height + dropped_rows.height == before.height


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: f"{stage.verb}-{stage.name}")
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rows=TABLES)
def test_no_stage_drops_or_cuts_a_row_to_spare(stage: Stage, rows: list[list[str]]) -> None:
    before = table_of(rows).with_columns(spare_names=pl.lit(["x"]))
    after = stage(before)
    assert after["dropped_by"].null_count() == after.height
    hits = after.explode("hits")["hits"].drop_nulls().struct.unnest()
    assert hits["unless"].null_count() == 0, "and every hit is on record"
    assert cut_phrases()(after)["turns"].equals(after["turns"])


SCORES = st.sampled_from(["1", "3", "5", "N/A", "broken"])
OVERALLS = st.sampled_from([None, 1.0, 7.5, 10.0])
RATED_ANSWERS = st.lists(st.tuples(st.sampled_from(["", "a", "a ", "b", "I am an AI."]), SCORES, OVERALLS), max_size=5)
RATED_ROWS = st.lists(st.tuples(st.sampled_from(["p", "q", "Do pigs fly?"]), RATED_ANSWERS), max_size=5)
PAIR_OPTIONS = [
    BinarizeOptions(),
    BinarizeOptions(score="overall", rejected="all-pairs", ties="drop", rules=("ultrachat",), min_margin=1.0),
    BinarizeOptions(score="overall", rejected="h4-v1", suspicious_tens="as-read"),
]
PAIR_STAGES = [(options, stage) for options in PAIR_OPTIONS for stage in BINARIZING.row_stages(options)]
CHANGING = ("dropped_by", "dropped_turn", "matched", "hits", "edits", "scores", "pairs")


def rated(rows: list[tuple[str, Any]], folder: Path) -> pl.DataFrame:
    lines = [
        raw(prompt, [completion(text, rating, overall=overall) for text, rating, overall in answers])
        for prompt, answers in rows
    ]
    path = folder / "rated.jsonl"
    path.write_text("\n".join([*lines, "no json"]))
    (block, _) = read_blocks(RawFile("s", path.name, path, "plain"))
    assert isinstance(block, Block)
    return parse_rated(block)[0]


@pytest.mark.parametrize(
    ("options", "stage"),
    PAIR_STAGES,
    ids=[f"{number}-{stage.verb}-{stage.name}" for number, (_, stage) in enumerate(PAIR_STAGES)],
)
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(rows=RATED_ROWS)
def test_every_stage_of_pairs_keeps_the_laws(
    options: BinarizeOptions, stage: Stage, rows: list[tuple[str, Any]], tmp_path: Path
) -> None:
    before = rated(rows, tmp_path)
    for earlier in BINARIZING.row_stages(options):
        if (earlier.verb, earlier.name) == (stage.verb, stage.name):
            break
        before = earlier(before)
    after = stage(before)
    assert after.schema == before.schema
    same = [name for name in before.columns if name not in CHANGING]
    assert after.select(same).equals(before.select(same)), "no row lost, none moved, no text changed"
    was = before["dropped_by"].is_not_null()
    assert after.filter(was)["dropped_by"].equals(before.filter(was)["dropped_by"]), "a reason is never overwritten"
    column = {"score": "scores", "policy": "pairs"}.get(stage.name)
    if stage.verb == "mark":
        assert after.select("scores", "pairs", "edits").equals(before.select("scores", "pairs", "edits"))
    else:
        assert column is not None
        is_free, is_filled = after["dropped_by"].is_null(), after[column].is_not_null()
        assert (is_filled | ~is_free).all(), "a row that cannot be filled has a reason"
        assert after.filter(was)[column].null_count() == was.sum(), "a dropped row is not filled"
    kept, dropped = split_verdict(after)
    assert kept.height + dropped.height == before.height


def test_stages_are_pure() -> None:
    rows = [["Which one?", "As an AI model, I say plums."], ["What is it?", "hello. it is a plum in paris."]]
    table = table_of(rows)
    for stage in STAGES:
        stage(table)
        assert table.equals(table_of(rows))


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(rows=TABLES)
def test_sums_meet_for_arbitrary_dialogues(
    rows: list[list[str]], write: Callable[..., Path], clean: Callable[..., dict[str, Any]]
) -> None:
    good = dialogue("How do I boil an egg?", "Put it into boiling water for eight minutes.")
    content = clean(write([good, *(dialogue(*turns) for turns in rows), "bad line"]), overwrite=True)
    counts = content["counts"]
    assert counts["rows_read"] == len(rows) + 2 == counts["kept_rows"] + sum(counts["dropped"].values())
    assert sum(content["splits"][f"{side}_sft"]["rows"] for side in ("train", "test")) == counts["kept_rows"]
