"""The claims that the ablations are checked against, each with the figures for or against it."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

LEARNED = 0.95  # share of train pairs right in the last epoch
STAYS = 0.05  # how far a share may move and still count as unchanged
ABOVE = 0.1  # how far one share must exceed another to be "well above"


@dataclass(frozen=True)
class Claim:
    """A sentence, whether it holds in every seed, and the figures."""

    name: str
    says: str
    holds: bool
    figures: str


def claims(content: Mapping[str, Any]) -> list[Claim]:
    """Return the claims of the page, each checked against every seed."""
    return [*_training(content), *_held_out(content)]


def _training(content: Mapping[str, Any]) -> Iterator[Claim]:
    first = [loss for losses in content["first_loss"].values() for loss in losses]
    off = max(abs(loss - math.log(2)) for loss in first)
    yield Claim(
        "first-loss", "dDPO begins at ln 2: the policy is its own reference", off < 1e-3, f"largest distance {off:.1e}"
    )
    last = [epochs[-1]["train_accuracy"] for epochs in content["epochs"]["ddpo"]]
    yield Claim(
        "train-accuracy",
        "in the last epoch nearly every train pair is right (the paper's Figure 3)",
        min(last) >= LEARNED,
        f"train accuracy {_listed(last)}, {LEARNED} wanted",
    )
    runs = content["epochs"]["ddpo"]
    tests = [[row["test_accuracy"] for row in run] for run in runs]
    if all(len(run) > 1 and None not in run for run in tests):
        ahead = [train - run[-1] for train, run in zip(last, tests, strict=True)]
        moved = [run[-1] - run[0] for run in tests]
        yield Claim(
            "overfitting",
            "in the last epoch more train pairs are right than held-out ones, whose share stays as after the first"
            " (Figure 3)",
            min(ahead) > 0 and max(map(abs, moved)) <= STAYS,
            f"train above test {_listed(ahead, sign=True)}; test since the first epoch {_listed(moved, sign=True)},"
            f" at most ±{STAYS} wanted",
        )


def _held_out(content: Mapping[str, Any]) -> Iterator[Claim]:
    likelier = {name: arm["accuracy_per_token"]["values"] for name, arm in content["arms"].items()}
    for other, title in (("dsft-1", "dSFT-1"), ("dsft-2", "dSFT-2")):
        yield Claim(
            f"above-{other}",
            f"dDPO + dSFT finds the better answer likelier well above {title} (Table 3)",
            all(ours > theirs + ABOVE for ours, theirs in zip(likelier["ddpo"], likelier[other], strict=True)),
            f"{_listed(likelier['ddpo'])} against {_listed(likelier[other])}",
        )
    longer = max(content["longer_is_chosen"], 1 - content["longer_is_chosen"])
    yield Claim(
        "above-length",
        "and well above telling answers by their length",
        min(likelier["ddpo"]) > longer + ABOVE,
        f"{_listed(likelier['ddpo'])} against {longer:.3f}",
    )
    ends = {name: arm["eos_probability"]["values"] for name, arm in content["arms"].items()}
    yield Claim(
        "ends-its-turn",
        "without dSFT the model does not learn to end its turn (the paper's Figure 7)",
        all(tuned > alone + ABOVE for tuned, alone in zip(ends["dsft-1"], ends["ddpo-alone"], strict=True)),
        f"EOS after a good answer: dSFT-1 {_listed(ends['dsft-1'])}, dDPO − dSFT {_listed(ends['ddpo-alone'])}",
    )


def _listed(values: Sequence[float], *, sign: bool = False) -> str:
    return " / ".join(f"{value:{'+' if sign else ''}.3f}" for value in values)
