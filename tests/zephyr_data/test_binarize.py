"""`zephyr data binarize`: scores, leakage, the dataset that it writes, equality, making other pairs of it."""

import gzip
import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest

from tests.zephyr_data.rated import completion, generic, raw
from zephyr_core import recipe
from zephyr_core.errors import OptionError, PartlyDone, UsageError, WrongFolder
from zephyr_core.keys import draws, text_key
from zephyr_data import schemas
from zephyr_data.engine.store import verify
from zephyr_data.errors import ContractBroken, SourceError
from zephyr_data.options import BinarizeOptions
from zephyr_data.pairing.binarize import BINARIZING
from zephyr_data.stages.leakage import read_prompts
from zephyr_data.stages.splits import assign_pair_sides

Make = Callable[..., dict[str, Any]]
Write = Callable[..., Path]
PREFS = ("train_prefs", "test_prefs")


def pairs(out: Path, *splits: str) -> list[dict[str, Any]]:
    """The rows of the splits, prefs unless named, in the order of their prompts."""
    found = [pl.read_parquet(out / "data" / f"{split}-*.parquet") for split in splits or PREFS]
    return pl.concat(found).sort("prompt_id").rows(named=True)


def texts(out: Path) -> dict[str, tuple[str, str]]:
    return {
        row["prompt"][-1]["content"]: (row["chosen"][0]["content"], row["rejected"][0]["content"]) for row in pairs(out)
    }


def same(first: dict[str, Any], second: dict[str, Any]) -> bool:
    return all(first[key] == second[key] for key in ("splits", "dropped_digest", "counts"))


def many(count: int = 60) -> list[str]:
    """Rows of every kind: ties, equal texts, empty sides, missing and broken ratings, refusals, benchmarks."""
    chance = random.Random(3)
    lines = []
    for number in range(count):
        answers = [
            completion(
                chance.choice(["", "same", "same ", f"answer {number} {place}", f"longer answer {number} {place}"]),
                *(chance.choice(["1", "2", "3", "4", "5", "5", "N/A", "broken"]) for _ in range(4)),
                overall=chance.choice([None, 1.0, 6.5, 7.0, 8.0, 10.0, 10.0]),
                model=chance.choice(["a", "b", "c"]),
            )
            for place in range(chance.choice([1, 2, 3, 4, 4, 4, 4]))
        ]
        source = chance.choice(["flan", "evol_instruct", "evol_instruct", "truthful_qa"])
        lines.append(raw(f"Question {number % 50}?", answers, source=source))
    return [*lines, "no json", '{"instruction": null}', raw("p", [])]


# ---- scores ---------------------------------------------------------------------------------------


def test_mean_overall_and_aspect_are_told_apart(write: Write, binarize: Make, tmp_path: Path) -> None:
    # means 3.5, 3.0, 2.0; overall 4, 9, 2; helpfulness (the last) 1, 2, 5
    answers = [
        completion("a", "5", "5", "3", "1", overall=4.0),
        completion("b", "4", "3", "3", "2", overall=9.0),
        completion("c", "1", "1", "1", "5", overall=2.0),
    ]
    path = write([raw("p", answers)])
    for score, chosen, high, low in (
        ("mean", "a", 3.5, 2.0),
        ("overall", "b", 9.0, 2.0),
        ("aspect:helpfulness", "c", 5.0, 1.0),
    ):
        content = binarize(path, score=score, rejected="lowest", overwrite=True)
        (row,) = pairs(tmp_path / "pairs")
        assert (row["chosen"][0]["content"], row["score_chosen"], row["score_rejected"]) == (chosen, high, low)
        assert row["margin"] == high - low
        assert (content["counts"]["compared_rows"], content["counts"]["disagreeing_rows"]) == (1, 1)


def test_the_mean_leaves_out_what_is_not_rated(write: Write, binarize: Make, tmp_path: Path) -> None:
    answers = [completion("a", "5", "N/A", "2"), completion("b", "4", "4", "4", "3"), completion("c", "N/A")]
    content = binarize(write([raw("p", answers)]))
    (row,) = pairs(tmp_path / "pairs")
    assert [row["score_chosen"], row["score_rejected"]] == [3.75, 3.5]
    assert [answer["score"] for answer in row["candidates"]] == [3.5, 3.75, None]
    rules = pl.read_parquet(tmp_path / "pairs" / "audit" / "rules.parquet").filter(rule="missing-score")
    assert rules.select("hit_rows", "dropped_rows", "hit_turns").rows() == [(1, 0, 1)]
    assert content["counts"]["kept_rows"] == 1


TENS = {
    "wrong": [completion("x", "2", "2", overall=10.0), completion("y", "4", "4", overall=7.0)],  # mean 2: a 1
    "right": [completion("x", "5", "4", overall=10.0), completion("y", "3", "3", overall=7.0)],  # mean 4.5: stays
    "open": [completion("x", "4", "4", overall=10.0), completion("y", "3", "3", overall=7.0)],  # mean 4: nobody knows
}


@pytest.mark.parametrize(
    ("suspicious", "chosen", "dropped"),
    [
        ("drop", {"wrong": "y", "right": "x"}, {"score/suspicious-ten": 1}),
        ("keep", {"wrong": "y", "right": "x", "open": "x"}, {}),
        ("as-read", {"wrong": "x", "right": "x", "open": "x"}, {}),
    ],
)
def test_tens_that_were_ones(
    write: Write, binarize: Make, tmp_path: Path, suspicious: str, chosen: dict[str, str], dropped: dict[str, int]
) -> None:
    path = write([raw(name, answers) for name, answers in TENS.items()])
    content = binarize(path, score="overall", suspicious_tens=suspicious)
    assert {prompt: pair[0] for prompt, pair in texts(tmp_path / "pairs").items()} == chosen
    assert content["counts"]["dropped"] == dropped
    repaired = int(suspicious != "as-read")
    assert content["counts"]["repaired_scores"] == repaired
    changes = pl.read_parquet(tmp_path / "pairs" / "audit" / "rewritten.parquet")
    told = [("score", "ten-for-one", 0, "10.0 (mean rating 2.0)", "1.0")] * repaired
    assert changes.select("stage", "rule", "turn", "before", "after").rows() == told
    rules = pl.read_parquet(tmp_path / "pairs" / "audit" / "rules.parquet").filter(rule="suspicious-ten")
    assert rules.height == repaired and rules["hit_rows"].sum() == repaired


def test_h4_v1_implies_its_score_and_refuses_another(write: Write, binarize: Make, tmp_path: Path) -> None:
    answers = [
        completion("x", "5", overall=3.0),
        completion("y", "1", overall=10.0),
        completion("z", "3", overall=10.0),
    ]
    content = binarize(write([raw("p", answers)]), rejected="h4-v1")
    assert texts(tmp_path / "pairs") == {"p": ("y", "z")}, (
        "the first maximum of the overall score as read, against place 2"
    )
    assert content["options"]["values"]["score"] == "overall"
    assert content["options"]["origins"]["score"] == "policy h4-v1"
    with pytest.raises(OptionError, match="h4-v1 means score 'overall', but flag --score asks for 'mean'"):
        binarize(write([raw("p", answers)]), rejected="h4-v1", score="mean", overwrite=True)


@pytest.mark.parametrize(
    "wrong",
    [{"rejected": "worst"}, {"score": "sum"}, {"score": "aspect:"}, {"ties": "both"}, {"layout": "h5"},
     {"min_margin": -1.0}, {"min_margin": float("nan")}, {"min_margin": float("inf")},
     {"keep_benchmarks": True, "benchmark": ("x.txt",)}, {"test_prompts": -1}, {"suspicious_tens": "maybe"}, {"limit": 0}],
)  # fmt: skip
def test_impossible_options(wrong: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match=next(iter(wrong))):
        BinarizeOptions(**wrong)


def test_a_refusal_in_the_prompt_is_no_refusal_of_the_answer(write: Write, binarize: Make, tmp_path: Path) -> None:
    refusal = "As an AI language model, I cannot help with that."
    turns = [("user", "Hi"), ("assistant", refusal), ("user", "A plum?")]
    prompt = [{"role": role, "content": text} for role, text in turns]
    lines = [
        generic(prompt, [3, 1], ["Yes.", "No."], id="fine"),
        generic(prompt, [3, 1], [refusal, "No."], id="refused"),
    ]
    binarize(write(lines), rules=("ultrachat",))
    dropped = pl.read_parquet(tmp_path / "pairs" / "audit" / "dropped.parquet")
    assert dropped.select("id", "rule").rows() == [("refused", "refusal-in-chosen")]
    assert dropped["matched"][0].startswith("as-an-ai: ")


# ---- benchmarks -----------------------------------------------------------------------------------


def test_a_benchmark_s_row_goes_as_such_whatever_else_is_wrong_with_its_pairs(write: Write, binarize: Make) -> None:
    answers = [completion("a", "5"), completion("b", "5"), completion("a ", "4")]
    lines = [raw("p", answers, source="truthful_qa"), raw("q", [completion("a", "5"), completion("b", "1")])]
    assert binarize(write(lines), ties="first")["counts"]["dropped"] == {"benchmark/benchmark-source": 1}


def test_truthful_qa_goes_and_its_prompts_elsewhere_go_with_it(write: Write, binarize: Make, tmp_path: Path) -> None:
    answers = [completion("a", "5"), completion("b", "1")]
    unrated = [{"response": "a"}, {"response": "b"}]
    lines = [
        raw("Do pigs fly?", answers, source="truthful_qa"),
        raw("do pigs  fly", answers, source="flan"),
        raw("Do cows fly?", unrated, source="truthful_qa"),  # dropped before, and still a benchmark's prompt
        raw("Do cows fly?", answers, source="flan"),
        raw("Do birds fly?", answers, source="flan"),
    ]
    path = write(lines)
    counts = binarize(path)["counts"]
    assert counts["dropped"] == {
        "benchmark/benchmark-source": 1,
        "benchmark/prompt-of-benchmark-source": 2,
        "gates/missing-score": 1,
    }
    assert list(texts(tmp_path / "pairs")) == ["Do birds fly?"]
    assert binarize(path, keep_benchmarks=True, overwrite=True)["counts"]["kept_rows"] == 4
    assert binarize(path, benchmark_sources=("other",), overwrite=True)["counts"]["kept_rows"] == 4
    with pytest.raises(SourceError, match=r"of 5 rows all were dropped, by benchmark/.*gates/missing-score 1"):
        binarize(path, benchmark_sources=("flan",), overwrite=True)


def test_a_copy_is_told_by_its_last_turn(write: Write, binarize: Make) -> None:
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    asked = [*turns, {"role": "user", "content": "do PIGS fly"}]
    lines = [
        generic("Do pigs fly?", [2, 1], source="truthful_qa"),
        generic(asked, [2, 1]),
        generic([{"role": "user", "content": "Do pigs fly?"}, turns[1], {"role": "user", "content": "Bye"}], [2, 1]),
    ]
    dropped = binarize(write(lines))["counts"]["dropped"]
    assert dropped == {"benchmark/benchmark-source": 1, "benchmark/prompt-of-benchmark-source": 1}


def test_a_benchmark_file_exact_and_normalised(write: Write, binarize: Make, tmp_path: Path) -> None:
    answers = [completion("a", "5"), completion("b", "1")]
    lines = [raw(text, answers) for text in ("Compose a blog post.", "compose a BLOG post", "Compose a log post.")]
    bench = tmp_path / "mt.jsonl"
    bench.write_text(json.dumps({"question_id": 81, "turns": ["Compose a blog post.", "Rewrite it."]}) + "\n")
    content = binarize(write(lines), benchmark=(str(bench),))
    assert content["counts"]["dropped"] == {"benchmark/same-prompt": 1, "benchmark/same-words": 1}
    assert list(content["rules"]) == [str(bench)], "the file's digest is on record"
    matched = pl.read_parquet(tmp_path / "pairs" / "audit" / "dropped.parquet")["matched"]
    assert matched.to_list() == ["mt.jsonl: Compose a blog post.", "mt.jsonl: compose a BLOG post"]
    bench.write_text(json.dumps({"turns": ["Compose a log post."]}))
    with pytest.raises(UsageError, match="the rule files"):
        binarize(write(lines), benchmark=(str(bench),))


def test_later_user_turns_are_looked_at_too(write: Write, binarize: Make, tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_text("Rewrite it.\r\n\n")
    turns = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Rewrite it."},
        {"role": "user", "content": "rewrite it"},
    ]
    dropped = binarize(
        write([generic(turns, [1, 2]), generic(turns[:1], [1, 2])]), benchmark=(str(tmp_path / "b.txt"),)
    )
    assert dropped["counts"]["dropped"] == {"benchmark/same-words": 1}
    table = pl.read_parquet(tmp_path / "pairs" / "audit" / "dropped.parquet")
    assert table["turn"].to_list() == [2]


def test_kinds_of_benchmark_files(tmp_path: Path) -> None:
    frame = pl.DataFrame({"Type": ["x", "x"], "Question": ["One?", "Two, really?"]})
    frame.write_csv(tmp_path / "b.csv")
    frame.write_parquet(tmp_path / "b.parquet")
    (tmp_path / "b.json").write_text(frame.write_json())
    (tmp_path / "b.jsonl").write_text(frame.write_ndjson())
    (tmp_path / "b.txt").write_text("One?\nTwo, really?\n")
    for suffix in ("csv", "parquet", "json", "jsonl", "txt"):
        assert read_prompts(tmp_path / f"b.{suffix}") == ["One?", "Two, really?"], suffix
    (tmp_path / "odd.jsonl").write_text('{"answer": "x"}\n')
    with pytest.raises(SourceError, match="row 1, has no prompt; found 'answer'"):
        read_prompts(tmp_path / "odd.jsonl")
    (tmp_path / "half.jsonl").write_text('{"prompt": "x"}\n{"messages": [{"role": "system", "content": "y"}]}\n')
    with pytest.raises(SourceError, match="row 2, has no prompt; found 'messages'"):
        read_prompts(tmp_path / "half.jsonl")
    (tmp_path / "M.JSONL").write_text('{"messages": [{"role": "Human", "content": "y"}]}\n')
    assert read_prompts(tmp_path / "M.JSONL") == ["y"]
    (tmp_path / "empty.txt").write_text("\n")
    with pytest.raises(SourceError, match="is empty"):
        read_prompts(tmp_path / "empty.txt")
    (tmp_path / "b.tsv").write_text("x")
    with pytest.raises(UsageError, match="has an unsupported suffix"):
        BINARIZING.reading.digests(BinarizeOptions(benchmark=(str(tmp_path / "b.tsv"),)))
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(SourceError, match="cannot be read"):
        read_prompts(tmp_path / "bad.json")
    with pytest.raises(UsageError, match="does not exist"):
        BINARIZING.reading.digests(BinarizeOptions(benchmark=(str(tmp_path / "gone.txt"),)))


# ---- the dataset ----------------------------------------------------------------------------------


def test_trainer_layout(write: Write, binarize: Make, tmp_path: Path) -> None:
    turns = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello"},
        {"role": "user", "content": "A plum?"},
    ]
    content = binarize(write([generic(turns, [1, 3, 2], source="mine")]), rejected="all-lower")
    first, second = pairs(tmp_path / "pairs")
    assert list(first) == schemas.PAIRS.names
    assert first["prompt"] == [{"content": turn["content"], "role": turn["role"]} for turn in turns]
    assert first["chosen"] == [{"content": "b", "role": "assistant"}]
    assert [row["rejected"][0]["content"] for row in (first, second)] == ["c", "a"]
    assert (first["source"], first["chosen_model"], first["rejected_model"]) == ("mine", "m-b", "m-c")
    assert first["candidates"] == [
        {"response": text, "model": f"m-{text}", "score": score}
        for text, score in zip("abc", [1.0, 3.0, 2.0], strict=True)
    ]
    assert first["prompt_id"] == text_key("Hi") and first["messages"] == [*first["prompt"], *first["chosen"]]
    (sft,), (gen,) = pairs(tmp_path / "pairs", "train_sft"), pairs(tmp_path / "pairs", "train_gen")
    assert sft == first, "one row for each rated row"
    assert gen == {**first, "messages": first["prompt"]}
    assert content["splits"]["train_prefs"]["rows"] == 2
    for split in content["splits"]:
        (shard,) = (tmp_path / "pairs" / "data").glob(f"{split}-*.parquet")
        assert pq.read_schema(shard).remove_metadata() == schemas.PAIRS


def test_h4_layout(write: Write, binarize: Make, tmp_path: Path) -> None:
    binarize(write([generic("A plum?", [1, 3])]), layout="h4")
    (row,) = pairs(tmp_path / "pairs")
    user = {"content": "A plum?", "role": "user"}
    assert row == {
        "prompt": "A plum?",
        "prompt_id": text_key("A plum?"),
        "chosen": [user, {"content": "b", "role": "assistant"}],
        "rejected": [user, {"content": "a", "role": "assistant"}],
        "messages": [user, {"content": "b", "role": "assistant"}],
        "score_chosen": 3.0,
        "score_rejected": 1.0,
    }
    assert pairs(tmp_path / "pairs", "train_gen")[0]["messages"] == [user]


def test_both_layouts_open_with_datasets(
    write: Write, binarize: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    from datasets import List, Value, load_dataset

    text, number = Value("string"), Value("float64")
    messages = List({"content": text, "role": text})
    for layout, prompt, more in (
        ("h4", text, {}),
        ("trainer", messages, {"margin": number, "source": text, "chosen_model": text, "rejected_model": text,
                               "candidates": List({"response": text, "model": text, "score": number})}),
    ):  # fmt: skip
        content = binarize(write(many()), layout=layout, out=layout)
        loaded = load_dataset(str(tmp_path / layout), cache_dir=str(tmp_path / "cache"))
        assert list(loaded) == ["train_prefs", "test_prefs", "train_sft", "test_sft", "train_gen", "test_gen"]
        for name, split in loaded.items():
            assert len(split) == content["splits"][name]["rows"]
            assert dict(split.features) == {
                "prompt": prompt, "prompt_id": text, "chosen": messages, "rejected": messages, "messages": messages,
                "score_chosen": number, "score_rejected": number, **more,
            }  # fmt: skip
        dropped = load_dataset(
            str(tmp_path / layout), "audit-dropped", split="train", cache_dir=str(tmp_path / "cache")
        )
        assert len(dropped) == sum(content["counts"]["dropped"].values())
        rated = load_dataset(str(tmp_path / layout), "rated", split="train", cache_dir=str(tmp_path / "cache"))
        assert len(rated) == content["counts"]["rows_read"]


def test_the_test_side_holds_whole_prompts_and_half_of_it_is_for_sft(
    write: Write, binarize: Make, tmp_path: Path
) -> None:
    lines = [generic(f"p{number % 40}", [1, 2, 3], [f"{number}a", "b", "c"]) for number in range(120)]
    content = binarize(write(lines), test_prompts=8, rejected="all-lower")
    sides = {split: {row["prompt_id"] for row in pairs(tmp_path / "pairs", split)} for split in content["splits"]}
    assert len(sides["test_prefs"]) == 8 and not sides["test_prefs"] & sides["train_prefs"]
    order = sorted(sides["test_prefs"], key=lambda key: draws(42, "split", [key], 2**64)[0])
    assert sides["test_sft"] == sides["test_gen"] == set(order[:4])
    every = sides["test_prefs"] | sides["train_prefs"]
    assert set(order) == set(sorted(every, key=lambda key: draws(42, "split", [key], 2**64)[0])[:8])
    rows = {split: entry["rows"] for split, entry in content["splits"].items()}
    assert rows == {
        "train_prefs": 192,
        "test_prefs": 48,
        "train_sft": 96,
        "test_sft": 12,
        "train_gen": 96,
        "test_gen": 12,
    }


def test_how_many_test_prompts() -> None:
    for prompts, tests in ((100, 3), (19_999, 600), (20_000, 2_000)):
        sides = assign_pair_sides(pl.Series([text_key(str(number)) for number in range(prompts)]), None, 42)
        assert (sides != "train").sum() == tests and (sides == "test-sft").sum() == (tests + 1) // 2


def test_same_rows_same_pairs(write: Write, binarize: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from functools import partial

    from zephyr_data.sources.blocks import read_blocks

    lines = many()
    plain = binarize(write(lines))
    assert plain["counts"]["pairs"] > 15 and len(plain["counts"]["dropped"]) >= 8
    assert same(binarize(write(lines[::-1], "r.jsonl"), out="reversed"), plain)
    parts = [write(part, f"parts/{number}.jsonl") for number, part in enumerate((lines[40:], lines[:40]))]
    assert same(binarize(*parts, out="parts-out", workers=2, shard_rows=7), plain)
    monkeypatch.setattr("zephyr_data.engine.pipeline.read_blocks", partial(read_blocks, block_bytes=5_000))
    assert same(binarize(write(random.Random(1).sample(lines, len(lines)), "s.jsonl"), out="shuffled"), plain)
    verify(tmp_path / "parts-out")


@pytest.mark.parametrize(
    "flags",
    [
        {},
        {"rejected": "random-any", "ties": "first"},
        {"rejected": "all-pairs", "layout": "h4"},
        {"rejected": "h4-v1"},
        {"score": "overall", "suspicious_tens": "keep", "keep_benchmarks": True},
        {"score": "aspect:honesty", "min_margin": 1.0, "seed": 7},
    ],
    ids=str,
)
def test_other_pairs_of_a_made_dataset_are_those_of_the_raw_file(
    write: Write, binarize: Make, tmp_path: Path, flags: dict[str, Any]
) -> None:
    path = write(many())
    binarize(path, out="first", rejected="lowest", ties="drop", layout="h4")
    path.rename(tmp_path / "kept-away.jsonl")
    again = binarize(tmp_path / "first", out="again", **flags)
    assert same(again, binarize(tmp_path / "kept-away.jsonl", out="direct", **flags))
    places = [
        pl.read_parquet(tmp_path / out / "audit" / "dropped.parquet")["line"].sort() for out in ("again", "direct")
    ]
    assert places[0].equals(places[1]), "the audit leads to the raw lines"
    third = binarize(tmp_path / "again", out="third", **flags)
    assert same(third, again), "and so on"


def test_a_dataset_of_pairs_in_the_home_folder_is_a_source(
    binarize: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = binarize(out="first")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert binarize("~/first", out="second")["splits"] == first["splits"]


def test_a_dataset_of_dialogues_is_no_source_of_pairs(binarize: Make, clean: Make, tmp_path: Path) -> None:
    clean()
    with pytest.raises(WrongFolder, match="is a dataset of dialogues, not a set of rated rows"):
        binarize(tmp_path / "out")


def test_a_dataset_of_pairs_without_its_rated_rows_is_no_source(binarize: Make, tmp_path: Path) -> None:
    binarize(out="first")
    shutil.rmtree(tmp_path / "first" / "rated")
    with pytest.raises(SourceError, match="holds no rated rows"):
        binarize(tmp_path / "first", out="second")


def test_keep_dropped_on_a_made_dataset_stores_its_rows(write: Write, binarize: Make, tmp_path: Path) -> None:
    lines = ["", generic("p", [3, 1]), generic("q", [2, 2], id="x"), "broken"]
    binarize(write(lines), out="first")
    binarize(tmp_path / "first", out="again", keep_dropped=True)
    rows = pl.read_parquet(tmp_path / "again" / "dropped_rows" / "dropped.parquet")
    assert rows["line"].to_list() == [3, 4]
    assert json.loads(rows["raw"][0])["id"] == "x" and json.loads(rows["raw"][1])["matched"] == "broken"


def test_what_an_input_lacked_is_not_forgotten(write: Write, binarize: Make, tmp_path: Path) -> None:
    whole = gzip.compress("\n".join(generic(os.urandom(60).hex(), [3, 1]) for _ in range(3000)).encode())
    (tmp_path / "x.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(PartlyDone, match="ends inside a compressed block"):
        binarize(tmp_path / "x.jsonl.gz", out="first")
    with pytest.raises(PartlyDone, match=r"lacks what x\.jsonl\.gz of .* ends inside a compressed block"):
        binarize(tmp_path / "first", out="again")


def test_limit_counts_rows_not_blank_lines(write: Write, binarize: Make, tmp_path: Path) -> None:
    lines = [generic("p", [3, 1]), "", " ", generic("q", [3, 1]), "", generic("r", [3, 1])]
    limited = binarize(write(lines), limit=2)
    assert limited["counts"]["rows_read"] == 2
    binarize(write(lines), out="whole")
    assert same(binarize(tmp_path / "whole", out="again", limit=2), limited)


def test_a_folder_inside_a_dataset_is_refused(write: Write, binarize: Make, tmp_path: Path) -> None:
    path = write([generic("p", [3, 1])])
    binarize(path)
    with pytest.raises(UsageError, match="is inside the dataset"):
        binarize(path, out="pairs/sub")
    verify(tmp_path / "pairs")


def test_an_option_without_effect_is_refused(write: Write, binarize: Make) -> None:
    with pytest.raises(OptionError, match="suspicious_tens has no effect on the score 'mean'"):
        binarize(write([generic("p", [3, 1])]), suspicious_tens="keep")
    with pytest.raises(UsageError, match="--workers is 0"):
        binarize(write([generic("p", [3, 1])]), workers=0)


@pytest.mark.parametrize(
    "other",
    [{"rejected": "lowest"}, {"score": "overall"}, {"ties": "drop"}, {"min_margin": 1.0}, {"seed": 7},
     {"rules": ("ultrachat",)}, {"keep_benchmarks": True}, {"benchmark_sources": ("flan",)}, {"keep_dropped": True}],
    ids=str,
)  # fmt: skip
def test_blocks_of_a_stopped_run_with_other_options_are_not_reused(
    write: Write,
    binarize: Make,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    other: dict[str, Any],
) -> None:
    path = write(many())
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("zephyr_data.engine.pipeline.manifest.write", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        binarize(path)
    again = binarize(path, **other)
    told = capsys.readouterr().err
    assert "starting over: " in told and f"{next(iter(other))} changed since" in told
    assert same(again, binarize(path, out="fresh", **other))


def test_a_layout_or_test_side_alone_reuses_them(
    write: Write, binarize: Make, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(many())
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("zephyr_data.engine.pipeline.manifest.write", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        binarize(path)
    again = binarize(path, layout="h4", test_prompts=5)
    assert "continuing: 1 blocks are done" in capsys.readouterr().err
    assert same(again, binarize(path, out="fresh", layout="h4", test_prompts=5))


def test_a_refused_run_leaves_nothing_behind(write: Write, binarize: Make, tmp_path: Path) -> None:
    with pytest.raises(SourceError):
        binarize(write(['{"a": 1}']))
    assert [path.name for path in tmp_path.iterdir()] == ["rows.jsonl"]


def test_equal_means_tie_whatever_the_order_of_the_ratings(write: Write, binarize: Make) -> None:
    answers = [
        {"response": text, "ratings": dict(zip("abc", ratings, strict=True))}
        for text, ratings in (("x", (0.1, 0.2, 0.3)), ("y", (0.3, 0.2, 0.1)), ("z", (0.1, 0.1, 0.1)))
    ]
    content = binarize(write([json.dumps({"prompt": "p", "responses": answers})]))
    assert content["counts"]["tied_rows"] == 1 and list(content["counts"]["margins"]) == ["0.1"]


def test_sums_audit_and_measures(write: Write, binarize: Make, tmp_path: Path) -> None:
    lines = [
        generic("p", [3, 1], ["long answer", "short"], id="a"),
        generic("q", [3, 1], ["short", "long answer"], id="b"),
        generic("r", [3, 3, 1], ["equal", "equally", "alike"], id="c"),
        generic("s", [2, 2], id="d"),
        "broken",
    ]
    content = binarize(write(lines), ties="first", keep_dropped=True)
    counts = content["counts"]
    assert (counts["rows_read"], counts["kept_rows"], counts["pairs"], counts["tied_rows"]) == (5, 3, 3, 1)
    assert counts["dropped"] == {"gates/no-lower-score": 1, "read/unreadable-line": 1}
    assert (counts["longer_chosen_pairs"], counts["equally_long_pairs"]) == (1, 1)
    assert (counts["chosen_characters"], counts["rejected_characters"]) == (21, 21)
    assert counts["margins"] == {"2.0": 3}
    assert counts["wins"] == {"m-equal": 1, "m-long answer": 1, "m-short": 1}
    kept = pl.read_parquet(tmp_path / "pairs" / "audit" / "kept.parquet")
    for row in kept.rows(named=True):
        split = pl.read_parquet(tmp_path / "pairs" / "data" / f"{row['split']}-*.parquet")
        assert split["prompt_id"][row["row"]] == row["prompt_id"]
    dropped = pl.read_parquet(tmp_path / "pairs" / "dropped_rows" / "dropped.parquet")
    assert dict(dropped.select("line", "raw").rows()) == {4: lines[3], 5: lines[4]}
    assert verify(tmp_path / "pairs")["counts"] == counts


def test_verify_counts_pairs(write: Write, binarize: Make, tmp_path: Path) -> None:
    binarize(write([generic("p", [3, 1])]))
    path = tmp_path / "pairs" / "manifest.json"
    path.write_text(path.read_text().replace('"pairs": 1,', '"pairs": 2,'))
    with pytest.raises(ContractBroken, match="2 pairs counted, but 1 in the prefs splits"):
        verify(tmp_path / "pairs")


def test_options_resolve_with_their_origins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZEPHYR_BINARIZE_MIN_MARGIN", "0.5")
    resolved = recipe.resolve("binarize", BinarizeOptions, recipe.load("tiny"), {"rejected": "lowest"})
    assert (resolved.options.sources, resolved.options.min_margin) == (("samples:ultrafeedback", "samples:judged"), 0.5)
    assert resolved.explain("rejected") == "binarize.rejected = 'lowest'   (flag --rejected)"
