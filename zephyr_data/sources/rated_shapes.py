"""Published shapes of ratings → the raw rated row that says the same.

generations    texts, with `ratings` of the same number (distilabel)
answers        objects with `answer` and `rank`, of which 1 is the best (Nectar)
response       one answer to a row, rated in columns next to it (HelpSteer, one row per annotator)
"""

import math
from decimal import Decimal
from typing import Any

from zephyr_core.texts import is_empty
from zephyr_data.sources.messages import Message, is_transcript, messages_of, tagged_turns, transcript_turns
from zephyr_data.sources.values import Unfit, refuse_repeats, text_of

LISTED, RANKED, SINGLE = "generations", "answers", "response"  # the columns of answers
ONE_ANSWER, RANKS = "one answer a row", "rank 1 is the best"  # how the names of their shapes end
BY_RANK = "negative_rank"  # the aspect under which a rank counts, so that a higher rating is better
MERITS = ("helpfulness", "correctness", "coherence")  # HelpSteer's complexity and verbosity are no merits
_PROMPTS = ("instruction", "prompt", "messages", "input")
_SYSTEMS = ("system", "system_prompt")
_RATINGS = ("ratings", "rating")
_MODELS = ("generation_models", "model_names", "generation_model")
_OF_ANSWER = ("annotations", "overall_score", "ratings", "score")  # read as those of an answer in a list
_RATED_BY = (*MERITS, *_OF_ANSWER, "rating")
ANSWERS = (LISTED, RANKED, SINGLE)
COLUMNS = (*ANSWERS, *_PROMPTS, *_SYSTEMS, *_MODELS, "model", *_RATED_BY)
KNOWN = "generations with ratings; answers with a rank; response with ratings of its own"

Row = dict[str, Any]


def shape_of(raw: Row) -> str | None:
    """Return the columns of prompt and answers, such as "instruction + generations", or None."""
    prompt = next((name for name in _PROMPTS if raw.get(name) is not None), None)
    if prompt is None:
        return None
    if raw.get(LISTED) is not None and any(name in raw for name in _RATINGS):
        return f"{prompt} + {LISTED}"
    answers = raw.get(RANKED)
    if isinstance(answers, list) and answers and isinstance(answers[0], dict) and "rank" in answers[0]:
        return f"{prompt} + {RANKED}, {RANKS}"
    if raw.get(SINGLE) is not None and any(raw.get(name) is not None for name in _RATED_BY):
        return f"{prompt} + {SINGLE}, {ONE_ANSWER}"
    return None


def has_columns(names: list[str]) -> bool:
    """Return whether columns can hold one of these shapes."""
    answers = {LISTED: _RATINGS, RANKED: (RANKED,), SINGLE: _RATED_BY}
    has_answers = any(name in names and not set(names).isdisjoint(by) for name, by in answers.items())
    return has_answers and not set(names).isdisjoint(_PROMPTS)


def as_rated(raw: Row) -> Row:
    """Return the rated row, with `messages` and `completions`.

    Raises:
        Unfit: a used value has the wrong type, a key is repeated, or there are not as many ratings as answers.
    """
    refuse_repeats(raw, *COLUMNS)
    return {"messages": _prompt(raw), "completions": _completions(raw)}


def _completions(raw: Row) -> list[Row]:
    if raw.get(LISTED) is not None:
        return _listed(raw)
    if raw.get(RANKED) is not None:
        return [_ranked(answer) for answer in raw[RANKED]]
    rated = {name: raw.get(name) for name in ("response", "model", *_OF_ANSWER)}
    merits = {name: raw[name] for name in MERITS if raw.get(name) is not None}
    if merits:
        overall = merits.get(MERITS[0])
        return [{**rated, "ratings": merits, "score": None if isinstance(overall, list) else overall}]
    return [{**rated, "score": rated["score"] if raw.get("rating") is None else raw["rating"]}]


def _listed(raw: Row) -> list[Row]:
    texts = raw[LISTED]
    ratings = next((raw[name] for name in _RATINGS if raw.get(name) is not None), None)
    models = next((raw[name] for name in _MODELS if raw.get(name) is not None), None)
    if not isinstance(texts, list) or not (ratings is None or isinstance(ratings, list)):
        raise Unfit
    if ratings is not None and len(ratings) != len(texts):
        raise Unfit("ratings-do-not-match")
    ratings = ratings or [None] * len(texts)
    models = models if isinstance(models, list) and len(models) == len(texts) else [None] * len(texts)
    return [
        {"response": text, "score": rating, "model": model}
        for text, rating, model in zip(texts, ratings, models, strict=True)
    ]


def _ranked(answer: Any) -> Row:
    if not isinstance(answer, dict):
        raise Unfit
    refuse_repeats(answer, "answer", "model", "rank")
    ratings = {BY_RANK: _negative(answer.get("rank"))}
    return {"response": answer.get("answer"), "model": answer.get("model"), "ratings": ratings}


def _negative(rank: Any) -> Any:
    """Return a rank from 1 on as a number below 0, nothing as None, and anything else as a text without a number."""
    if rank is None or (isinstance(rank, float | Decimal) and math.isnan(rank)):
        return None
    is_rank = type(rank) in (int, float, Decimal) and rank >= 1
    return -rank if is_rank else f"rank {rank}"


def _prompt(raw: Row) -> list[Message]:
    value = next((raw[name] for name in _PROMPTS if raw.get(name) is not None), None)
    if isinstance(value, str):
        messages = transcript_turns(value) if is_transcript(value) else tagged_turns(value)
    else:
        messages = messages_of(value)
    system = text_of(next((raw[name] for name in _SYSTEMS if raw.get(name) is not None), None))
    return messages if is_empty(system or "") else [{"role": "system", "content": system}, *messages]
