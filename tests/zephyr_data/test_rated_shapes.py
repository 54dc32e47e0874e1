"""Ratings in each published shape: the pairs that come out, the direction of a rank, answers rated by several."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.zephyr_data.conftest import Command
from tests.zephyr_data.rated import generic, same, texts
from tests.zephyr_data.test_given_pairs import said, tagged, transcript

Make = Callable[..., dict[str, Any]]
Write = Callable[..., Path]
Row = dict[str, Any]
Rated = tuple[list[str], list[tuple[str, float]]]  # turns of the prompt; answers with their scores, the best 5

SINGLE: list[Rated] = [
    (["Name a plum."], [("Damson.", 5.0), ("Pear.", 1.0)]),
    (["Which is longer, a mile or a kilometre?"], [("A kilometre is.", 2.0), ("A mile.", 3.0)]),
    (["Spell 'cat'."], [("k, a, t", 1.0), ("c, a, t", 5.0)]),
]
LONG: list[Rated] = [*SINGLE, (["Hi there", "Hello! What can I do?", "Sing."], [("La la la.", 4.0), ("No.", 1.0)])]


def answers_of(row: Rated) -> list[str]:
    return [text for text, _ in row[1]]


def scores_of(row: Rated, kind: Callable[[float], Any] = float) -> list[Any]:
    return [kind(score) for _, score in row[1]]


def distilabel(row: Rated) -> list[Row]:
    names = {"generation_models": ["big", "small"], "rationales": ["Right.", "Wrong."], "ultrafeedback_model": "judge"}
    return [{"instruction": row[0][0], "generations": answers_of(row), "ratings": scores_of(row, int), **names}]


def older_distilabel(row: Rated) -> list[Row]:
    names = {"generation_model": ["big", "small"], "labelling_model": "judge", "rationale": ["Right.", "Wrong."]}
    return [{"input": row[0][0], "generations": answers_of(row), "rating": scores_of(row), **names}]


def nectar(row: Rated) -> list[Row]:
    ranked = [{"answer": text, "model": "m", "rank": 6.0 - score} for text, score in row[1]]
    rest = {"turns": len(row[0]), "num_responses": 2, "source": ["flan"], "good_natured": True}
    return [{"prompt": transcript(row[0]) + "\n\nAssistant: ", "answers": ranked, **rest}]


def helpsteer(row: Rated) -> list[Row]:
    """As published, with a worse answer that is longer and more complex."""
    return [
        {
            "prompt": tagged(row[0]),
            "response": text,
            "helpfulness": int(score) - 1,
            "correctness": int(score) - 1,
            "coherence": int(score) - 1,
            "complexity": 5 - int(score),
            "verbosity": 5 - int(score),
        }
        for text, score in row[1]
    ]


def disagreements(row: Rated) -> list[Row]:
    """HelpSteer2's, with the ratings of each annotator."""
    names = ("helpfulness", "correctness", "coherence", "complexity", "verbosity")
    return [{**each, **{name: [each[name], each[name] + 1] for name in names}} for each in helpsteer(row)]


def by_annotator(row: Rated) -> list[Row]:
    """Two annotators, who differ but agree on the better one."""
    return [
        {"prompt": said(row[0]), "response": text, "rating": score + more, "annotator": name}
        for name, more in (("ann", 0), ("ben", 1))
        for text, score in row[1]
    ]


SHAPES: dict[str, tuple[Callable[[Rated], list[Row]], list[Rated], Callable[[float], float]]] = {
    "distilabel": (distilabel, SINGLE, float),
    "distilabel, texts": (
        lambda row: [{**each, "ratings": scores_of(row, lambda s: str(int(s)))} for each in distilabel(row)],
        SINGLE,
        float,
    ),
    "distilabel, with its pair": (
        lambda row: [{**each, "chosen": said(["x", "y"]), "rejected": None} for each in distilabel(row)],
        SINGLE,
        float,
    ),
    "distilabel, older": (older_distilabel, SINGLE, float),
    "nectar": (nectar, LONG, lambda score: score - 6),
    "helpsteer": (helpsteer, LONG, lambda score: score - 1),
    "helpsteer, disagreements": (disagreements, LONG, lambda score: score - 0.5),
    "by annotator": (by_annotator, LONG, lambda score: score + 0.5),
}


def expected(rows: list[Rated], scaled: Callable[[float], float]) -> list[tuple[str, str, str, float, float]]:
    pairs = []
    for turns, answers in rows:
        (good, most), (bad, least) = sorted(answers, key=lambda answer: -answer[1])
        pairs.append((turns[-1], good, bad, scaled(most), scaled(least)))
    return sorted(pairs)


def loaded(folder: Path, cache: Path) -> list[tuple[str, str, str, float, float]]:
    from datasets import load_dataset

    splits = load_dataset(str(folder), cache_dir=str(cache))
    rows = [row for name, table in splits.items() if name.endswith("prefs") for row in table]
    said_last = [tuple(row[name][-1]["content"] for name in ("prompt", "chosen", "rejected")) for row in rows]
    return sorted((*said_last[n], row["score_chosen"], row["score_rejected"]) for n, row in enumerate(rows))


@pytest.mark.parametrize("shape", SHAPES)
def test_the_better_answer_is_chosen(shape: str, write: Write, binarize: Make, tmp_path: Path) -> None:
    rows_of, rated, scaled = SHAPES[shape]
    rows = [each for row in rated for each in rows_of(row)]
    lines = binarize(write([json.dumps(row) for row in rows]), out="lines")
    assert loaded(tmp_path / "lines", tmp_path / "cache") == expected(rated, scaled)
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "rows.parquet")
    assert same(binarize(tmp_path / "rows.parquet", out="parquet"), lines)
    assert same(binarize(tmp_path / "lines", out="again"), lines)


def test_helpsteers_overall_score_is_helpfulness(write: Write, binarize: Make, tmp_path: Path) -> None:
    rows = [
        {**row, "correctness": 4 - row["helpfulness"], "coherence": 0} for each in SINGLE for row in helpsteer(each)
    ]
    binarize(write([json.dumps(row) for row in rows]), score="overall")
    assert sorted(texts(tmp_path / "pairs").items()) == [(p, (a, b)) for p, a, b, *_ in expected(SINGLE, float)]


def test_the_direction_of_a_rank_is_on_record(write: Write, command: Command, tmp_path: Path) -> None:
    path = write([json.dumps(row) for each in LONG for row in nectar(each)])
    assert "prompt + answers, rank 1 is the best" in command("data", "binarize", path, "--out=pairs", "--dry-run").out
    ended = command("data", "binarize", path, "--out=pairs", "--scale=1..7")
    assert ended.code == 0 and "rows by rank, 1 is the best" in ended.out
    answers = pl.read_parquet(tmp_path / "pairs" / "rated")["completions"].explode().struct.unnest()
    assert set(answers["ratings"].list.eval(pl.element().struct.field("aspect")).explode()) == {"negative_rank"}


@pytest.mark.parametrize("rank", [0, -1, "first", True, [1]], ids=repr)
def test_what_cannot_be_a_rank_is_not_used(rank: object, write: Write, command: Command) -> None:
    answers = [{"answer": "a", "rank": rank}, {"answer": "b", "rank": 2}, {"answer": "c", "rank": 3}]
    path = write([json.dumps({"prompt": "p", "answers": answers})])
    ended = command("data", "binarize", path, "--out=pairs")
    assert ended.code == 0 and "answers with a rating not used" in ended.out


def test_answers_of_one_prompt_may_be_anywhere_in_the_file(
    write: Write, binarize: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from functools import partial

    from zephyr_data.sources.blocks import read_blocks

    monkeypatch.setattr("zephyr_data.engine.inputs.read_blocks", partial(read_blocks, block_bytes=200))
    rows = [json.dumps(row) for each in LONG for row in helpsteer(each)]
    content = binarize(write([*rows[::2], "no json", *rows[1::2]]))
    assert content["counts"]["pairs"] == len(LONG) and content["counts"]["dropped"] == {"read/unreadable-line": 1}


def test_a_file_that_is_too_large_to_be_gathered_is_refused(
    write: Write, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zephyr_data.sources.blocks.LARGEST_WHOLE", 200)
    rows = [row for each in LONG for row in helpsteer(each)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "rows.parquet")
    for path in (write([json.dumps(row) for row in rows]), tmp_path / "rows.parquet"):
        ended = command("data", "binarize", path, "--out=pairs")
        assert ended.refuses(5, f"{path} has one answer a row", "split it between two prompts")


FAULTS: dict[str, Row] = {
    "read/ratings-do-not-match": {"instruction": "p", "generations": ["a", "b"], "ratings": [1]},
    "read/wrong-type": {"instruction": "p", "generations": "a", "ratings": [1]},
    "read/wrong-type, ratings": {"instruction": "p", "generations": ["a", "b"], "ratings": 4},
    "read/wrong-type, an answer": {"instruction": "p", "generations": ["a", {}], "ratings": [1, 2]},
    "read/system-turn": {"system": "Be kind.", "instruction": "p", "generations": ["a"], "ratings": [1]},
    "gates/missing-score": {"instruction": "p", "generations": ["a", "b"], "ratings": None},
    "gates/missing-score, words": {"instruction": "p", "generations": ["a", "b"], "ratings": ["good", "bad"]},
    "gates/too-few-completions": {"prompt": "p", "response": "a", "helpfulness": 3},
    "read/wrong-type, no text": {"prompt": "p", "response": 4, "helpfulness": 3},
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_cannot_be_used_is_dropped_by_name(name: str, write: Write, command: Command) -> None:
    path = write([json.dumps(FAULTS[name])])
    assert command("data", "binarize", path, "--out=pairs").refuses(5, f"by {name.partition(',')[0]} 1")


def test_two_shapes_in_one_file_are_refused(write: Write, command: Command) -> None:
    path = write([json.dumps(distilabel(SINGLE[0])[0]), generic("p", [2, 1])])
    assert command("data", "binarize", path, "--out=pairs").refuses(5, "line 2", "'prompt + responses'", "generations")


def test_the_trainer_takes_the_pairs(write: Write, binarize: Make, command: Command) -> None:
    binarize(write([json.dumps(row) for each in LONG * 4 for row in nectar(each)]))
    flags = ("--recipe=tiny", "--data=pairs", "--dry-run")
    ended = command("train", "dpo", *flags)
    assert ended.code == 0, ended.err
    assert re.search(r"rows +16 pairs", ended.out)
