"""The options of the data steps, each default with its source: "paper §…", or "ours" where nothing was published."""

import re
from dataclasses import dataclass

from zephyr_core.errors import OptionError
from zephyr_core.options import check, value

POLICIES = ("random", "random-any", "lowest", "all-lower", "all-pairs", "h4-v1")


@dataclass(frozen=True)
class StepOptions:
    """Options of every step that makes a dataset."""

    sources: tuple[str, ...] = value((), "ours", "What to read.", is_argument=True, is_repeated=True)
    revision: str = value(
        "main", "ours: resolved once, its commit recorded", "Branch, tag or commit of a Hub source.", has_flag=True
    )
    seed: int = value(42, "ours", "Seed for the keyed draws.", has_flag=True)
    keep_dropped: bool = value(False, "ours", "Also store dropped rows whole, in dropped_rows/.", has_flag=True)
    limit: int | None = value(None, "ours", "Read at most this many rows.", least=1, has_flag=True)
    shard_rows: int = value(100_000, "ours", "Rows per Parquet file.", least=1, has_flag=True)
    spare: tuple[str, ...] = value(
        (),
        "ours; a rule can be wrong about a row (decision 0047)",
        "A row that no rule may drop or cut: raw id, row_key, FILE:LINE, or @FILE with one a line; may be repeated.",
        has_flag=True,
        is_repeated=True,
    )
    without: tuple[str, ...] = value(
        (),
        "ours; a rule can be wrong about a set (decision 0047)",
        "A rule that drops and cuts nothing, by its name in the audit; may be repeated.",
        has_flag=True,
        is_repeated=True,
    )

    benchmark: tuple[str, ...] = value(
        (), "ours", "A file of prompts that must not be trained on; may be repeated.", has_flag=True, is_repeated=True
    )
    near_duplicates: float | None = value(
        None,
        "ours; neither published set was filtered so (decision 0073)",
        "Keep one of the rows that share this part of their runs of five words, 0.5..1 (pairs: of the prompt's).",
        least=0.5,
        has_flag=True,
    )

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        check(self)
        if self.near_duplicates is not None and self.near_duplicates > 1:
            raise OptionError(f"near_duplicates is {self.near_duplicates:g}: it must be in 0.5..1", "such as 0.8")


@dataclass(frozen=True)
class CleanOptions(StepOptions):
    """Options of `zephyr data clean-ultrachat`. Sizes are counts of dialogues."""

    sources: tuple[str, ...] = value(
        ("stingning/ultrachat",),
        "paper §4.1, UltraChat",
        "Files, folders, globs or a Hub dataset; default: the recipe's.",
        is_argument=True,
        is_repeated=True,
    )
    system_turns: str = value(
        "drop",
        "ours; the published set has none (decisions 0043, 0049)",
        "Dialogues with a system turn: drop them, fold it into the first user turn, or keep it as a message.",
        choices=("drop", "fold", "keep"),
        has_flag=True,
    )
    size: int = value(
        230_975,
        "card of ultrachat_200k; paper §4.1 says ≈200k",
        "Number of dialogues to select, by a keyed draw.",
        least=1,
        has_flag=True,
    )
    test_share: float = value(
        23_110 / 230_975,
        "card of ultrachat_200k, 23,110 dialogues",
        "Share of the selected dialogues for the test side, 0..1.",
        has_flag=True,
    )
    rules: tuple[str, ...] = value(
        ("ultrachat",),
        "paper §4.1 names the kind of reply; wordings ours",
        "Phrase rules: shipped sets or .toml files, instead of the shipped set.",
        has_flag=True,
        is_repeated=True,
    )
    on_hit: str = value(
        "as-ruled",
        "ours",
        "What every phrase rule does, instead of its own action.",
        choices=("as-ruled", "drop", "cut", "off"),
        has_flag=True,
    )
    needs_live_data: str = value(
        "keep",
        "paper §4.1 aims at needless disclaimers (decision 0038)",
        "Denials of what only live or private information answers: drop or keep.",
        choices=("drop", "keep"),
        has_flag=True,
    )
    truecase: bool = value(
        True, "paper §4.1, truecasing heuristics", "Restore the case of badly cased turns.", has_flag=True
    )
    truecase_roles: tuple[str, ...] = value(
        ("assistant",),
        "ours: keeps prompt_id equal to the raw prompt's",
        "Whose turns to restore: assistant, or assistant,user.",
        choices=("assistant", "user"),
        has_flag=True,
    )
    languages: tuple[str, ...] = value(
        ("en",), "ours; the published set is English", "Languages to keep, such as en or en,de.", has_flag=True
    )
    translations: str = value(
        "keep",
        "ours; the published set holds them (decision 0041)",
        "Replies in another language that an English request asks for: keep or drop.",
        choices=("keep", "drop"),
        has_flag=True,
    )
    duplicates: str = value(
        "dialogue",
        "ours",
        "What must be equal for dialogues to be duplicates.",
        choices=("dialogue", "prompt", "off"),
        has_flag=True,
    )

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        super().__post_init__()
        for language in self.languages or ("",):
            if not re.fullmatch("[a-z]{2}", language):
                raise OptionError(
                    f"languages holds {language!r}: not a code of ISO 639-1", "such as `--languages en,de`"
                )
        if not 0 <= self.test_share <= 1:
            raise OptionError(f"test_share is {self.test_share}: it must be in 0..1")


@dataclass(frozen=True)
class BinarizeOptions(StepOptions):
    """Options of `zephyr data binarize`."""

    sources: tuple[str, ...] = value(
        ("openbmb/UltraFeedback",),
        "paper §4.1, UltraFeedback",
        "Files, folders, globs, a Hub dataset, or an earlier dataset of pairs; default: the recipe's.",
        is_argument=True,
        is_repeated=True,
    )
    score: str = value(
        "mean", "paper §4.1, the highest mean score", "Score to compare: mean, overall, or aspect:NAME.", has_flag=True
    )
    scale: str | None = value(
        None,
        "ours; UltraFeedback's: annotations 1..5, overall_score 1..10, other numbers any",
        "Scale of all ratings and scores that are read, as MIN..MAX.",
        has_flag=True,
    )
    annotators: str | None = value(
        None,
        "ours (decision 0045)",
        "What several rows judge: average ratings and take a pair's majority, or use only what all agree on.",
        choices=("mean", "agree"),
        has_flag=True,
    )
    suspicious_tens: str = value(
        "drop",
        "ours",
        "What to do with overall scores of 10 that may be a 1.",
        choices=("drop", "keep", "as-read"),
        has_flag=True,
    )
    rejected: str = value(
        "random", "paper §3, a random lower one", "Which answer to reject.", choices=POLICIES, has_flag=True
    )
    ties: str = value(
        "draw",
        "ours",
        "Which answer to choose when several tie for the best.",
        choices=("draw", "first", "drop"),
        has_flag=True,
    )
    min_margin: float = value(0.0, "ours", "Smallest allowed difference of the two scores.", least=0, has_flag=True)
    rules: tuple[str, ...] = value(
        (),
        "ours",
        "Phrase rules: shipped sets or .toml files. A hit in a chosen answer drops the pair.",
        has_flag=True,
        is_repeated=True,
    )
    benchmark_sources: tuple[str, ...] = value(
        ("truthful_qa",),
        "ours; the paper kept them",
        "Values of `source` that are benchmarks, such as truthful_qa.",
        has_flag=True,
    )
    keep_benchmarks: bool = value(False, "ours", "Do not look for benchmark prompts.", has_flag=True)
    test_prompts: int | None = value(
        None,
        "card of ultrafeedback_binarized: 2,000; 3 % of sets under 20,000 prompts",
        "Prompts for the test side; default 2,000, or 3 % of fewer than 20,000.",
        least=0,
        has_flag=True,
    )
    layout: str = value(
        "trainer", "ours", "Columns of the result; h4: as published.", choices=("trainer", "h4"), has_flag=True
    )

    @property
    def sources_of_benchmarks(self) -> tuple[str, ...]:
        """Return the sources whose rows are dropped."""
        return () if self.keep_benchmarks else self.benchmark_sources

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        super().__post_init__()
        if self.keep_benchmarks and self.benchmark:
            raise OptionError("keep_benchmarks and benchmark contradict each other", "leave one of them out")
        if self.score not in ("mean", "overall") and not re.fullmatch("aspect:.+", self.score):
            raise OptionError(f"score is {self.score!r}; it can be mean, overall, or aspect:NAME")
        if self.scale is not None and self.bounds is None:
            raise OptionError(f"scale is {self.scale!r}, not MIN..MAX", "such as `--scale 1..10`")

    @property
    def bounds(self) -> tuple[float, float] | None:
        """Return least and most of the scale; None without one, or if it is not MIN..MAX."""
        number = r"([+-]?[0-9]{1,9}(?:\.[0-9]{1,9})?)"
        match = re.fullmatch(rf"{number}\.\.{number}", self.scale or "")
        if match is None or float(match[1]) >= float(match[2]):
            return None
        return float(match[1]), float(match[2])
