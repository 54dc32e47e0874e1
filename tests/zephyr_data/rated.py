"""Rated rows for tests, and the pair-maker once more, written naively: the oracle of test_policies."""

import json
import random
from pathlib import Path
from typing import Any

import polars as pl

from zephyr_core.keys import draw, text_key
from zephyr_core.texts import is_empty
from zephyr_data import schemas

PREFS = ("train_prefs", "test_prefs")
H4_V1 = {2: {0: 1, 1: 0}, 3: {0: 2, 1: 2, 2: 0}, 4: {0: 2, 1: 0, 2: 0, 3: 0}}


def completion(response: str | None, *ratings: object, overall: object = None, model: str = "m") -> dict[str, Any]:
    """An answer in raw UltraFeedback shape; ratings go to the four aspects in their order."""
    names = ("instruction_following", "honesty", "truthfulness", "helpfulness")
    annotations = {name: {"Rating": rating, "Rationale": ""} for name, rating in zip(names, ratings, strict=False)}
    answer = {"model": model, "response": response, "annotations": annotations, "fine-grained_score": None}
    return {**answer, "overall_score": overall, "critique": "", "principle": "honesty", "custom_system_prompt": ""}


def raw(instruction: object, completions: object, **more: object) -> str:
    """A line of raw UltraFeedback."""
    row = {"source": "flan", "instruction": instruction, "models": [], "completions": completions, **more}
    return json.dumps(row, ensure_ascii=False)


def generic(prompt: object, scores: list[object], texts: list[str] | None = None, **more: object) -> str:
    """A line of a generic rated table: answers a, b, c, … with a score each."""
    texts = texts or [chr(ord("a") + place) for place in range(len(scores))]
    answers = [
        {"response": text, "score": score, "model": f"m-{text}"} for text, score in zip(texts, scores, strict=True)
    ]
    return json.dumps({"prompt": prompt, "responses": answers, **more}, ensure_ascii=False)


def rated_table(rows: list[tuple[str, list[tuple[str | None, str | None, float | None]]]]) -> pl.DataFrame:
    """A table of rated rows with the given scores in place: (prompt, [(response, model, score)])."""
    empty = dict.fromkeys(schemas.RATED)
    filled = [
        {
            **empty,
            "prompt_id": text_key(prompt),
            "turns": [prompt],
            "completions": [
                {"response": text, "model": model, "ratings": [], "given": _float(score)}
                for text, model, score in answers
            ],
            "scores": [_float(score) for _, _, score in answers],
        }
        for prompt, answers in rows
    ]
    return pl.DataFrame(filled, schema=schemas.RATED, orient="row")


def _float(score: float | None) -> float | None:
    return None if score is None else float(score)


def pairs_by_hand(  # noqa: PLR0911  one case after the other
    prompt: str,
    answers: list[tuple[str | None, str | None, float | None]],
    rejected: str,
    ties: str,
    min_margin: float,
    seed: int,
) -> list[tuple[int, int]]:
    """The places of (chosen, rejected) that docs/dataset.md asks for; empty when no pair can be made."""
    text = ["" if is_empty(response or "") else (response or "").strip() for response, _, _ in answers]
    score = [value for _, _, value in answers]
    usable = [place for place in range(len(answers)) if text[place] and score[place] is not None]

    def canonical(places: list[int]) -> list[int]:
        return sorted(
            places, key=lambda place: ((answers[place][0] or ""), (answers[place][1] or ""), score[place], place)
        )

    def fits(chosen: int, other: int) -> bool:
        return text[chosen] != text[other] and score[chosen] - score[other] >= min_margin - 1e-9

    if len(usable) < 2 or len({text[place] for place in usable}) < 2:
        return []
    top = max(score[place] for place in usable)
    bests = canonical([place for place in usable if score[place] == top])
    if ties == "drop" and len(bests) > 1:
        return []
    if rejected == "h4-v1":
        chosen = next(place for place in range(len(answers)) if score[place] == max(s for s in score if s is not None))
        other = H4_V1.get(len(answers), {}).get(chosen)
        sound = other is not None and chosen in usable and other in usable
        return [(chosen, other)] if sound and fits(chosen, other) else []
    best = (
        min(bests)
        if ties == "first"
        else bests[draw(seed, "tie", text_key(prompt), len(bests)) if len(bests) > 1 else 0]
    )
    if rejected == "all-pairs":
        ordered = [best, *sorted((p for p in canonical(usable) if p != best), key=lambda p: -score[p])]
        return [
            (c, r)
            for c in ordered
            for r in sorted(canonical(usable), key=lambda p: -score[p])
            if score[r] < score[c] and fits(c, r)
        ]
    others = [p for p in canonical(usable) if p != best and fits(best, p)]
    if rejected != "random-any":
        others = [p for p in others if score[p] < top]
    if not others:
        return []
    if rejected == "all-lower":
        return [(best, other) for other in sorted(others, key=lambda p: -score[p])]
    if rejected == "lowest":
        others = [p for p in others if score[p] == min(score[q] for q in others)]
    return [(best, others[draw(seed, "rejected", text_key(prompt), len(others)) if len(others) > 1 else 0])]


def pairs(out: Path, *splits: str) -> list[dict[str, Any]]:
    """The rows of the splits, prefs unless named, in the order of their prompts."""
    tables = [pl.read_parquet(out / "data" / f"{split}-*.parquet") for split in splits or PREFS]
    return pl.concat(tables).sort("prompt_id").rows(named=True)


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
