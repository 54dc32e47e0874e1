"""Pairs that exist already, in each published shape: the given pair comes out, whatever the policy and the container."""

import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.zephyr_data.conftest import Command
from tests.zephyr_data.damage import relist
from tests.zephyr_data.rated import completion, raw, same
from tests.zephyr_data.test_rated import parsed
from zephyr_data.options import POLICIES
from zephyr_data.sources import given_pairs

Make = Callable[..., dict[str, Any]]
Write = Callable[..., Path]
Row = dict[str, Any]
Pair = tuple[list[str], str, str, float, float]  # turns of the prompt, chosen, rejected, their scores

SINGLE: list[Pair] = [
    (["Name a plum."], "Damson.", "Pear.", 4.5, 2.0),
    (["Which is longer, a mile or a kilometre?"], "A mile.", "A kilometre is.", 3.0, 3.0),
    (["Spell 'cat'."], "c, a, t", "\n\nk, a, t", 5.0, 1.0),
]
LONG: list[Pair] = [
    *SINGLE,
    (["Hi there", "Hello! What can I do?", "Sing."], "La la la.", "I would rather not.", 4.0, 3.5),
]


def order(pairs: list[Pair]) -> list[Pair]:
    return [(*pair[:3], 1.0, 0.0) for pair in pairs]


def said(texts: Iterable[str], first: str = "user", role: str = "role", content: str = "content") -> list[Row]:
    names = {"user": "human", "assistant": "gpt"} if role == "from" else {"user": "user", "assistant": "assistant"}
    roles = ["user", "assistant"] if first == "user" else ["assistant", "user"]
    return [{role: names[roles[place % 2]], content: text} for place, text in enumerate(texts)]


def sides(pair: Pair, of: Callable[[str], Any]) -> Row:
    return {"chosen": of(pair[1]), "rejected": of(pair[2])}


def reply(text: str) -> list[Row]:
    return said([text], "assistant")


def transcript(texts: list[str]) -> str:
    return "".join(f"\n\n{('Human', 'Assistant')[place % 2]}: {text}" for place, text in enumerate(texts))


def whole(pair: Pair) -> Row:
    return sides(pair, lambda text: said([*pair[0], text]))


def pku(pair: Pair, **ids: Any) -> Row:
    is_first = len(pair[1]) % 2 == 0
    texts = pair[1:3] if is_first else pair[2:0:-1]
    place = 0 if is_first else 1
    ids = ids or {"safer_response_id": 1 - place, "better_response_id": place}
    return {"prompt": pair[0][0], "response_0": texts[0], "response_1": texts[1], **ids}


def shp(pair: Pair) -> Row:
    is_first = len(pair[1]) % 2 == 0
    (a, b), (score_a, score_b) = (pair[1:3], pair[3:5]) if is_first else (pair[2:0:-1], pair[4:2:-1])
    row = {"post_id": "x", "history": pair[0][0], "human_ref_A": a, "human_ref_B": b, "labels": int(is_first)}
    return {**row, "score_A": int(score_a * 2), "score_B": int(score_b * 2), "score_ratio": 1.5}


def helpsteer(pair: Pair, first: str, second: str, strength: str) -> Row:
    is_first = len(pair[1]) % 2 == 0
    texts = pair[1:3] if is_first else pair[2:0:-1]
    return {first: texts[0], second: texts[1], strength: -2 if is_first else 2}


def tagged(texts: list[str]) -> str:
    roles = ("User", "Assistant")
    return texts[0] + "".join(f"\n<extra_id_1>{roles[n % 2]}\n{text}" for n, text in enumerate(texts[1:], 1))


def rating(pair: Pair, mark: str) -> Row:
    return {f"chosen{mark}rating": pair[3], f"rejected{mark}rating": pair[4]}


SHAPES: dict[str, tuple[Callable[[Pair], Row], list[Pair]]] = {
    "texts": (lambda pair: {"prompt": pair[0][0], **sides(pair, str)}, order(SINGLE)),
    "texts, metadata": (
        lambda p: {"prompt": p[0][0], **sides(p, str), "metadata": {"score_chosen": p[3], "score_rejected": p[4]}},
        SINGLE,
    ),
    "texts, prompt as messages": (lambda pair: {"prompt": said(pair[0]), **sides(pair, str)}, order(LONG)),
    "h4": (
        lambda p: {"prompt": p[0][0], **whole(p), "messages": said([*p[0], p[1]]), "score_chosen": p[3], "score_rejected": p[4]},
        LONG,
    ),
    "trl, implicit": (whole, order(LONG)),
    "trl, explicit": (lambda pair: {"prompt": said(pair[0]), **sides(pair, reply)}, order(LONG)),
    "hh-rlhf": (lambda pair: sides(pair, lambda text: transcript([*pair[0], text])), order(LONG)),
    "hh-rlhf, split": (
        lambda p: {"prompt": transcript(p[0]) + "\n\nAssistant:", **sides(p, lambda text: f" {text}")},
        order(LONG),
    ),
    "argilla": (lambda p: {"source": "flan", **whole(p), **rating(p, "-"), "chosen-model": "x"}, LONG),
    "argilla, first": (
        lambda p: {
            "source": "flan",
            "instruction": p[0][0],
            "chosen_response": p[1],
            "rejected_response": p[2],
            "chosen_avg_rating": p[3],
            "rejected_avg_rating": p[4],
            "chosen_model": "x",
        },
        SINGLE,
    ),
    "helpsteer2, preference": (
        lambda p: {"prompt": tagged(p[0]), **helpsteer(p, "response_1", "response_2", "preference_strength")},
        [(*pair[:3], 2.0, 0.0) for pair in LONG],
    ),
    "helpsteer3": (
        lambda p: {"context": said(p[0]), **helpsteer(p, "response1", "response2", "overall_preference")},
        [(*pair[:3], 2.0, 0.0) for pair in LONG],
    ),
    "argilla mix": (lambda pair: {"dataset": "some", **whole(pair), **rating(pair, "_")}, LONG),
    "orca": (lambda pair: {"system": "", "question": pair[0][0], **sides(pair, str)}, order(SINGLE)),
    "distilabel": (lambda p: {"system": None, "input": p[0][0], **sides(p, str), "rating": [9, 7]}, order(SINGLE)),
    "pku, better": (pku, order(SINGLE)),
    "pku, safer": (lambda p: pku(p, safer_response_id=len(p[1]) % 2, is_response_0_safe=True), order(SINGLE)),
    "shp": (shp, [(*pair[:3], pair[3] * 2, pair[4] * 2) for pair in SINGLE]),
    "llama-factory": (
        lambda p: {
            "conversations": said(p[0], role="from", content="value"),
            **sides(p, lambda text: said([text], "assistant", "from", "value")[0]),
        },
        order(LONG),
    ),
    "llama-factory, alpaca": (lambda p: {"instruction": p[0][0], "input": "", **sides(p, str)}, order(SINGLE)),
    "llama-factory, history": (
        lambda pair: {"instruction": pair[0][-1], "history": [pair[0][:-1]] if pair[0][1:] else [], **sides(pair, str)},
        order(LONG),
    ),
    "instruction and input": (
        lambda pair: {"instruction": "Hi there", "input": pair[0][0], **sides(pair, str)},
        [([f"Hi there\n\n{pair[0][0]}"], *pair[1:]) for pair in order(SINGLE)],
    ),
}  # fmt: skip


def pairs_of(folder: Path) -> list[Pair]:
    rows = pl.concat(pl.read_parquet(path) for path in sorted((folder / "data").glob("*_prefs-*")))
    texts = [
        ([turn["content"] for turn in row["prompt"]], row["chosen"][0]["content"], row["rejected"][0]["content"])
        for row in rows.rows(named=True)
    ]
    scores = rows.select("score_chosen", "score_rejected").rows()
    return sorted((*text, *score) for text, score in zip(texts, scores, strict=True))


@pytest.mark.parametrize("shape", SHAPES)
def test_the_given_pairs_come_out(shape: str, write: Write, binarize: Make, tmp_path: Path) -> None:
    row_of, wanted = SHAPES[shape]
    rows = [row_of(pair) for pair in LONG[: len(wanted)]]
    lines = binarize(write([json.dumps(row) for row in rows]), out="lines")
    assert pairs_of(tmp_path / "lines") == sorted(wanted)
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "rows.parquet")
    assert same(binarize(tmp_path / "rows.parquet", out="parquet"), lines)
    assert same(binarize(tmp_path / "lines", out="again"), lines)


@pytest.mark.parametrize("policy", POLICIES)
def test_every_policy_takes_a_given_pair_as_it_is(policy: str, write: Write, binarize: Make, tmp_path: Path) -> None:
    rows = [SHAPES["h4"][0](pair) for pair in LONG]
    binarize(write([json.dumps(row) for row in rows]), rejected=policy, out="given")
    rated = write([raw("p", [completion("a", "5", overall=5), completion("b", "1", overall=1)])], "rated.jsonl")
    binarize(rated, tmp_path / "rows.jsonl", rejected=policy, out="both")
    assert pairs_of(tmp_path / "given") == sorted(LONG)
    assert pairs_of(tmp_path / "both") == sorted([*LONG, (["p"], "a", "b", 5.0, 1.0)])


def test_the_given_side_is_on_record(write: Write, binarize: Make, tmp_path: Path) -> None:
    binarize(write([json.dumps(pku(pair)) for pair in SINGLE]))
    stored = pl.read_parquet(tmp_path / "pairs" / "rated")
    chosen = [row["completions"][row["sides"]["chosen"]]["response"] for row in stored.rows(named=True)]
    assert chosen == [pair[1] for pair in SINGLE]
    binarize(write([raw("p", [completion("a", "5"), completion("b", "1")])]), out="rated")
    assert pl.read_parquet(tmp_path / "rated" / "rated")["sides"].null_count() == 1


def test_sides_that_alone_begin_with_white_space_are_reported(write: Write, command: Command, tmp_path: Path) -> None:
    texts = [("a", " b"), ("a", "\u00a0b"), ("\n a", "b"), (" a", " b"), ("a", "b")]
    rows = [{"prompt": f"p{n}", "chosen": good, "rejected": bad} for n, (good, bad) in enumerate(texts)]
    ended = command("data", "binarize", write([json.dumps(row) for row in rows]), "--out=pairs")
    assert "begins with white space, on one side only: 1 chosen, 2 rejected" in ended.out
    assert re.search(r"given as pairs +5 +100\.00 %", ended.out)


OF_CHOSEN = sorted({*given_pairs.COLUMNS} - {*given_pairs.ANSWERS} | {"chosen", "rejected"})
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["role", "content", "from", "value", "score_chosen"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.dictionaries(st.sampled_from(OF_CHOSEN), JSON, max_size=5), max_size=4))
def test_no_json_object_breaks_the_reader_of_pairs(write: Write, rows: list[Row]) -> None:
    lines = [json.dumps(row) for row in [{"prompt": "p", "chosen": "a", "rejected": "b"}, *rows]]
    table = parsed(write(lines))
    assert table.height == len(lines) and table["dropped_by"][0] is None
    sound = table.filter(pl.col("dropped_by").is_null())
    assert sound["row_key"].null_count() == 0 and (sound["completions"].list.len() == 2).all()


def test_an_older_directory_without_sides_is_read(write: Write, binarize: Make, tmp_path: Path) -> None:
    made = binarize(write([raw("p", [completion("a", "5"), completion("b", "1")])]), out="old")
    (rated,) = (tmp_path / "old" / "rated").iterdir()
    pl.read_parquet(rated).drop("sides").write_parquet(rated)
    relist(tmp_path / "old")
    assert same(binarize(tmp_path / "old", out="new"), made)


HI, YO = said(["Hi", "Yo"]), said(["Hi", "Oh"])
DROPS: dict[str, Row] = {
    "gates/identical-texts": {"prompt": "p", "chosen": "same", "rejected": " same\n"},
    "gates/empty-response": {"prompt": "p", "chosen": "a", "rejected": " "},
    "gates/empty-response, none": {"prompt": "p", "chosen": "a", "rejected": None},
    "gates/empty-response, no turn": {"prompt": "p", "chosen": HI, "rejected": []},
    "gates/missing-score": {"prompt": "p", "chosen": "a", "rejected": "b", "score_chosen": 3},
    "gates/missing-score, unreadable": {"prompt": "p", "chosen": "a", "rejected": "b", "score_chosen": "good"},
    "policy/margin-too-small": {"prompt": "p", "chosen": "a", "rejected": "b", "score_chosen": 1, "score_rejected": 2},
    "read/prompts-differ": {"chosen": HI, "rejected": said(["Ho", "Yo"])},
    "read/prompts-differ, length": {"chosen": HI, "rejected": said(["Hi", "Oh", "and?", "no"])},
    "read/ends-with-user-turn": {"chosen": said(["Hi", "Yo", "and?"]), "rejected": HI},
    "read/two-assistant-turns-in-a-row": {"chosen": [*HI, *reply("more")], "rejected": YO},
    "read/system-turn": {"system": "Be kind.", "question": "p", "chosen": "a", "rejected": "b"},
    "read/no-prompt": {"chosen": "a", "rejected": "b"},
    "read/no-prompt, replies": {"chosen": reply("a"), "rejected": reply("b")},
    "read/no-prompt, null": {"prompt": None, "chosen": None, "rejected": None},
    "read/wrong-type": {"prompt": "p", "chosen": 4, "rejected": "b"},
    "read/wrong-type, texts in a list": {"prompt": "p", "chosen": ["a"], "rejected": ["b"]},
    "read/wrong-type, input": {"instruction": "p", "input": ["x"], "chosen": "a", "rejected": "b"},
    "read/wrong-type, history": {"instruction": "p", "history": ["x"], "chosen": "a", "rejected": "b"},
    "read/unknown-role": {"chosen": HI, "rejected": [*HI[:1], {"role": "tool", "content": "x"}]},
    "read/no-side-chosen": {"prompt": "p", "response_0": "a", "response_1": "b", "better_response_id": -1},
    "read/no-side-chosen, none": {"prompt": "p", "response_0": "a", "response_1": "b"},
    "read/no-side-chosen, equal": {"prompt": "p", "response_1": "a", "response_2": "b", "preference_strength": 0},
    "read/no-side-chosen, text": {"context": HI[:1], "response1": "a", "response2": "b", "overall_preference": "x"},
    "read/null-turn": {"chosen": [{"role": "user"}, *reply("a")], "rejected": [{"role": "user"}, *reply("b")]},
}  # fmt: skip


@pytest.mark.parametrize("name", DROPS)
def test_what_is_no_pair_is_dropped_by_name(name: str, write: Write, command: Command, tmp_path: Path) -> None:
    row, rule = DROPS[name], name.partition(",")[0]
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "rows.parquet")
    for path in (write([json.dumps(row)]), tmp_path / "rows.parquet"):
        assert command("data", "binarize", path, "--out=pairs").refuses(5, f"by {rule} 1")


def test_a_repeated_key_is_no_pair(write: Write, command: Command) -> None:
    path = write(['{"prompt": "p", "chosen": "a", "chosen": "c", "rejected": "b"}'])
    assert command("data", "binarize", path, "--out=pairs").refuses(5, "by read/duplicate-key 1")


def test_a_file_of_an_unknown_shape_names_the_known_ones(write: Write, command: Command) -> None:
    path = write(['{"prompt": "p", "winner": "a", "loser": "b"}'])
    ended = command("data", "binarize", path, "--out=pairs")
    assert ended.refuses(5, "found 'prompt', 'winner', 'loser'", "chosen and rejected; chosen_response and")


def test_pairs_and_rated_rows_in_one_file_are_refused(write: Write, command: Command) -> None:
    path = write([raw("p", [completion("a", "5")]), json.dumps(whole(LONG[0]))])
    assert command("data", "binarize", path, "--out=pairs").refuses(5, "line 2", "'chosen + rejected'")
