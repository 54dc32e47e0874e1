"""Near-duplicates: what is similar goes, what is not stays, whatever the order of rows and the number of workers."""

import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import dialogue, shared
from tests.zephyr_data.rated import completion, raw
from zephyr_core.errors import OptionError
from zephyr_core.paths import shipped
from zephyr_data.options import CleanOptions
from zephyr_data.schemas import DIALOGUES
from zephyr_data.stages import near_duplicates, shingles
from zephyr_data.stages.near_duplicates import mark_near_duplicates, with_bands
from zephyr_data.stages.shingles import bands, jaccard, rows_per_band, run_sets

Clean = Callable[..., dict[str, Any]]
Write = Callable[..., Path]
TEXTS = st.lists(
    st.sampled_from(["a", "plum", "Plum!", "é", "–", "…", "+1", "日本", "x" * 40, "\n\n"]), max_size=40
).map(" ".join)


def runs_of(text: str) -> set[tuple[str, ...]]:
    """Return the runs of five words, as the documents say: the definition, written a second time."""
    words = re.split(r"[\W_]+", text.lower())
    words = [word for word in words if word]
    return {tuple(words[start : start + 5]) for start in range(max(1, len(words) - 4))} if words else set()


def similarity(one: str, other: str) -> float:
    first, second = runs_of(one), runs_of(other)
    return len(first & second) / len(first | second)


def texts_of(lines: list[str]) -> list[str]:
    """Return the texts of dialogues, without the symbols, which `runs_of` does not count as words."""
    rows = map(json.loads, lines)
    texts = (" ".join(row["data"] if "data" in row else (turn["content"] for turn in row["messages"])) for row in rows)
    return [re.sub(r"[^\w\s.,!?'-]|_", " ", text) for text in texts]


def real_texts() -> list[str]:
    return texts_of(shared("ultrachat/ultrachat_small_000-599.jsonl").read_text().splitlines())


def sample_texts() -> list[str]:
    return texts_of((shipped("recipes") / "samples" / "ultrachat" / "dialogues-a.jsonl").read_text().splitlines())


def changed(text: str, share: float, draw: random.Random) -> str:
    words = text.split()
    for place in draw.sample(range(len(words)), max(1, round(share * len(words)))):
        words[place] = draw.choice(words)
    return " ".join(words)


def drops(texts: list[str], least: float, order: list[int] | None = None) -> dict[int, tuple[int, float]]:
    """Return the numbers of the texts that go, each with that of the one that stays and their similarity."""
    numbers = order or list(range(len(texts)))
    rows = {"turns": [[texts[number]] for number in numbers], "row_key": [f"{number:06d}" for number in numbers]}
    table = pl.DataFrame(rows).with_columns(
        pl.lit("s").alias("source"),
        pl.lit("f").alias("file"),
        pl.lit(1, dtype=pl.Int64).alias("line"),
        pl.lit(None, dtype=pl.Int32).alias("dropped_turn"),
        *(pl.lit(None, dtype=pl.String).alias(name) for name in ("dropped_by", "matched")),
        pl.lit(None, dtype=DIALOGUES["hits"]).alias("hits"),
        pl.lit(None, dtype=DIALOGUES["spare_names"]).alias("spare_names"),
    )
    judged = mark_near_duplicates(least)(with_bands(table, least))
    gone = judged.filter(dropped_by="near-duplicates/similar-text")
    named = (matched.split(": ") for matched in gone["matched"])
    return {int(key): (int(other), float(share)) for key, (other, share) in zip(gone["row_key"], named, strict=True)}


@settings(deadline=None)
@given(TEXTS, TEXTS)
def test_the_similarity_is_the_share_of_common_runs(one: str, other: str) -> None:
    one, other = (text.replace("+", "") for text in (one, other))
    sets = run_sets(pl.Series([one, other]))
    assert [len(part) // 8 for part in sets] == [len(runs_of(text)) for text in (one, other)]
    if runs_of(one) | runs_of(other):
        assert jaccard(*sets) == similarity(one, other)


@settings(max_examples=30, deadline=None)
@given(st.lists(TEXTS, max_size=6))
def test_the_numbers_of_a_text_do_not_depend_on_its_neighbours(texts: list[str]) -> None:
    alone = [bands(pl.Series([text]), 0.8)[0] for text in texts]
    assert bands(pl.Series(texts, dtype=pl.String), 0.8).to_list() == alone
    assert [number is None for number in alone] == [not runs_of(text) and "+" not in text for text in texts]


def test_the_numbers_are_the_same_on_every_machine() -> None:
    numbers = bands(pl.Series(["The quick brown fox jumps over the lazy dog, and “the dog” sleeps on – é, ü."]), 0.8)
    assert numbers[0][:8].hex() == "61af4fa9ab09b21f"


def test_similar_texts_are_found_and_others_stay() -> None:
    texts, draw = real_texts(), random.Random(1)
    planted = [changed(text, draw.choice([0.005, 0.01, 0.02, 0.03]), draw) for text in texts]
    gone = drops([*texts, *planted], 0.8)
    close = [place for place, text in enumerate(texts) if similarity(text, planted[place]) >= 0.85]
    assert len(close) > 200
    assert sum(place + len(texts) in gone for place in close) >= 0.98 * len(close)
    for number, (other, share) in gone.items():
        exact = similarity(*([*texts, *planted][place] for place in (number, other)))
        assert exact >= 0.8 and abs(exact - share) < 0.001
        assert other not in gone, "what stays is named"


def test_the_order_of_rows_decides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    texts, draw = sample_texts(), random.Random(2)
    texts += [changed(draw.choice(texts), 0.01, draw) for _ in range(150)]
    gone = drops(texts, 0.5)
    assert len(gone) > 100
    order = draw.sample(range(len(texts)), len(texts))
    assert drops(texts, 0.5, order) == gone
    monkeypatch.setattr(near_duplicates, "TOGETHER", 7)
    monkeypatch.setattr(shingles, "CHUNK", 3_000)
    assert drops(texts, 0.5, order) == gone


def test_a_chain_does_not_lose_its_end() -> None:
    words = [f"word{number}" for number in range(100)]
    chain = [" ".join([f"new{number}" for number in range(step)] + words[step:]) for step in range(0, 40, 4)]
    gone = drops(chain, 0.8)
    assert all(similarity(chain[number], chain[other]) >= 0.8 for number, (other, _) in gone.items())
    staying = [text for number, text in enumerate(chain) if number not in gone]
    assert 1 < len(staying) < len(chain)


def test_one_of_similar_dialogues_stays_and_is_named(write: Write, clean: Clean, tmp_path: Path) -> None:
    reply = " ".join(f"It is plum number {number} of the basket." for number in range(30))
    rows = [dialogue("How many plums are there?", reply + end, row_id=end) for end in ("", " Thanks.", " Enjoy them!")]
    path = write([*rows, dialogue("What is a pear?", "A pear is a fruit.")])
    assert clean(path)["counts"]["kept_rows"] == 4
    content = clean(path, near_duplicates=0.8, out="near")
    assert content["counts"]["dropped"] == {"near-duplicates/similar-text": 2}
    dropped = pl.read_parquet(tmp_path / "near" / "audit" / "dropped.parquet")
    kept = pl.read_parquet(tmp_path / "near" / "audit" / "kept.parquet")
    assert {name.split(": ")[0] for name in dropped["matched"]} <= set(kept["row_key"])
    two = clean(path, near_duplicates=0.8, out="two", workers=2)
    assert two["dropped_digest"] == content["dropped_digest"]
    assert (
        clean(path, near_duplicates=0.8, without=("near-duplicates/similar-text",), out="o")["counts"]["kept_rows"] == 4
    )


def test_pairs_are_compared_by_prompt(write: Write, binarize: Clean) -> None:
    prompt = "Tell me in a few plain words how I get from the old harbour to the new station on foot"
    answers = [[completion("Left.", 1), completion("Right.", 4)], [completion("North.", 2), completion("South.", 5)]]
    path = write([raw(prompt, answers[0]), raw(f"{prompt}, please", answers[1])])
    assert binarize(path)["counts"]["kept_rows"] == 2
    dropped = binarize(path, near_duplicates=0.8, out="near")["counts"]["dropped"]
    assert dropped == {"near-duplicates/similar-text": 1}


@pytest.mark.parametrize("similarity", [0.4, 1.1, float("nan")])
def test_a_similarity_out_of_range_is_refused(similarity: float) -> None:
    with pytest.raises(OptionError, match="near_duplicates"):
        CleanOptions(near_duplicates=similarity)


def test_bands_are_as_wide_as_the_recall_allows() -> None:
    for least in (0.5, 0.6, 0.7, 0.8, 0.9, 1.0):
        size = rows_per_band(least)
        assert 1 - (1 - least**size) ** (shingles.BINS / size) >= shingles.RECALL
