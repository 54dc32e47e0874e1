"""Entry point of `zephyr data leakage`: which rows hold questions that a model will be measured on."""

from collections.abc import Iterator, Sequence
from typing import TypedDict, cast

import polars as pl

from zephyr_core.console import one_line, share, show, table
from zephyr_core.errors import UsageError
from zephyr_data.stages.overlap import KINDS, Questions
from zephyr_look.opening import Dataset, open_dataset
from zephyr_look.questions import Sought, of_prompts, sought
from zephyr_look.safe_text import visible

TEST = "test"  # how the names of splits begin that are not trained on
OWN = "its own test rows"
SHOWN = 200  # characters of a text in the table of hits
_PLACE = ("split", "file", "row")


class Hit(TypedDict):
    """A user turn of a row that holds a question."""

    against: str
    kind: str
    score: float
    split: str
    file: str
    row: int
    question: str
    text: str


class Against(TypedDict):
    """What rows hold of one source of questions."""

    name: str
    questions: int
    held: int  # questions that some row holds
    rows: int  # that hold one
    kinds: dict[str, int]  # rows by their closest kind


class Leakage(TypedDict):
    """A search, JSON-ready."""

    dataset: str
    rows: int
    against: list[Against]
    hits: list[Hit]


def leakage(source: str, against: Sequence[str], splits: Sequence[str], examples: int, *, as_json: bool) -> bool:
    """Show which rows hold which questions; return whether any does. Without `against`, test rows are the questions.

    Raises:
        UsageError: there is nothing to search for.
    """
    dataset = open_dataset(source, splits)
    wanted = [sought(name) for name in against] if against else [_of_test(dataset)]
    searched = dataset if against else dataset.without(TEST)
    record = search(searched, wanted)
    show(record, _text(record, examples), as_json)
    return bool(record["hits"])


def search(dataset: Dataset, wanted: Sequence[Sought]) -> Leakage:
    """Return what the user turns of a dataset hold of the questions."""
    questions = [Questions(each.questions) for each in wanted]
    rows, hits = 0, list[Hit]()
    for frame in dataset.frames((*_PLACE, "messages")):
        rows += frame.height
        turns = frame.explode("messages").unnest("messages").filter(role="user").drop_nulls("content")
        for each, own in zip(wanted, questions, strict=True):
            hits += _hits(turns, each, own)
    return {"dataset": dataset.label, "rows": rows, "against": [_counted(each, hits) for each in wanted], "hits": hits}


def _of_test(dataset: Dataset) -> Sought:
    names = [split for split in dataset.read_splits if split.startswith(TEST)]
    if not names or len(names) == len(dataset.read_splits):
        raise UsageError(
            f"{dataset.label} has no test rows next to training rows", "name questions with --against FILE"
        )
    prompts = [of_prompts(OWN, dataset.only(name)).questions for name in names]
    return Sought(OWN, pl.concat(prompts).unique(maintain_order=True))


def _hits(turns: pl.DataFrame, wanted: Sought, questions: Questions) -> Iterator[Hit]:
    overlaps = questions.overlaps(turns["content"])
    rows = turns[overlaps["text"]].select(*_PLACE, text="content")
    named = overlaps.select("kind", "score", question=wanted.questions.gather(overlaps["question"]))
    for row in pl.concat([named, rows], how="horizontal").iter_rows(named=True):
        yield cast(Hit, {"against": wanted.name, **row})


def _counted(wanted: Sought, hits: Sequence[Hit]) -> Against:
    own = [hit for hit in hits if hit["against"] == wanted.name]
    closest: dict[tuple[str, str, int], int] = {}
    for hit in own:
        place, kind = (hit["split"], hit["file"], hit["row"]), KINDS.index(hit["kind"])
        closest[place] = min(kind, closest.get(place, kind))
    kinds = {name: list(closest.values()).count(number) for number, name in enumerate(KINDS)}
    return {
        "name": wanted.name,
        "questions": len(wanted.questions),
        "held": len({hit["question"] for hit in own}),
        "rows": len(closest),
        "kinds": {name: rows for name, rows in kinds.items() if rows},
    }


def _text(record: Leakage, examples: int) -> str:
    lines = [f"{record['dataset']}: {record['rows']:,} rows"]
    for each in record["against"]:
        part = share(each["held"], each["questions"])
        rows = [("against " + each["name"], "questions", each["questions"], "")]
        rows += [("", "held by a row", each["held"], part), ("", "rows that hold one", each["rows"], "")]
        rows += [("", f"  {kind}", count, "") for kind, count in each["kinds"].items()]
        lines += ["", *table(rows, align="llrr")]
    by_kind = sorted(record["hits"], key=lambda hit: (KINDS.index(hit["kind"]), -hit["score"]))
    for hit in by_kind[:examples]:
        place = f"{hit['split']}, {hit['file']}, row {hit['row']}"
        lines += ["", f"{hit['kind']} ({hit['score']:.2f})  {place}"]
        lines += [f"  {name}  {visible(one_line(hit[name], SHOWN))}" for name in ("question", "text")]
    if len(by_kind) > examples:
        lines += ["", f"{len(by_kind) - examples:,} more hits: --examples N, or --json for all"]
    return "\n".join(lines)
