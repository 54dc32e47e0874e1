"""`zephyr train measure`: models side by side on the held-out pairs of a dDPO run."""

import math
import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zephyr_core import kinds, manifest
from zephyr_core.console import one_line
from zephyr_train.errors import ModelUnreachable
from zephyr_train.models import local_model
from zephyr_train.results import sources

if TYPE_CHECKING:
    from zephyr_train.training.held_out import HeldOut

SHOWN = 60  # characters shown of an answer
_MARKERS = re.compile(r"<\|\w+\|>")  # role markers


def report(
    names: Sequence[str], pairs: Path, start: str | None, answers: int, new_tokens: int
) -> tuple[dict[str, Any], str]:
    """Return every model's figures, JSON-ready and as a table.

    Raises:
        WrongFolder: a zephyr folder is not a model, or not a dDPO run.
        ModelUnreachable: a model or the run is missing, or the run has no held-out pairs.
        RowsUnfit: the run's record or its token rows are damaged.
    """
    from zephyr_train.training.held_out import look_at

    folders, tokens = {name: _folder(name) for name in names}, _tokens(pairs)
    first = None if start is None else look_at(_folder(start), tokens, answers=0, new_tokens=1)
    results = {
        name: look_at(folder, tokens, answers=answers, new_tokens=new_tokens) for name, folder in folders.items()
    }
    content: dict[str, Any] = {
        "pairs": len(next(iter(results.values())).chosen),
        "longer_is_chosen": longer_share(next(iter(results.values()))),
        "models": {name: {**figures(one, first), **asdict(one)} for name, one in results.items()},
    }
    return content, _table(content)


def figures(one: "HeldOut", start: "HeldOut | None") -> dict[str, float | None]:
    """Return a model's shares: likelier per token, reward above 0, EOS after chosen, ended turns, turns played on."""
    likelier = [
        chosen / tokens > rejected / others
        for chosen, rejected, tokens, others in zip(
            one.chosen, one.rejected, one.chosen_tokens, one.rejected_tokens, strict=True
        )
    ]
    rewarded = None
    if start is not None and start.chosen != one.chosen:  # the start itself has none
        sides = zip(one.chosen, one.rejected, start.chosen, start.rejected, strict=True)
        rewarded = [(chosen - was) > (rejected - other) for chosen, rejected, was, other in sides]
    return {
        "accuracy_per_token": _share(likelier),
        "standard_error": standard_error(_share(likelier), len(likelier)),
        "implicit_accuracy": None if rewarded is None else _share(rewarded),
        "eos_probability": sum(one.eos) / len(one.eos) if one.eos else 0.0,
        "stopped_share": _share(one.stopped),
        "played_on_share": _share(one.played_on),
    }


def longer_share(one: "HeldOut") -> float:
    """Return the accuracy of "the longer answer is the better one", in tokens; a tie counts half."""
    sides = list(zip(one.chosen_tokens, one.rejected_tokens, strict=True))
    return sum(chosen > rejected for chosen, rejected in sides) / len(sides) + sum(
        chosen == rejected for chosen, rejected in sides
    ) / (2 * len(sides))


def standard_error(share: float, count: int) -> float:
    """Return the standard error of a share of `count` independent rows."""
    return math.sqrt(share * (1 - share) / count) if count else 0.0


def _share(hits: Sequence[bool]) -> float:
    return sum(hits) / len(hits) if hits else 0.0


def _tokens(run: Path) -> Path:
    sources.check_run(run)
    kinds.refuse(run, kinds.DPO_RUN)
    if not manifest.is_whole(run):
        raise ModelUnreachable(
            f"{run} is not a finished run", "give a run directory of `zephyr train dpo` with --pairs"
        )
    tokens = sources.token_rows(run)
    if not (tokens / "test.arrow").is_file():
        raise ModelUnreachable(f"{tokens} has no held-out rows", "train on a dataset with a test split")
    return tokens


def _folder(name: str) -> Path:
    model = local_model(name)
    if model is None or model.folder is None:
        raise ModelUnreachable(f"{name}: no such model folder or run", "give a model folder or a finished run")
    return model.folder


def _table(content: dict[str, Any]) -> str:
    lines = [
        f"{content['pairs']} held-out pairs; the longer answer is the chosen one in {content['longer_is_chosen']:.1%}",
        f"{'model':<40}{'likelier/token':>16}{'reward > 0':>12}{'EOS':>7}{'stopped':>9}{'played on':>11}",
    ]
    for name, one in content["models"].items():
        implicit = "" if one["implicit_accuracy"] is None else f"{one['implicit_accuracy']:.3f}"
        label = name if len(name) <= 38 else "…" + name[-37:]
        lines.append(
            f"{label:<40}{one['accuracy_per_token']:>8.3f} ±{one['standard_error']:.3f} {implicit:>11}"
            f"{one['eos_probability']:>7.2f}{one['stopped_share']:>9.2f}{one['played_on_share']:>11.2f}"
        )
    for name, one in content["models"].items():
        lines += ["", name]
        pairs = list(zip(one["prompts"], one["answers"], strict=True))[:3]
        lines += [f"  {_short(prompt)} → {_short(answer)}" for prompt, answer in pairs]
    return "\n".join(lines)


def _short(text: str) -> str:
    return one_line(_MARKERS.sub(" ", text), SHOWN)
