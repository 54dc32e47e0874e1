"""Phrase rules: patterns with a reason, read from TOML, evaluated as Rust regexes (linear time, no look-around)."""

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, TypedDict

import polars as pl

from zephyr_core import paths
from zephyr_core.errors import OptionError, first_line
from zephyr_core.manifest import file_digest
from zephyr_core.reading import checked
from zephyr_core.shape import misfit
from zephyr_data.errors import RuleError
from zephyr_data.stages.patterns import admits, contains
from zephyr_data.stages.plain import plain

_TABLES = "a rule file has lang, [words], [gate], [pasted], [[drop]], [[cut]], [[unless]]"
_TEXT = ("id", "pattern", "why", "source")
_LISTS = ("unless", "hits", "misses")
_KNOWN = {*_TEXT, *_LISTS, "role", "turn", "family", "gate", "lang"}
_OF_EXEMPTIONS = {"id", "pattern", "why", "hits", "misses", "gate", "reads", "unlike", "option"}
READS = ("request", "requests", "exchange", "exchanges", "turn")
OWN_PATTERN = "{{rule}}"  # an exemption's pattern that stands for that of the rule which hit
_PIECE = re.compile(r"\{\{(\w+)\}\}")


class _Entry(TypedDict, total=False):
    """The keys of a rule or exemption whose types are checked for the whole file; `_check_entry` looks for the rest."""

    unless: list[str]
    hits: list[str]
    misses: list[str]
    family: str
    gate: str


class _RuleFile(TypedDict, total=False):
    lang: str
    words: dict[str, str]
    gate: dict[str, object]
    pasted: dict[str, object]
    drop: list[_Entry]
    cut: list[_Entry]
    unless: list[_Entry]


@dataclass(frozen=True)
class Exemption:
    """A pattern on what the user asked that spares the reply from the rules that name it."""

    id: str
    pattern: str
    why: str
    hits: tuple[str, ...] = ()
    misses: tuple[str, ...] = ()
    gate: str | None = None  # cheap pattern that matches whatever the exemption hits
    reads: str = "request"  # one of READS, see exemptions.py
    unlike: str | None = None  # what the reply must not match
    option: str | None = None  # the option that turns it on and off


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
    lang: str = "en"
    classes: tuple[str, ...] = ()  # names of the [words] that its pattern is made of


@dataclass(frozen=True)
class Ruleset:
    """Rules in order, the exemptions they name, and the files they came from."""

    rules: tuple[Rule, ...]
    exemptions: tuple[Exemption, ...]
    digests: dict[str, str] = field(default_factory=dict)  # file name → sha256
    gate: str | None = None  # cheap pattern that matches every reply a rule hits; None if a file has none
    pasted: str | None = None  # matches the words after which a user's turn holds a text instead of a request
    words: dict[str, str] = field(default_factory=dict)  # classes by name, as written

    def with_action(self, on_hit: str) -> "Ruleset":
        """Return the rules with one action for all ("drop", "cut"), none of them ("off"), or as ruled."""
        if on_hit == "as-ruled":
            return self
        rules = () if on_hit == "off" else tuple(replace(rule, action=on_hit) for rule in self.rules)
        return replace(self, rules=rules)

    def without(self, option: str) -> "Ruleset":
        """Return the rules without the exemptions that an option turns off."""
        off = {exemption.id for exemption in self.exemptions if exemption.option == option}
        rules = tuple(replace(rule, unless=tuple(n for n in rule.unless if n not in off)) for rule in self.rules)
        return replace(self, rules=rules, exemptions=tuple(e for e in self.exemptions if e.id not in off))

    def uncovered(self, languages: Iterable[str]) -> list[str]:
        """Return those of the languages that no rule is written for."""
        covered = {rule.lang for rule in self.rules}
        return [language for language in languages if covered and language not in covered]


def load(names: Iterable[str]) -> Ruleset:
    """Return the rules of shipped sets and files, in that order; a later rule replaces an earlier one with the same id.

    Raises:
        OptionError: a file is missing.
        RuleError: a file is not TOML, or a rule breaks the schema or its own examples.
    """
    files = [(name, _file(name)) for name in names]
    return _load(tuple((name, path, checked(path, str, form="TOML", error=RuleError)) for name, path in files))


def _file(name: str) -> Path:
    path = Path(name) if name.endswith(".toml") else paths.shipped("rules") / f"{name}.toml"
    if not path.exists():
        shipped = ", ".join(sorted(file.stem for file in paths.shipped("rules").glob("*.toml")))
        raise OptionError(f"no rule file {path}", f"shipped sets: {shipped}; a file name ends in .toml")
    return path


@lru_cache(4)  # a run asks for its rules several times, and their patterns take long to compile
def _load(files: tuple[tuple[str, Path, str], ...]) -> Ruleset:  # name, path, text
    rules: dict[str, Rule] = {}
    exemptions: dict[str, Exemption] = {}
    gates: list[str | None] = []
    pasted: list[str | None] = []
    words: dict[str, str] = {}
    digests = {name: file_digest(path) for name, path, _ in files}
    for _, path, text in files:
        content = _parse(path, text)
        words |= content.get("words", {})
        lang = content.pop("lang", "en")
        _expand(content, path)
        gates.append(_gate(content.pop("gate", {}), "[gate]", path))
        pasted.append(_gate(content.pop("pasted", {}), "[pasted]", path))
        for entry in content.pop("unless", []):
            exemption = _exemption(entry, path)
            exemptions[exemption.id] = exemption
        for action in ("drop", "cut"):
            for entry in content.pop(action, []):
                rule = _rule({"lang": lang, **entry}, action, path)
                rules[rule.id] = rule
        if content:
            raise RuleError(f"{path}: unknown table {sorted(content)[0]!r}", _TABLES)
    gate = _any(gates) if None not in gates else None
    ruleset = Ruleset(tuple(rules.values()), tuple(exemptions.values()), digests, gate, _any(pasted), words)
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
        if entry.pattern == OWN_PATTERN:
            continue
        for examples, is_hit in ((entry.hits, True), (entry.misses, False)):
            results = contains(_plain(examples), entry.pattern).to_list()
            verb = "does not hit" if is_hit else "hits"
            faults += [
                f"{entry.id} {verb} {text!r}" for text, hit in zip(examples, results, strict=True) if hit is not is_hit
            ]
        hits, whole_gate = pl.Series(entry.hits, dtype=pl.String), ruleset.gate if isinstance(entry, Rule) else None
        kept_out = [hits.filter(~admits(hits, whole_gate))] if whole_gate else []
        kept_out += [hits.filter(~contains(_plain(hits), entry.gate))] if entry.gate else []
        faults += [f"a gate keeps {text!r} from {entry.id}" for texts in kept_out for text in texts]
    return faults


def _plain(texts: Iterable[str]) -> pl.Series:
    return pl.Series([plain(text) for text in texts], dtype=pl.String)


def _parse(path: Path, text: str) -> dict[str, Any]:
    content: dict[str, Any] = checked(path, lambda _: tomllib.loads(text), form="TOML", error=RuleError)
    try:
        fault = misfit(content, _RuleFile)
    except ValueError as too_long:  # an integer of more digits than Python prints
        fault = first_line(too_long)
    if fault:
        raise RuleError(f"{path}: {fault}", _TABLES)
    return content


def _gate(entry: dict[str, Any], name: str, path: Path) -> str | None:
    if not entry:
        return None
    _check_entry({"id": name, **entry}, ("pattern", "why"), {"id", "pattern", "why"}, path)
    return str(entry["pattern"])


def _any(patterns: list[str | None]) -> str | None:
    """Return a pattern that matches what any of the patterns matches; None if there are none."""
    return "|".join(f"(?:{pattern})" for pattern in patterns if pattern is not None) or None


def _expand(content: dict[str, Any], path: Path) -> None:
    """Put the pieces of [words] into the patterns, and earlier pieces into later ones."""
    words: dict[str, str] = {}

    def filled(pattern: Any) -> Any:
        if not isinstance(pattern, str) or pattern == OWN_PATTERN:
            return pattern
        return _PIECE.sub(lambda piece: _piece(words, piece[1], path), pattern)

    for name, piece in content.pop("words", {}).items():
        words[name] = filled(piece)
    for entry in (entry for kind in ("drop", "cut", "unless") for entry in content.get(kind, [])):
        if isinstance(entry.get("pattern"), str):
            entry["classes"] = tuple(dict.fromkeys(_PIECE.findall(entry["pattern"])))
        entry |= {name: filled(entry[name]) for name in ("pattern", "gate", "unlike") if name in entry}
    for entry in (content[name] for name in ("gate", "pasted") if name in content):
        entry |= {name: filled(entry[name]) for name in ("pattern",) if name in entry}


def _piece(words: dict[str, str], name: str, path: Path) -> str:
    if name not in words:
        raise RuleError(f"{path}: {{{{{name}}}}} is not in [words]", f"known so far: {', '.join(words)}")
    return words[name]


def _rule(entry: dict[str, Any], action: str, path: Path) -> Rule:
    classes = entry.pop("classes", ())
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
    others: dict[str, Any] = {"gate": entry.get("gate"), "lang": entry["lang"], "classes": classes}
    return Rule(action=action, family=family, turn=turn, **others, **lists, **texts)


def _exemption(entry: dict[str, Any], path: Path) -> Exemption:
    entry.pop("classes", None)
    where = _check_entry(entry, ("id", "pattern", "why"), _OF_EXEMPTIONS, path)
    if entry.get("reads", "request") not in READS:
        raise RuleError(f"{where}: reads is {entry['reads']!r}; it can be {', '.join(READS)}")
    _check_pattern(entry.get("unlike", ""), where)
    fields: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in entry.items()}
    return Exemption(**fields)


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
        if pattern != OWN_PATTERN:
            _check_pattern(pattern, where)
    return where


def _check_pattern(pattern: str, where: str) -> None:
    try:
        contains(pl.Series([""]), pattern)
    except pl.exceptions.PolarsError as fault:
        raise RuleError(f"{where}: not a Rust regex: {fault}", "it has no look-around and no back-references") from None


def _check_references(ruleset: Ruleset) -> None:
    ids = {exemption.id for exemption in ruleset.exemptions}
    for rule in ruleset.rules:
        missing = sorted(set(rule.unless) - ids)
        if missing:
            raise RuleError(
                f"rule {rule.id}: unless names {missing[0]!r}, which no [[unless]] defines", f"known: {sorted(ids)}"
            )
