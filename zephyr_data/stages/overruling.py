"""What the user overrules: rules and rows, each by its name. The verbs turn such a verdict into a hit on record."""

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import polars as pl

from zephyr_core.errors import OptionError
from zephyr_core.manifest import file_digest
from zephyr_core.reading import checked
from zephyr_data.sources.dialogue_turns import STAGE as READ

WITHOUT, SPARE = "--without", "--spare"  # in `unless`, as what spared a hit
SPARE_NAMES = "spare_names"  # column: the names that --spare gives a row; null for nearly all
LEAST_KEY = 8  # characters of a row_key that can name a row
_KEY = f"[0-9a-f]{{{LEAST_KEY},64}}"


class Reason(NamedTuple):
    """Why a rule drops or cuts, and where that is from: "paper §…", or "ours"."""

    why: str
    source: str = "ours"


Reasons = Mapping[str, Reason]  # by the name of the rule: "stage/rule"


def rules_named(names: Iterable[str], reasons: Reasons) -> frozenset[str]:
    """Return rules by their whole names; each can be named without its stage, if no other stage has one of that name.

    Raises:
        OptionError: there is no such rule, or there are several.
    """
    return frozenset(_rule_named(name, reasons) for name in names)


def _rule_named(name: str, reasons: Reasons) -> str:
    fitting = [rule for rule in reasons if name in (rule, rule.partition("/")[2])]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise OptionError(f"without is {name!r}, which is {' and '.join(fitting)}", "give the stage too")
    if name.startswith(f"{READ}/"):
        raise OptionError(f"without is {name!r}: no option makes a row of what cannot be read as one")
    spelled = {spelling: rule for rule in reasons for spelling in (rule.partition("/")[2], rule)}
    near = dict.fromkeys(spelled[match] for match in difflib.get_close_matches(name, spelled, n=5))
    others = near or dict.fromkeys(sorted({rule.partition("/")[0] + "/…" for rule in reasons}))
    listed = ", ".join(others) or "none"
    raise OptionError(f"without is {name!r}, and there is no such rule", f"the nearest are: {listed}")


def row_names(spare: Iterable[str]) -> list[str]:
    """Return the names of rows that an option lists; `@FILE` stands for the lines of a file.

    Raises:
        OptionError: a file cannot be read.
    """
    lists = ([entry] if _file(entry) is None else _lines(Path(entry[1:])) for entry in spare)
    return list(dict.fromkeys(name for names in lists for name in names))


def list_digests(spare: Iterable[str]) -> dict[str, str]:
    """Return the sha256 of each file that lists rows."""
    return {entry: file_digest(path) for entry in spare if (path := _file(entry)) is not None}


def _file(entry: str) -> Path | None:
    if not entry.startswith("@"):
        return None
    path = Path(entry[1:])
    if not path.is_file():
        raise OptionError(f"spare is {entry!r}, and there is no file {entry[1:]}", "list one name of a row per line")
    return path


def _lines(path: Path) -> list[str]:
    text = checked(path, str, form="text", error=OptionError)
    return [line for line in map(str.strip, text.removeprefix("\ufeff").splitlines()) if line]


def with_spare_names(table: pl.DataFrame, names: Iterable[str]) -> pl.DataFrame:
    """Return the table with the names by which each row is to be spared.

    A row is named by its raw id, its row_key or the beginning of that, or FILE:LINE.

    Columns in:  id, row_key, file, line
    """
    listed = pl.Series("name", list(names), dtype=pl.String)
    sizes = listed.filter(listed.str.contains(f"^{_KEY}$")).str.len_chars().unique().to_list()
    spellings = [pl.col("id"), pl.format("{}:{}", "file", "line"), *(pl.col("row_key").str.head(n) for n in sizes)]
    fitting = pl.concat_list(pl.when(each.is_in(listed.implode())).then(each) for each in spellings).list.drop_nulls()
    fit = pl.when(fitting.list.len() > 0).then(fitting.list.unique())
    return table if listed.is_empty() else table.with_columns(fit.alias(SPARE_NAMES))


def overrule(stage: str, verdicts: pl.DataFrame, table: pl.DataFrame, rules: frozenset[str]) -> pl.DataFrame:
    """Return the verdicts of a stage with those on named rows, and those of named rules, spared: they only count.

    Columns in:  verdicts: row, rule, drops, unless; table: spare_names
    """
    rows = table[SPARE_NAMES].is_not_null().arg_true()
    if not rules and rows.is_empty():
        return verdicts
    by_rule = pl.format("{}/{}", pl.lit(stage), "rule").is_in(list(rules))
    by_row = pl.col("row").is_in(rows.implode())
    option = pl.when(by_rule).then(pl.lit(WITHOUT)).when(by_row).then(pl.lit(SPARE))
    unless = pl.coalesce("unless", option)
    return verdicts.with_columns(unless=unless).with_columns(drops=pl.col("drops") & pl.col("unless").is_null())
