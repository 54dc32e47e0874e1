"""Entry point of `zephyr data inspect`."""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from zephyr_core.console import say
from zephyr_core.errors import UsageError
from zephyr_core.recipe import Recipe
from zephyr_look.choosing import Choice, chosen_rows
from zephyr_look.dropped import DroppedRows, dropped_text, with_raw
from zephyr_look.opening import Dataset, open_dataset
from zephyr_look.row_form import NAMES, PLACE, ROW
from zephyr_look.row_text import heading, row_text
from zephyr_look.screen import Screen, page


def refuse_mixed(*, dropped: bool, tokens: str | None, template: str | None, splits: Sequence[str]) -> None:
    """Refuse options that say nothing about each other.

    Raises:
        UsageError: naming them.
    """
    if dropped and (tokens is not None or splits):
        what = "--tokens" if tokens is not None else "--split"
        raise UsageError(f"--dropped and {what} exclude each other", "dropped rows are in no split, and not trained on")
    if template is not None and tokens is None:
        raise UsageError("--template is about tokens", "give it with --tokens MODEL")


def inspect(source: str, splits: Sequence[str], choice: Choice, *, as_json: bool) -> None:
    """Show rows of a dataset."""
    dataset, screen = open_dataset(source, splits), Screen.of_stdout()
    rows = chosen_rows(dataset, choice, ROW, NAMES, PLACE)
    records = rows.iter_rows(named=True)
    _print(records, (row_text(row, screen) for row in records), rows.height, choice, dataset, as_json=as_json)


def inspect_dropped(source: str, choice: Choice, *, as_json: bool) -> None:
    """Show rows that a dataset directory dropped, with reasons."""
    dataset, screen = open_dataset(source), Screen.of_stdout()
    dropped = DroppedRows.of(dataset)
    chosen = chosen_rows(dropped, choice, dropped.table.schema, dropped.names, dropped.place)
    records = with_raw(chosen, dataset)
    texts = (dropped_text(row, screen) for row in records)
    _print(records, texts, len(records), choice, dataset, as_json=as_json)


def inspect_tokens(
    source: str,
    splits: Sequence[str],
    choice: Choice,
    model: str,
    recipe: Recipe,
    template: str | None,
    *,
    as_json: bool,
) -> None:
    """Show rows of a dataset as the tokens that training makes of them."""
    from zephyr_look.token_view import TokenView, legend, token_text

    dataset, screen = open_dataset(source, splits), Screen.of_stdout()
    view = TokenView(model, recipe, template)
    rows = chosen_rows(dataset, choice, ROW, NAMES, PLACE)
    token_rows = ((row, view.tokens(row)) for row in rows.iter_rows(named=True))
    records = ({**_place(row), **asdict(tokens)} for row, tokens in token_rows)
    texts = (f"{heading(row, screen)}\n{token_text(tokens, screen)}" for row, tokens in token_rows)
    whole = _with_head(legend(screen), texts) if rows.height else texts
    _print(records, whole, rows.height, choice, dataset, as_json=as_json)


def _print(
    records: Iterable[Mapping[str, Any]],
    texts: Iterable[str],
    count: int,
    choice: Choice,
    dataset: Dataset,
    *,
    as_json: bool,
) -> None:
    if not count and choice.name is not None:
        raise UsageError(f"{dataset.label} has no row {choice.name!r}", "give an id, a prompt_id or a row's key")
    if not count:
        others = f"; its splits are {', '.join(dataset.splits)}" if len(dataset.splits) > 1 else ""
        say(f"no such row in {', '.join(dataset.read_splits)} of {dataset.label}{others}")
    is_ascii = sys.stdout.isatty() or not (sys.stdout.encoding or "").lower().startswith("utf")
    page((json.dumps(record, ensure_ascii=is_ascii) for record in records) if as_json else texts)
    if count == choice.rows and not as_json:
        say(f"{count:,} rows of {dataset.label}; more with --rows and --skip")


def _with_head(head: str, texts: Iterable[str]) -> Iterator[str]:
    yield head
    yield from texts


def _place(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("split", "file", "row", "kind", "prompt_id", "key")}
