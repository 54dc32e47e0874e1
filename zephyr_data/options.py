"""The options of the data steps, each default with its source: "paper §…", or "ours" where nothing was published."""

import math
import re
from dataclasses import dataclass, field
from typing import Any

from zephyr_core.errors import OptionError

POLICIES = ("random", "random-any", "lowest", "all-lower", "all-pairs", "h4-v1")


def _value(default: Any, section: str) -> Any:
    return field(default=default, metadata={"section": section})


@dataclass(frozen=True)
class StepOptions:
    """What every step that makes a dataset can be told."""

    sources: tuple[str, ...] = _value((), "ours")
    revision: str = _value("main", "ours: resolved once, its commit recorded")
    seed: int = _value(42, "ours")
    keep_dropped: bool = _value(False, "ours")
    limit: int | None = _value(None, "ours: rows read at most")
    shard_rows: int = _value(100_000, "ours: rows per Parquet file")

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        _at_least(1, self, "limit", "shard_rows")


@dataclass(frozen=True)
class CleanOptions(StepOptions):
    """What `zephyr data clean-ultrachat` does. Sizes are counts of dialogues."""

    sources: tuple[str, ...] = _value(("stingning/ultrachat",), "paper §4.1, UltraChat")
    size: int = _value(230_975, "card of ultrachat_200k; paper §4.1 says ≈200k")
    test_share: float = _value(23_110 / 230_975, "card of ultrachat_200k, 23,110 dialogues; 0..1")
    rules: tuple[str, ...] = _value(("ultrachat",), "paper §4.1 names the kind of reply; wordings ours")
    on_hit: str = _value("as-ruled", "ours: what a phrase rule does, as-ruled | drop | cut | off")
    truecase: bool = _value(True, "paper §4.1, truecasing heuristics")
    truecase_roles: tuple[str, ...] = _value(("assistant",), "ours: keeps prompt_id equal to the raw prompt's")
    languages: tuple[str, ...] = _value(("en",), "ours; the published set is English")
    duplicates: str = _value("dialogue", "ours: dialogue | prompt | off")

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        super().__post_init__()
        _one_of("on_hit", self.on_hit, ("as-ruled", "drop", "cut", "off"))
        _one_of("duplicates", self.duplicates, ("dialogue", "prompt", "off"))
        for role in self.truecase_roles:
            _one_of("truecase_roles", role, ("assistant", "user"))
        for language in self.languages or ("",):
            if not re.fullmatch("[a-z]{2}", language):
                raise OptionError(
                    f"languages holds {language!r}: not a code of ISO 639-1", "such as `--languages en,de`"
                )
        if not 0 <= self.test_share <= 1:
            raise OptionError(f"test_share is {self.test_share}: it must lie in 0..1")
        _at_least(1, self, "size")


@dataclass(frozen=True)
class BinarizeOptions(StepOptions):
    """What `zephyr data binarize` does."""

    sources: tuple[str, ...] = _value(("openbmb/UltraFeedback",), "paper §4.1, UltraFeedback")
    score: str = _value("mean", "paper §4.1, the highest mean score; mean | overall | aspect:NAME")
    suspicious_tens: str = _value("drop", "ours: an overall score of 10 that may be a 1, drop | keep | as-read")
    rejected: str = _value("random", f"paper §3, a random lower one; {' | '.join(POLICIES)}")
    ties: str = _value("draw", "ours: which of several best ones is chosen, draw | first | drop")
    min_margin: float = _value(0.0, "ours: least difference of the two scores")
    rules: tuple[str, ...] = _value((), "ours: rule sets whose hit in a chosen answer drops the pair")
    benchmark: tuple[str, ...] = _value((), "ours: files of prompts that are not to be trained on")
    benchmark_sources: tuple[str, ...] = _value(("truthful_qa",), "ours; the paper kept them")
    keep_benchmarks: bool = _value(False, "ours")
    test_prompts: int | None = _value(None, "card of ultrafeedback_binarized: 2,000; 3 % of sets under 20,000 prompts")
    layout: str = _value("trainer", "ours: columns of the result, trainer | h4")

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        super().__post_init__()
        _one_of("suspicious_tens", self.suspicious_tens, ("drop", "keep", "as-read"))
        _one_of("rejected", self.rejected, POLICIES)
        _one_of("ties", self.ties, ("draw", "first", "drop"))
        _one_of("layout", self.layout, ("trainer", "h4"))
        _at_least(0, self, "min_margin", "test_prompts")
        if not math.isfinite(self.min_margin):
            raise OptionError(f"min_margin is {self.min_margin}: it must be a number")
        if self.keep_benchmarks and self.benchmark:
            raise OptionError("keep_benchmarks and benchmark contradict each other", "leave one of them out")
        if self.score not in ("mean", "overall") and not re.fullmatch("aspect:.+", self.score):
            raise OptionError(f"score is {self.score!r}; it can be mean, overall, or aspect:NAME")


def _one_of(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise OptionError(f"{name} is {value!r}; it can be {', '.join(choices)}")


def _at_least(least: int, options: StepOptions, *names: str) -> None:
    for name in names:
        value = getattr(options, name)
        if value is not None and value < least:
            raise OptionError(f"{name} is {value}: it must be at least {least}")
