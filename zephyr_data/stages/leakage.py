"""Benchmark leakage: prompts that a model will be measured on must not be trained on (decision 0010)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from zephyr_core.errors import UsageError
from zephyr_core.manifest import file_digest
from zephyr_core.reading import table_faults
from zephyr_core.template import role_of
from zephyr_core.texts import is_empty
from zephyr_data.errors import SourceError
from zephyr_data.sources.files import AGAIN
from zephyr_data.sources.lines import SHOWN
from zephyr_data.sources.tables import read_table
from zephyr_data.stages.duplicates import text_keys
from zephyr_data.stages.overlap import CONTAINED, EIGHT, EXACT, NEARLY, SAME_WORDS, THIRTEEN, Questions
from zephyr_data.stages.overruling import Reason
from zephyr_data.stages.verbs import Stage, is_unread, mark, nothing_found, verdict

NAME = "benchmark"
OF_FILES = {
    f"{NAME}/same-prompt": Reason("a user turn is a prompt of a benchmark file"),
    f"{NAME}/same-words": Reason("a user turn has the words of a prompt of a benchmark file"),
    f"{NAME}/contains-prompt": Reason("a user turn contains a prompt of a benchmark file"),
    f"{NAME}/shares-words": Reason("a user turn shares long runs of words with a prompt of a benchmark file"),
    f"{NAME}/near-prompt": Reason("a user turn differs by a word or so from a prompt of a benchmark file"),
}
REASONS = {
    f"{NAME}/benchmark-source": Reason("the row is from a benchmark that models are measured on"),
    **OF_FILES,
    f"{NAME}/prompt-of-benchmark-source": Reason("the prompt has the words of one from a benchmark source"),
}
RULES = {
    EXACT: "same-prompt",
    SAME_WORDS: "same-words",
    CONTAINED: "contains-prompt",
    THIRTEEN: "shares-words",
    EIGHT: "shares-words",
    NEARLY: "near-prompt",
}
COLUMNS = ("prompt", "instruction", "question", "turns", "messages", "query", "ctx")  # may hold a benchmark's prompt
SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".parquet", ".txt")


def file_digests(files: Sequence[str]) -> dict[str, str]:
    """Return the sha256 of each benchmark file.

    Raises:
        UsageError: a file does not exist.
    """
    for name in files:
        if not Path(name).is_file() or Path(name).suffix.lower() not in SUFFIXES:
            fault = "has an unsupported suffix" if Path(name).is_file() else "does not exist"
            raise UsageError(f"the benchmark file {name!r} {fault}", f"supported: {', '.join(SUFFIXES)}")
    return {name: file_digest(Path(name)) for name in files}


def mark_benchmarks(files: Sequence[str], sources: Sequence[str] = ()) -> Stage:
    """Return a stage that marks rows from a benchmark source, and those with a user turn that holds a benchmark prompt.

    Columns in:  turns; prompt_source if there are sources
    """
    names = {text: Path(file).name for file in reversed(files) for text in read_prompts(Path(file))}
    questions = Questions(pl.Series(list(names), dtype=pl.String))
    of_files = pl.Series(list(names.values()), dtype=pl.String)

    def find(table: pl.DataFrame) -> pl.DataFrame:
        read = table.filter(~is_unread())
        verdicts = [_of_source(read, sources)] if sources else []
        verdicts += [_of_prompts(read, questions, of_files)] if names else []
        return pl.concat(verdicts).sort("row", "turn", maintain_order=True, nulls_last=False)

    return mark(NAME, find if files or sources else lambda _: nothing_found())


def _of_source(table: pl.DataFrame, sources: Sequence[str]) -> pl.DataFrame:
    return verdict(table.filter(_is_of(sources)), "benchmark-source")


def _of_prompts(table: pl.DataFrame, questions: Questions, files: pl.Series) -> pl.DataFrame:
    user_turns = table.select("row", text=pl.col("turns").list.gather_every(2, 0)).explode("text")
    user_turns = user_turns.with_columns(turn=2 * pl.int_range(pl.len(), dtype=pl.Int32).over("row"))
    hits = questions.overlaps(user_turns["text"]).sort("text", "kind", "question").unique("text", keep="first")
    hits = hits.sort("text")
    prompts = pl.DataFrame({"file": files.gather(hits["question"]), "prompt": questions.texts.gather(hits["question"])})
    copies = pl.concat([user_turns[hits["text"]], hits.select("kind"), prompts], how="horizontal")
    rule = pl.col("kind").cast(pl.String).replace_strict(RULES)
    excerpt = pl.format("{}: {}", "file", pl.col("prompt").str.slice(0, SHOWN))
    return verdict(copies, rule, turn=pl.col("turn"), matched=excerpt)


def _is_of(sources: Sequence[str]) -> pl.Expr:
    return pl.col("prompt_source").is_in(list(sources)).fill_null(False)


def mark_copies() -> Stage:
    """Return a set stage that marks rows whose prompt has the same words as one from a benchmark source.

    Columns in:  prompt_key, is_benchmark
    """

    def find(table: pl.DataFrame) -> pl.DataFrame:
        benchmark_keys = table.filter("is_benchmark")["prompt_key"].unique()
        copies = table.filter(~pl.col("is_benchmark") & pl.col("prompt_key").is_in(benchmark_keys.implode()))
        return verdict(copies, "prompt-of-benchmark-source")

    return mark(NAME, find)


def with_benchmark_keys(table: pl.DataFrame, sources: Sequence[str]) -> pl.DataFrame:
    """Return the table with prompt_key and is_benchmark; the key is null on dropped rows of other sources."""
    keyed = table.with_columns(
        prompt_key=pl.Series(text_keys(table["turns"].list.last()), dtype=pl.Binary),
        is_benchmark=_is_of(sources),
    )
    is_visible = pl.col("dropped_by").is_null() | pl.col("is_benchmark")
    return keyed.with_columns(pl.when(is_visible).then("prompt_key").alias("prompt_key"))


def read_prompts(path: Path) -> list[str]:
    """Return the prompts of a benchmark file: lines of text, or the first known column of a table.

    Raises:
        SourceError: the file cannot be read, or no row has such a column.
    """
    with table_faults(path, error=SourceError):
        rows = _rows(path)
    prompts: list[str] = []
    for number, row in enumerate(rows, start=1):
        texts = [text for text in _texts(row) if not is_empty(text)]
        if not texts:
            names = ", ".join(map(repr, row)) if isinstance(row, dict) else repr(row)
            raise SourceError(
                f"{path}, row {number}, has no prompt; found {names or 'nothing'}",
                f"a prompt is read from {', '.join(COLUMNS)}, or from each line of a .txt file",
            )
        prompts += texts
    if not prompts:
        raise SourceError(f"{path} is empty", "give a file of prompts that must not be trained on")
    return prompts


def _rows(path: Path) -> list[Any]:
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return read_table(path, error=SourceError, hint=AGAIN).to_dicts()
    if suffix == ".csv":
        with path.open("rb") as stream:  # of a path polars makes a glob
            return pl.read_csv(stream, infer_schema=False).to_dicts()
    text = path.read_text(encoding="utf-8-sig")
    if suffix == ".json":
        rows = orjson.loads(text)
        return rows if isinstance(rows, list) else [rows]
    lines = [line for line in text.split("\n") if not is_empty(line)]
    return [orjson.loads(line) for line in lines] if suffix != ".txt" else lines


def _texts(row: Any) -> list[str]:
    if isinstance(row, str):
        return [row.strip("\r")]
    folded = {name.lower(): value for name, value in row.items()} if isinstance(row, dict) else {}
    value = next((folded[name] for name in COLUMNS if folded.get(name) is not None), None)
    items = value if isinstance(value, list) else [value]
    contents = [item.get("content") if isinstance(item, dict) and _is_user(item) else item for item in items]
    return [text for text in contents if isinstance(text, str)]


def _is_user(message: dict[str, Any]) -> bool:
    return role_of(str(message.get("role"))) == "user"
