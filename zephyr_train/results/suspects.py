"""Pairs that training disagreed with: probable label errors, found by their margins in each epoch.

A pair's margin is β·[(log π − log π_ref)(chosen) − (log π − log π_ref)(rejected)], as seen when the pair was trained.
Pairs are ranked by its mean over epochs, the area under the margin (Pleiss et al. 2020): what the model learns from
similar pairs contradicts a wrong label, until the model memorises that label.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from zephyr_core import kinds
from zephyr_core.console import one_line
from zephyr_core.errors import OptionError
from zephyr_core.reading import table_faults
from zephyr_train.errors import RowsUnfit
from zephyr_train.job import AGAIN
from zephyr_train.results import sources

SHOWN = 160  # characters shown of a text
_EPOCH = re.compile(r"epoch-(\d+)\.parquet")
Texts = Callable[[str], Mapping[str, str] | None]  # key → prompt, chosen, rejected; None for an unknown key


@dataclass(frozen=True)
class Suspect:
    """A pair whose mean margin is below 0. Margins are log-probs in nats × β; None for an epoch without the pair."""

    rank: int
    key: str
    prompt_id: str
    margins: tuple[float | None, ...]  # by epoch
    mean: float

    @property
    def is_wrong_to_the_end(self) -> bool:
        """Return whether the margin was below 0 when the pair was last trained."""
        return [margin for margin in self.margins if margin is not None][-1] < 0


def suspects(run: Path, top: int) -> list[Suspect]:
    """Return the `top` pairs with the lowest mean margins below 0, lowest first.

    Raises:
        WrongFolder: the run is a zephyr folder, but not a dDPO run.
        RowsUnfit: the run kept no margins, or one that is not a number; or what it kept is damaged.
        OptionError: `top` is below 1.
    """
    return _ranked(_margins(run))[: _at_least_one(top)]


def report(run: Path, top: int, texts: Texts | None = None) -> tuple[list[dict[str, object]], str]:
    """Return the suspects as JSON-ready rows and as text; with their texts, if the run's token rows are available."""
    rows = _margins(run)
    ranked = _ranked(rows)
    worst = ranked[: _at_least_one(top)]
    texts = texts or trained_texts(run, {suspect.key for suspect in worst})
    records = [
        {**asdict(suspect), "wrong_to_the_end": suspect.is_wrong_to_the_end, **(texts(suspect.key) or {})}
        for suspect in worst
    ]
    wrong = sum(suspect.is_wrong_to_the_end for suspect in ranked)
    head = f"{len(ranked):,} of {len(rows):,} pairs have a mean margin below 0; {wrong:,} of them are wrong at the end"
    return records, "\n\n".join([head, *([suspects_text(worst, texts)] if worst else [])])


def suspects_text(worst: list[Suspect], texts: Texts | None = None) -> str:
    """Return a table of suspects, each followed by its prompt, chosen and rejected text if `texts` knows them."""
    epochs = len(worst[0].margins) if worst else 0
    head = ["rank", "mean", *(f"epoch {epoch}" for epoch in range(1, epochs + 1)), "key"]
    lines = ["  ".join([f"{name:>8}" for name in head[:-1]] + head[-1:])]
    for suspect in worst:
        numbers = [f"{suspect.rank:>8}", *(_number(margin) for margin in (suspect.mean, *suspect.margins))]
        lines.append("  ".join([*numbers, suspect.key[:16]]))
        pair_texts = (texts(suspect.key) if texts else None) or {}
        lines += [f"{side:>10}: {one_line(text, SHOWN)}" for side, text in pair_texts.items()]
    return "\n".join(lines)


def _number(margin: float | None) -> str:
    return f"{'–':>8}" if margin is None else f"{margin:>8.3f}"


def _at_least_one(top: int) -> int:
    if top < 1:
        raise OptionError(f"top is {top}: it must be at least 1")
    return top


def _margins(run: Path) -> dict[tuple[str, str], tuple[float | None, ...]]:
    """Return the margins of each (key, prompt_id), by epoch."""
    import pyarrow.parquet as pq

    epochs = {file: _EPOCH.fullmatch(file.name) for file in (run / "margins").glob("epoch-*.parquet")}
    numbers = {file: int(number[1]) for file, number in epochs.items() if number}
    files = sorted(numbers, key=lambda file: numbers[file])
    sources.check_run(run, (file.relative_to(run).as_posix() for file in files), below="margins")
    if not files:
        kinds.refuse(run, kinds.DPO_RUN)
        raise RowsUnfit(f"{run} kept no margins", "give a run directory of `zephyr train dpo` with an epoch done")
    rows: dict[tuple[str, str], list[float | None]] = {}
    for epoch, file in enumerate(files):
        with table_faults(file, error=RowsUnfit, hint=AGAIN):
            columns = pq.read_table(file).select(["key", "prompt_id", "margin"]).to_pydict()
        for key, prompt_id, margin in zip(*columns.values(), strict=True):
            if not isinstance(margin, float) or not math.isfinite(margin):
                raise RowsUnfit(f"{file}: the margin of {key} is {margin}", AGAIN)
            rows.setdefault((key, prompt_id), [None] * len(files))[epoch] = margin
    return {name: tuple(margins) for name, margins in rows.items()}


def _ranked(rows: Mapping[tuple[str, str], tuple[float | None, ...]]) -> list[Suspect]:
    """Return every pair with a mean margin below 0, lowest first; ties are ordered by key."""
    means = []
    for (key, prompt_id), margins in rows.items():
        values = [margin for margin in margins if margin is not None]
        means.append((math.fsum(values) / len(values), key, prompt_id, margins))
    below = sorted(row for row in means if row[0] < 0)
    return [
        Suspect(rank, key, prompt_id, margins, mean) for rank, (mean, key, prompt_id, margins) in enumerate(below, 1)
    ]


def trained_texts(run: Path, keys: set[str]) -> Texts:
    """Return the texts of those keys, decoded from the run's token rows; none if the token rows are gone."""
    folder = sources.token_rows(run) if (run / kinds.JOB).is_file() else run
    rows, tokenizer = folder / "train.arrow", folder / "tokenizer.json"
    if not (rows.is_file() and tokenizer.is_file()):
        return lambda key: None
    import pyarrow as pa
    from tokenizers import Tokenizer

    spell = Tokenizer.from_file(str(tokenizer)).decode
    texts: dict[str, Mapping[str, str]] = {}
    with table_faults(rows, error=RowsUnfit), pa.memory_map(str(rows)) as stream:
        for batch in pa.ipc.open_stream(stream):
            names = batch.column("key").to_pylist()
            for at in (at for at, name in enumerate(names) if name in keys):
                texts[names[at]] = {
                    side: spell(batch.column(f"{side}_ids")[at].as_py()) for side in ("prompt", "chosen", "rejected")
                }
    return texts.get
