"""Samples: test pairs with their scores, and answers of the models if the run kept any."""

from typing import Any

from zephyr_core.reading import json_lines
from zephyr_page.markup import Html, element, join, note, real, shorten
from zephyr_run.outputs import SAMPLES
from zephyr_run.report import examples
from zephyr_run.report.on_disk import Run


def about(run: Run) -> Html:
    """Return pairs, then answers."""
    return join([element("h3", "Pairs"), _pairs(run), element("h3", "Answers of the models"), _answers(run)])


def _pairs(run: Run) -> Html:
    step = run.of_kind("dataset")[-1]
    if not step.manifest:
        return note(f"{step.name}: {step.state}.")
    test, train = step.step.splits[1], step.step.splits[0]
    rows = examples.pairs(step.folder, (test, train))
    if not rows:
        return note("There is no pair to show.")
    where = "the test split; the models were not trained on them" if rows[0]["split"] == test else "the train split"
    return join([note(f"The first {len(rows)} of {where}."), *map(_pair, rows)])


def _pair(row: examples.Row) -> Html:
    sides = [
        _quote(f"{side}, score {real(row.get(f'score_{side}'), 2)}{_by(row, side)}", last_text(row[side]))
        for side in ("chosen", "rejected")
    ]
    return _example(last_text(row["prompt"]), _turns(row["prompt"]), sides)


def _answers(run: Run) -> Html:
    rows, unreadable = json_lines(run.folder / SAMPLES)
    if not rows:
        return note(f"The run directory has no {SAMPLES}.")
    damage = f"; {unreadable} lines are not JSON" if unreadable else ""
    caption = f"Greedy answers to the first {len(rows)} held-out prompts, in the order of their keys{damage}."
    return join([note(caption), *map(_answered, rows)])


def _answered(row: dict[str, Any]) -> Html:
    stopped = row.get("stopped") or {}
    sides = [_quote(f"{name}{_end(stopped.get(name))}", str(text)) for name, text in (row.get("answers") or {}).items()]
    return _example(last_text(row.get("prompt")), "", sides)


def _end(has_stopped: object) -> str:
    if has_stopped is None:
        return ""
    return ", ended its turn" if has_stopped else ", did not end its turn"


def _example(prompt: str, aside: str, sides: list[Html]) -> Html:
    parts = [_quote(f"prompt{aside}", prompt), element("div", join(sides), class_="cards")]
    return element("div", join(parts), class_="example")


def _quote(who: str, text: str) -> Html:
    spoken = element("p", shorten(text) or "(nothing)", class_="said", dir="auto")
    return element("div", join([element("p", who, class_="who"), spoken]))


def last_text(value: Any) -> str:
    """Return a text as it is; for messages, the content of the last one."""
    if isinstance(value, list):
        return str(value[-1].get("content") or "") if value else ""
    return "" if value is None else str(value)


def _turns(prompt: Any) -> str:
    return f", the last of {len(prompt)} turns" if isinstance(prompt, list) and len(prompt) > 1 else ""


def _by(row: examples.Row, side: str) -> str:
    model = row.get(f"{side}_model")
    return f", by {model}" if model else ""
