"""Benchmark leakage: prompts that a model will be measured on must not be trained on (decision 0010)."""

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
from zephyr_data.options import BinarizeOptions
from zephyr_data.sources.files import AGAIN
from zephyr_data.sources.lines import SHOWN
from zephyr_data.sources.tables import read_table
from zephyr_data.stages.duplicates import text_keys
from zephyr_data.stages.overruling import Reason
from zephyr_data.stages.verbs import Stage, is_unread, mark, verdict

NAME = "benchmark"
REASONS = {
    f"{NAME}/benchmark-source": Reason("the row is from a benchmark that models are measured on"),
    f"{NAME}/same-prompt": Reason("a user turn is a prompt of a benchmark file"),
    f"{NAME}/same-words": Reason("a user turn has the words of a prompt of a benchmark file"),
    f"{NAME}/prompt-of-benchmark-source": Reason("the prompt has the words of one from a benchmark source"),
}
COLUMNS = ("prompt", "instruction", "question", "turns", "messages", "query", "ctx")  # may hold a benchmark's prompt
SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".parquet", ".txt")


def file_digests(options: BinarizeOptions) -> dict[str, str]:
    """Return the sha256 of each benchmark file.

    Raises:
        UsageError: a file does not exist.
    """
    for name in options.benchmark:
        if not Path(name).is_file() or Path(name).suffix.lower() not in SUFFIXES:
            fault = "has an unsupported suffix" if Path(name).is_file() else "does not exist"
            raise UsageError(f"the benchmark file {name!r} {fault}", f"supported: {', '.join(SUFFIXES)}")
    return {name: file_digest(Path(name)) for name in options.benchmark}


def mark_benchmarks(options: BinarizeOptions) -> Stage:
    """Return a stage that marks rows from a benchmark source, and rows with a user turn that is a benchmark's prompt.

    Columns in:  turns, prompt_source
    """
    exact, near = _prompts(options.benchmark)

    def find(table: pl.DataFrame) -> pl.DataFrame:
        read = table.filter(~is_unread())
        verdicts = [_of_source(read, options), *([_of_prompts(read, exact, near)] if near else [])]
        return pl.concat(verdicts).sort("row", "turn", maintain_order=True, nulls_last=False)

    return mark(NAME, find)


def _of_source(table: pl.DataFrame, options: BinarizeOptions) -> pl.DataFrame:
    return verdict(table.filter(_is_benchmark(options)), "benchmark-source")


def _of_prompts(table: pl.DataFrame, exact: dict[str, str], near: dict[bytes, str]) -> pl.DataFrame:
    user_turns = table.select("row", text=pl.col("turns").list.gather_every(2, 0)).explode("text")
    user_turns = user_turns.with_columns(turn=2 * pl.int_range(pl.len(), dtype=pl.Int32).over("row"))
    keys = pl.Series(text_keys(user_turns["text"]), dtype=pl.Binary)
    copies = user_turns.with_columns(
        exact=pl.col("text").replace_strict(exact, default=None, return_dtype=pl.String),
        near=keys.replace_strict(near, default=None, return_dtype=pl.String),
    ).filter(pl.col("near").is_not_null())
    same = pl.when(pl.col("exact").is_not_null()).then(pl.lit("same-prompt")).otherwise(pl.lit("same-words"))
    excerpt = pl.format("{}: {}", pl.coalesce("exact", "near"), pl.col("text").str.slice(0, SHOWN))
    return verdict(copies, same, turn=pl.col("turn"), matched=excerpt)


def _is_benchmark(options: BinarizeOptions) -> pl.Expr:
    sources = [] if options.keep_benchmarks else list(options.benchmark_sources)
    return pl.col("prompt_source").is_in(sources).fill_null(False)


def mark_copies() -> Stage:
    """Return a set stage that marks rows whose prompt has the same words as one from a benchmark source.

    Columns in:  prompt_key, is_benchmark
    """

    def find(table: pl.DataFrame) -> pl.DataFrame:
        benchmark_keys = table.filter("is_benchmark")["prompt_key"].unique()
        copies = table.filter(~pl.col("is_benchmark") & pl.col("prompt_key").is_in(benchmark_keys.implode()))
        return verdict(copies, "prompt-of-benchmark-source")

    return mark(NAME, find)


def with_benchmark_keys(table: pl.DataFrame, options: BinarizeOptions) -> pl.DataFrame:
    """Return the table with prompt_key and is_benchmark; the key is null on dropped rows of other sources."""
    keyed = table.with_columns(
        prompt_key=pl.Series(text_keys(table["turns"].list.last()), dtype=pl.Binary),
        is_benchmark=_is_benchmark(options),
    )
    is_visible = pl.col("dropped_by").is_null() | pl.col("is_benchmark")
    return keyed.with_columns(pl.when(is_visible).then("prompt_key").alias("prompt_key"))


def _prompts(files: tuple[str, ...]) -> tuple[dict[str, str], dict[bytes, str]]:
    """Return the prompts of benchmark files, verbatim and by key, each with the name of its file."""
    exact = {text: Path(file).name for file in reversed(files) for text in read_prompts(Path(file))}
    keys = text_keys(pl.Series(list(exact), dtype=pl.String))
    return exact, {key: name for key, name in zip(keys, exact.values(), strict=True) if key is not None}


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
