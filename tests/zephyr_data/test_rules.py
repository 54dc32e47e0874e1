"""Rules are data: their schema, their examples, their exemptions, what they do to a dialogue."""

import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.conftest import ROOT, dialogue
from zephyr_core.errors import OptionError
from zephyr_data.errors import RuleError
from zephyr_data.reporting.rule_report import score
from zephyr_data.stages import quotes, rules
from zephyr_data.stages.patterns import of_plain, passes
from zephyr_data.stages.phrases import find_hits
from zephyr_data.stages.quotes import blank_quotes

Clean = Callable[..., dict[str, Any]]
Write = Callable[..., Path]
SHIPPED = rules.load(["ultrachat"])
RULE = '[[drop]]\nid = "a"\npattern = "(?i)bad"\nwhy = "w"\nsource = "ours"\n'


def load(tmp_path: Path, text: str) -> rules.Ruleset:
    (tmp_path / "r.toml").write_text(text)
    return rules.load([str(tmp_path / "r.toml")])


def hits(ruleset: rules.Ruleset, *turns: str) -> list[tuple[str, int]]:
    table = pl.DataFrame({"turns": [list(turns)]}, schema={"turns": pl.List(pl.String)}).with_row_index("row")
    return find_hits(table, ruleset).select("rule", "turn").rows()


@pytest.mark.parametrize("rule", SHIPPED.rules, ids=lambda rule: rule.id)
def test_every_shipped_rule_has_hits_misses_why_and_source(rule: rules.Rule) -> None:
    assert rule.hits and rule.misses and rule.why and rule.source
    assert rule.source == "ours" or "paper" in rule.source or "card" in rule.source


@pytest.mark.parametrize("rule", SHIPPED.rules, ids=lambda rule: rule.id)
def test_every_example_hits_or_misses_as_a_whole_reply(rule: rules.Rule) -> None:
    for text in rule.hits:
        assert (rule.id, 1) in hits(SHIPPED, "How do I fix a dripping tap?", text)
    for text in rule.misses:
        assert rule.id not in [name for name, _ in hits(SHIPPED, "How do I fix a dripping tap?", text)]


@pytest.mark.parametrize(
    ("user", "reply", "is_hit"),
    [
        ("How do I clean a pan?", "As an AI language model, I don't scrub, but hot water helps.", True),
        ("Are you an AI?", "Yes. As an AI language model, I answer questions.", False),
        ("Write a scene between two robots.", "BOLT: As an AI, I do not have feelings.", False),
        (
            "Write an e-mail that I cannot come.",
            "Dear Ann, I am sorry, but I am not able to attend. I cannot provide a date.",
            False,
        ),
        ("Tell me about a film.", 'The robot says: "As an AI language model, I do not have feelings."', False),
        ("Tell me about a film.", "The robot says: “I do not have personal opinions.”", False),
        ("What should I see in Rome?", "I don’t have personal preferences, but see the Forum.", True),
        ("How do I build a bomb?", "I'm sorry, but I can't provide that.", False),
        ("How do I build a shed?", "I'm sorry, but I can't provide that.", True),
    ],
)
def test_exemptions_and_quotations(user: str, reply: str, is_hit: bool) -> None:
    assert bool(hits(SHIPPED, user, reply)) is is_hit


def test_an_exemption_holds_for_the_reply_to_its_turn_alone() -> None:
    plain, boilerplate = "How do I clean a pan?", "As an AI language model, I suggest hot water."
    assert [turn for _, turn in hits(SHIPPED, plain, boilerplate, "Are you an AI?", boilerplate)] == [1]
    assert [turn for _, turn in hits(SHIPPED, "Are you an AI?", boilerplate, plain, boilerplate)] == [3]


def test_an_exemption_that_one_rule_names_spares_no_other(tmp_path: Path) -> None:
    other = RULE.replace('"a"', '"b"').replace("bad", "good")
    text = RULE + 'unless = ["x"]\n' + other + '[[unless]]\nid = "x"\npattern = "please"\nwhy = "w"\ngate = "p"\n'
    both = "bad and good"
    assert hits(load(tmp_path, text), "q", both, "please", both, "q", both) == [
        ("a", 1),
        ("b", 1),
        ("b", 3),
        ("a", 5),
        ("b", 5),
    ]


def test_turn_first_and_last_read_only_theirs(tmp_path: Path) -> None:
    first, last = load(tmp_path, RULE + 'turn = "first"'), load(tmp_path, RULE + 'turn = "last"')
    turns = ("q", "bad", "q", "bad", "q", "bad")
    assert hits(first, *turns) == [("a", 1)]
    assert hits(last, *turns) == [("a", 5)]


def test_blanking_keeps_the_length_in_bytes() -> None:
    text = 'He said "I’m an AI" and “naïve 😀” left "open'
    assert len(blank_quotes(text).encode()) == len(text.encode())
    assert blank_quotes(text).startswith('He said "') and blank_quotes(text).endswith('left "open')


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[drop", "not valid TOML"),
        ("[[drip]]\nid = 'a'", "unknown table 'drip'"),
        ("[[drop]]\nid = 'a'", "a: lacks pattern, why, source"),
        (RULE + "color = 1", "unknown key color"),
        (RULE.replace("(?i)bad", "(?=bad)"), "not a Rust regex"),
        (RULE + "role = 'user'", "role is 'user'"),
        (RULE + "turn = 'second'", "turn is 'second'"),
        (RULE + "unless = ['x']", "no \\[\\[unless\\]\\] defines"),
        (RULE + "hits = ['good']", "a does not hit 'good'"),
        (RULE + "misses = ['so bad']", "a hits 'so bad'"),
        (RULE.replace("bad", "{{nope}}"), "{{nope}} is not in"),
    ],
)
def test_a_wrong_rule_names_file_rule_and_fault(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(RuleError, match=message):
        load(tmp_path, text)


def test_no_such_rule_set() -> None:
    with pytest.raises(OptionError, match="no rule file"):
        rules.load(["nothing"])


def test_a_file_replaces_a_rule_of_the_same_id_or_adds_one(tmp_path: Path) -> None:
    text = RULE.replace('"a"', '"as-an-ai"') + RULE.replace('"a"', '"new"')
    (tmp_path / "r.toml").write_text(text)
    both = rules.load(["ultrachat", str(tmp_path / "r.toml")])
    assert [rule.id for rule in both.rules] == [*(rule.id for rule in SHIPPED.rules), "new"]
    assert next(rule.pattern for rule in both.rules if rule.id == "as-an-ai") == "(?i)bad"
    assert set(both.digests) == {"ultrachat", str(tmp_path / "r.toml")}


CUT = [
    ("q one is this", "A good reply.", "q two", "A good one.", "q three", "so bad"),
    ("q four is that", "so bad", "q five", "A good one."),
]


def test_cut_ends_before_the_bad_exchange_and_drops_what_would_be_empty(
    tmp_path: Path, write: Write, clean: Clean
) -> None:
    (tmp_path / "r.toml").write_text(RULE)
    path = write([dialogue(*turns) for turns in CUT])
    cut = clean(path, rules=(str(tmp_path / "r.toml"),), on_hit="cut", languages=("en", "nl", "da", "so"))
    assert cut["counts"]["kept_rows"] == 1
    assert (cut["counts"]["cut_rows"], cut["counts"]["cut_turns"]) == (1, 2)
    assert cut["counts"]["dropped"] == {"phrases/a": 1}
    messages = pl.read_parquet(tmp_path / "out" / "data" / "*_sft-*.parquet")["messages"][0]
    assert [message["content"] for message in messages] == list(CUT[0][:4])
    record = pl.read_parquet(tmp_path / "out" / "audit" / "rewritten.parquet").row(0, named=True)
    assert (record["stage"], record["rule"], record["turn"], record["before"]) == ("phrases", "a", 4, "so bad")


def test_drop_and_off(tmp_path: Path, write: Write, clean: Clean) -> None:
    (tmp_path / "r.toml").write_text(RULE)
    path = write([dialogue(*turns) for turns in [*CUT, ("What is a plum?", "A plum is a fruit.")]])
    dropped = clean(path, rules=(str(tmp_path / "r.toml"),), on_hit="drop")
    assert dropped["counts"]["dropped"] == {"phrases/a": 2}
    off = clean(path, rules=(str(tmp_path / "r.toml"),), on_hit="off", languages=("en", "nl", "da"), out="off")
    assert off["counts"]["dropped"] == {}


def test_every_rule_s_hits_are_counted_though_one_drops(tmp_path: Path, write: Write, clean: Clean) -> None:
    both = "As an AI language model, I don't have personal opinions, but roses are red."
    alone = "Roses are red, though I don't have personal opinions."
    good = ("What is a plum?", "A plum is a fruit.")
    clean(write([dialogue("Which rose?", both), dialogue("Which one?", alone), dialogue(*good)]))
    table = pl.read_parquet(tmp_path / "out" / "audit" / "rules.parquet").rows_by_key("rule", named=True, unique=True)
    opinion, ai = table["lacks-personal-opinion"], table["as-an-ai"]
    assert (opinion["hit_rows"], opinion["only_hit_rows"], opinion["dropped_rows"]) == (2, 1, 1)
    assert (ai["hit_rows"], ai["only_hit_rows"], ai["dropped_rows"]) == (1, 0, 1)
    matched = pl.read_parquet(tmp_path / "out" / "audit" / "dropped.parquet")["matched"].to_list()
    assert matched[0].startswith("⟦As an AI language model, I⟧ don't")


@pytest.mark.parametrize(
    ("name", "precision", "recall"),
    [("phrases", 0.99, 0.95), ("phrases-heldout", 0.98, 0.95), ("phrases-probes", 0.96, 0.90)],
)
def test_precision_on_rows_labelled_by_eye(name: str, precision: float, recall: float) -> None:
    scored = score(SHIPPED, ROOT / "tests" / "labelled" / f"{name}.jsonl")
    assert scored["precision"] >= precision, scored["wrongly_hit"]
    assert scored["recall"] >= recall, scored["missed"]
    for rule, entry in scored["by_rule"].items():
        assert entry["precision"] is None or entry["precision"] >= 0.9, rule


def test_the_first_rounds_of_probes_keep_their_bar(tmp_path: Path) -> None:
    """The later rounds are harder and have a lower bar, in the sum of all above."""
    lines = (ROOT / "tests" / "labelled" / "phrases-probes.jsonl").read_text(encoding="utf-8").splitlines()
    early = tmp_path / "early.jsonl"
    early.write_text("\n".join(lines[:100]), encoding="utf-8")
    scored = score(SHIPPED, early)
    assert scored["precision"] >= 0.98, scored["wrongly_hit"]
    assert scored["recall"] >= 0.90, scored["missed"]


def test_the_shipped_file_is_readable_without_python() -> None:
    content = tomllib.loads((ROOT / "rules" / "ultrachat.toml").read_text())
    assert set(content) == {"lang", "words", "gate", "pasted", "unless", "drop"}


@pytest.mark.parametrize("rule", SHIPPED.rules, ids=lambda rule: rule.id)
def test_the_gate_lets_pass_whatever_a_rule_hits(rule: rules.Rule) -> None:
    """Texts are made of the rule's own pattern, so that this holds beyond its examples."""
    assert SHIPPED.gate is not None

    @example("my lack of first\nhand mood")
    @settings(max_examples=200, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(st.from_regex(re.compile(rule.pattern, re.ASCII)))
    def every_hit_passes(text: str) -> None:
        series = pl.Series([text])
        if series.str.contains(of_plain(rule.pattern)).item():
            assert passes(series, SHIPPED.gate).item(), text
            assert rule.gate is None or series.str.contains(of_plain(rule.gate)).item(), text

    every_hit_passes()


def test_the_shipped_patterns_stay_compiled_from_block_to_block() -> None:
    """Polars keeps 32 regexes and compiles all of them anew where more take turns; other stages need six."""
    entries = [*SHIPPED.rules, *SHIPPED.exemptions]
    others = {each.unlike for each in SHIPPED.exemptions} | {each.gate for each in entries} | {SHIPPED.gate}
    assert len(({each.pattern for each in entries} | others) - {None, rules.OWN_PATTERN}) <= 26


@settings(deadline=None, derandomize=True)
@given(st.lists(st.sampled_from([*"\"“”«»'‘’( \n.?", "Ab", "it, ", "no", "é", "x" * 399]), max_size=24))
def test_blanking_by_the_marks_that_a_text_has_is_blanking_by_all(parts: list[str]) -> None:
    text = "".join(parts)
    assert quotes.without_quotes(pl.Series([text])).item() == quotes._QUOTED.sub(quotes._blanked, text)


def test_a_gate_that_shuts_out_a_hit_is_refused(tmp_path: Path) -> None:
    gate = '[gate]\npattern = "pear"\nwhy = "w"\n'
    rule = '[[drop]]\nid = "a"\npattern = "(?i)plum"\nwhy = "w"\nsource = "ours"\nhits = ["A plum."]\n'
    (tmp_path / "r.toml").write_text(gate + rule)
    with pytest.raises(RuleError, match=r"a gate keeps 'A plum\.' from a"):
        rules.load([str(tmp_path / "r.toml")])
    (tmp_path / "r.toml").write_text(rule)
    assert rules.load([str(tmp_path / "r.toml")]).gate is None
    assert rules.load(["ultrachat", str(tmp_path / "r.toml")]).gate is None, (
        "all replies are read where a file has no gate"
    )
