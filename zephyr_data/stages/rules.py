"""Phrase rules: patterns with a reason, read from TOML, evaluated as Rust regexes (linear time, no look-around)."""

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypedDict

import polars as pl

from zephyr_core import paths
from zephyr_core.errors import OptionError, first_line
from zephyr_core.manifest import file_digest
from zephyr_core.reading import checked
from zephyr_core.shape import misfit
from zephyr_data.errors import RuleError

_TABLES = "a rule file has [words], [gate], [[drop]], [[cut]], [[unless]]"
_TEXT = ("id", "pattern", "why", "source")
_LISTS = ("unless", "hits", "misses")
_KNOWN = {*_TEXT, *_LISTS, "role", "turn", "family", "gate"}
_PIECE = re.compile(r"\{\{(\w+)\}\}")
ANY_WORD_BOUNDARY = re.compile(r"(?<!\\)((?:\\\\)*)\\b")


class _Entry(TypedDict, total=False):
    """The keys of a rule or exemption whose types are checked for the whole file; `_check_entry` looks for the rest."""

    unless: list[str]
    hits: list[str]
    misses: list[str]
    family: str
    gate: str


class _RuleFile(TypedDict, total=False):
    words: dict[str, str]
    gate: dict[str, object]
    drop: list[_Entry]
    cut: list[_Entry]
    unless: list[_Entry]


@dataclass(frozen=True)
class Exemption:
    """A pattern on the user's turns that spares a dialogue from the rules that name it."""

    id: str
    pattern: str
    why: str
    hits: tuple[str, ...] = ()
    misses: tuple[str, ...] = ()
    gate: str | None = None  # cheap pattern that matches whatever the exemption hits


@dataclass(frozen=True)
class Rule:
    """A pattern with a reason. `action` is "drop" or "cut"; `turn` says which assistant turns it reads."""

    id: str
    pattern: str
    why: str
    source: str
    action: str
    family: str
    turn: str = "any"  # any | first | last
    unless: tuple[str, ...] = ()
    hits: tuple[str, ...] = ()
    misses: tuple[str, ...] = ()
    gate: str | None = None  # cheap pattern that matches whatever the rule hits


@dataclass(frozen=True)
class Ruleset:
    """Rules in order, the exemptions they name, and the files they came from."""

    rules: tuple[Rule, ...]
    exemptions: tuple[Exemption, ...]
    digests: dict[str, str] = field(default_factory=dict)  # file name → sha256
    gate: str | None = None  # cheap pattern that matches every reply a rule hits; None if a file has none

    def with_action(self, on_hit: str) -> "Ruleset":
        """Return the rules with one action for all ("drop", "cut"), none of them ("off"), or as ruled."""
        if on_hit == "as-ruled":
            return self
        rules = () if on_hit == "off" else tuple(replace(rule, action=on_hit) for rule in self.rules)
        return replace(self, rules=rules)


def rust(pattern: str) -> str:
    """Return the pattern with ASCII word boundaries: on non-ASCII text, Unicode ones take the engine's slow path."""
    return ANY_WORD_BOUNDARY.sub(r"\1(?-u:\\b)", pattern)


def load(names: Iterable[str]) -> Ruleset:
    """Return the rules of shipped sets and files, in that order; a later rule replaces an earlier one with the same id.

    Raises:
        OptionError: a file is missing.
        RuleError: a file is not TOML, or a rule breaks the schema or its own examples.
    """
    rules: dict[str, Rule] = {}
    exemptions: dict[str, Exemption] = {}
    digests, gates = {}, []
    for name in names:
        path = Path(name) if name.endswith(".toml") else paths.shipped("rules") / f"{name}.toml"
        content = _parse(path)
        digests[name] = file_digest(path)
        _expand(content, path)
        gates.append(_gate(content.pop("gate", {}), path))
        for entry in content.pop("unless", []):
            exemption = _exemption(entry, path)
            exemptions[exemption.id] = exemption
        for action in ("drop", "cut"):
            for entry in content.pop(action, []):
                rule = _rule(entry, action, path)
                rules[rule.id] = rule
        if content:
            raise RuleError(f"{path}: unknown table {sorted(content)[0]!r}", _TABLES)
    patterns = [gate for gate in gates if gate is not None]
    gate = "|".join(f"(?:{pattern})" for pattern in patterns) if patterns and len(patterns) == len(gates) else None
    ruleset = Ruleset(tuple(rules.values()), tuple(exemptions.values()), digests, gate)
    _check_references(ruleset)
    faults = contradictions(ruleset)
    if faults:
        raise RuleError(
            "rules contradict their own examples:\n  " + "\n  ".join(faults), "fix the pattern or the example"
        )
    return ruleset


def contradictions(ruleset: Ruleset) -> list[str]:
    """Return a line for each example that its own rule or exemption gets wrong."""
    faults = []
    entries: list[Rule | Exemption] = [*ruleset.rules, *ruleset.exemptions]
    for entry in entries:
        for examples, is_hit in ((entry.hits, True), (entry.misses, False)):
            results = pl.Series(examples, dtype=pl.String).str.contains(rust(entry.pattern)).to_list()
            verb = "does not hit" if is_hit else "hits"
            faults += [
                f"{entry.id} {verb} {text!r}" for text, hit in zip(examples, results, strict=True) if hit is not is_hit
            ]
        hits = pl.Series(entry.hits, dtype=pl.String)
        for gate in (ruleset.gate if isinstance(entry, Rule) else None, entry.gate):
            if gate is not None:
                shut_out = hits.filter(~hits.str.contains(rust(gate)))
                faults += [f"a gate keeps {text!r} from {entry.id}" for text in shut_out]
    return faults


def _parse(path: Path) -> dict[str, Any]:
    if not path.exists():
        shipped = ", ".join(sorted(file.stem for file in paths.shipped("rules").glob("*.toml")))
        raise OptionError(f"no rule file {path}", f"shipped sets: {shipped}; a file name ends in .toml")
    content: dict[str, Any] = checked(path, tomllib.loads, form="TOML", error=RuleError)
    try:
        fault = misfit(content, _RuleFile)
    except ValueError as too_long:  # an integer of more digits than Python prints
        fault = first_line(too_long)
    if fault:
        raise RuleError(f"{path}: {fault}", _TABLES)
    return content


def _gate(entry: dict[str, Any], path: Path) -> str | None:
    if not entry:
        return None
    _check_entry({"id": "[gate]", **entry}, ("pattern", "why"), {"id", "pattern", "why"}, path)
    return str(entry["pattern"])


def _expand(content: dict[str, Any], path: Path) -> None:
    """Put the pieces of [words] into the patterns, and earlier pieces into later ones."""
    words: dict[str, str] = {}

    def filled(pattern: Any) -> Any:
        return _PIECE.sub(lambda piece: _piece(words, piece[1], path), pattern) if isinstance(pattern, str) else pattern

    for name, piece in content.pop("words", {}).items():
        words[name] = filled(piece)
    for entry in (entry for kind in ("drop", "cut", "unless") for entry in content.get(kind, [])):
        entry |= {name: filled(entry[name]) for name in ("pattern", "gate") if name in entry}


def _piece(words: dict[str, str], name: str, path: Path) -> str:
    if name not in words:
        raise RuleError(f"{path}: {{{{{name}}}}} is not in [words]", f"known so far: {', '.join(words)}")
    return words[name]


def _rule(entry: dict[str, Any], action: str, path: Path) -> Rule:
    where = _check_entry(entry, _TEXT, _KNOWN, path)
    if entry.get("role", "assistant") != "assistant":
        raise RuleError(f"{where}: role is {entry['role']!r}; rules read the assistant's turns")
    turn = entry.get("turn", "any")
    if turn not in ("any", "first", "last"):
        raise RuleError(f"{where}: turn is {turn!r}; it can be any, first, last")
    family = entry.get("family", entry["id"])
    unless, hits, misses = (tuple(entry.get(name, ())) for name in _LISTS)
    texts = {name: entry[name] for name in _TEXT}
    lists: dict[str, Any] = {"unless": unless, "hits": hits, "misses": misses}
    return Rule(action=action, family=family, turn=turn, gate=entry.get("gate"), **lists, **texts)


def _exemption(entry: dict[str, Any], path: Path) -> Exemption:
    names = ("id", "pattern", "why")
    _check_entry(entry, names, {*names, "hits", "misses", "gate"}, path)
    hits, misses = (tuple(entry.get(name, ())) for name in ("hits", "misses"))
    return Exemption(entry["id"], entry["pattern"], entry["why"], hits, misses, entry.get("gate"))


def _check_entry(entry: dict[str, Any], required: tuple[str, ...], names: set[str], path: Path) -> str:
    where = f"{path}, {entry.get('id', 'a rule without id')}"
    lacking = [name for name in required if not isinstance(entry.get(name), str)]
    unknown = sorted(set(entry) - names)
    if lacking or unknown:
        faults = [f"lacks {', '.join(lacking)}"] * bool(lacking) + [f"has unknown key {', '.join(unknown)}"] * bool(
            unknown
        )
        raise RuleError(f"{where}: {' and '.join(faults)}", f"a rule has {', '.join(sorted(names))}")
    for pattern in (entry[name] for name in ("pattern", "gate") if name in entry):
        try:
            pl.select(pl.lit("").str.contains(rust(pattern)))
        except pl.exceptions.PolarsError as fault:
            hint = "it has no look-around and no back-references"
            raise RuleError(f"{where}: not a Rust regex: {fault}", hint) from None
    return where


def _check_references(ruleset: Ruleset) -> None:
    ids = {exemption.id for exemption in ruleset.exemptions}
    for rule in ruleset.rules:
        missing = sorted(set(rule.unless) - ids)
        if missing:
            raise RuleError(
                f"rule {rule.id}: unless names {missing[0]!r}, which no [[unless]] defines", f"known: {sorted(ids)}"
            )
