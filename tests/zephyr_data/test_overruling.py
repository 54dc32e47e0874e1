"""What a rule says of a row: its reason, and how it is overruled, on record."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.conftest import dialogue
from tests.zephyr_data.conftest import Command
from tests.zephyr_data.rated import generic
from zephyr_core.errors import OptionError
from zephyr_core.keys import row_key
from zephyr_data.engine.store import audit_table

Make = Callable[..., dict[str, Any]]
Write = Callable[..., Path]
RULES = """[[drop]]
id = "plum"
pattern = "bad plum"
why = "nobody wants such a plum"
source = "paper §4.1"
[[cut]]
id = "pear"
pattern = "bad pear"
why = "a pear ends it"
source = "ours"
"""
GERMAN = (
    "Wie kann ich meine Zeit besser einteilen, wenn ich so viel zu tun habe?",
    "Du kannst einen Plan machen und dann die wichtigen Dinge zuerst erledigen, das hilft sehr.",
)
PLUM = ("Which fruit has a stone?", "A bad plum has a stone.")
PEAR = ("Which one has none?", "A bad pear has none.")
MILE = ("How long is a mile?", "A mile is about 1.6 kilometres long.")
ROWS = {
    "plum": [*MILE, *PLUM],
    "pear": ["How long is a yard?", "A yard is three feet long.", *PEAR],
    "both": [*PEAR, *MILE, *PEAR],
    "german": [*GERMAN],
    "mile": [*MILE],
    "league": ["How long is a mile??", MILE[1]],
    "empty": ["Which fruit?", ""],
}
LATER = (
    min("mile", "league", key=lambda name: row_key(ROWS[name])),
    max("mile", "league", key=lambda name: row_key(ROWS[name])),
)


@pytest.fixture
def rows(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("rules.toml").write_text(RULES)
    return write([dialogue(*turns, row_id=name) for name, turns in ROWS.items()])


def fates(folder: Path) -> dict[str, str]:
    """Return what dropped each row, by its id, and "kept" for the others."""
    dropped = audit_table(folder, "dropped").select("id", pl.format("{}/{}", "stage", "rule")).rows()
    return dict.fromkeys(audit_table(folder, "kept")["id"], "kept") | dict(dropped)


PLAIN = {
    "plum": "phrases/plum",
    "pear": "kept",
    "both": "phrases/pear",
    "german": "language/detected-de",
    "mile": "kept",
    "league": "kept",
    LATER[1]: "duplicates/same-dialogue",
    "empty": "read/empty-turn",
}


def test_why_and_audit_give_the_reason_of_the_rule(rows: Path, command: Command) -> None:
    assert command("data", "clean-ultrachat", rows, "--rules", "rules.toml", "--out", "out").code == 0
    assert fates(Path("out")) == PLAIN
    reasons = {
        "plum": "\n  why: nobody wants such a plum; source: paper §4.1",
        "pear": "\n  + (cut: 2 turns)\n  why: a pear ends it; source: ours",
        "german": "\n  why: its prose is de, a language that is not kept; source: ours",
        LATER[1]: "\n  why: its turns agree, in normal form, with those of a dialogue that is kept; source: ours",
    }
    audit = command("data", "audit", "out").out
    for name, reason in reasons.items():
        assert reason in command("data", "why", "out", name).out, name
        assert reason in audit, name
    told = command("data", "why", "out", "plum").out
    assert "\n  to overrule it: --spare plum, or --without phrases/plum\n" in told
    assert "to overrule it" not in command("data", "why", "out", "empty").out
    Path("rules.toml").unlink()
    assert command("data", "why", "out", "plum").out == told, "the dataset holds the reason"


def test_a_dataset_from_before_there_were_reasons(rows: Path, command: Command, clean: Make) -> None:
    from tests.zephyr_data.damage import relist

    clean(rows, rules=("rules.toml",))
    path = Path("out/audit/rules.parquet")
    pl.read_parquet(path).drop("why", "why_source").write_parquet(path)
    relist(Path("out"))
    told = command("data", "why", "out", "plum")
    assert told.code == 0 and "dropped by phrases/plum" in told.out and "why:" not in told.out
    assert command("data", "audit", "out").code == 0


SPARED = {
    "by id": ("plum", "plum", ["phrases/plum"]),
    "by place": ("rows.jsonl:1", "plum", ["phrases/plum"]),
    "by key": (row_key(ROWS["german"])[:8], "german", ["language/detected-de"]),
    "from a duplicate": (LATER[1], LATER[1], ["duplicates/same-dialogue"]),
    "from cuts too": ("both", "both", ["phrases/pear", "phrases/pear"]),
    "from a cut": ("pear", "pear", ["phrases/pear"]),
}


@pytest.mark.parametrize("case", SPARED)
def test_a_row_is_spared_on_record(case: str, rows: Path, command: Command) -> None:
    name, row_id, by = SPARED[case]
    ended = command("data", "clean-ultrachat", rows, "--rules", "rules.toml", "--out", "out", "--spare", name)
    assert ended.code == 0, ended.err
    assert fates(Path("out")) == PLAIN | {row_id: "kept"}
    spared = audit_table(Path("out"), "spared").filter(pl.col("unless") == "--spare")
    assert spared.select(pl.format("{}/{}", "stage", "rule")).to_series().to_list() == by
    assert set(spared["id"]) == {row_id}
    told = command("data", "why", "out", row_id).out
    assert "kept: train_sft" in told and "spared by --spare" in told and by[0] in told and "(cut:" not in told
    assert f"hits spared: --spare {len(by)} named by --spare: kept 1" in " ".join(ended.out.split())
    values = json.loads(Path("out/manifest.json").read_text())
    assert values["options"]["values"]["spare"] == [name] and values["counts"]["named_rows"] == {"kept": 1}


def test_rows_are_spared_from_the_selection(rows: Path, clean: Make) -> None:
    drawn = clean(rows, size=1, on_hit="off", languages=("en", "de"))
    lost = [name for name, fate in fates(Path("out")).items() if fate == "selection/not-drawn"]
    content = clean(rows, size=1, on_hit="off", languages=("en", "de"), spare=tuple(lost[:2]), out="more", workers=2)
    assert content["counts"]["kept_rows"] == drawn["counts"]["kept_rows"] + 2
    assert {fates(Path("more"))[name] for name in lost[:2]} == {"kept"}


def test_what_cannot_be_a_row_is_counted(rows: Path, command: Command) -> None:
    Path("ids.txt").write_text("\ufeffplum\n\n empty \n")
    words = ("data", "clean-ultrachat", rows, "--rules", "rules.toml", "--out", "out", "--spare", "@ids.txt")
    ended = command(*words)
    assert "named by --spare: read/empty-turn   1  not a row of the result: cannot be overruled" in ended.out
    assert fates(Path("out")) == PLAIN | {"plum": "kept"}
    assert "nothing to do" in command(*words).out
    Path("ids.txt").write_text("plum")
    assert command(*words).refuses(2, "the rule files")


def test_a_rule_is_left_out_on_record(rows: Path, command: Command) -> None:
    words = ("data", "clean-ultrachat", rows, "--rules", "rules.toml", "--out", "out")
    ended = command(*words, "--without", "pear", "--without", "language/detected-de")
    assert ended.code == 0, ended.err
    assert fates(Path("out")) == PLAIN | {"both": "kept", "german": "kept"}
    rules = {
        rule: (hits, spared)
        for rule, hits, spared in audit_table(Path("out"), "rules").select("rule", "hit_rows", "spared_rows").rows()
    }
    assert rules["pear"] == (0, 2) and rules["detected-de"] == (0, 1) and rules["plum"] == (1, 0)
    assert "spared by --without: language/detected-de" in command("data", "why", "out", "german").out
    assert "spared by --without: 4 hits" in command("data", "audit", "out").out
    assert "(cut:" not in command("data", "why", "out", "pear").out


def test_another_rule_still_drops_the_row(rows: Path, write: Write, clean: Make) -> None:
    both = write([dialogue(*MILE, *PLUM, *PEAR, row_id="x"), dialogue(*MILE)], "both.jsonl")
    clean(both, rules=("rules.toml",), on_hit="drop", without=("plum",))
    assert fates(Path("out"))["x"] == "phrases/pear"


def test_a_recipe_holds_them_and_gives_the_same_rows(rows: Path, command: Command) -> None:
    clean = ("data", "clean-ultrachat", rows)
    Path("mine.toml").write_text(
        'extends = "zephyr-7b-beta"\n["clean-ultrachat"]\nrules = ["rules.toml"]\nspare = ["plum"]\nwithout = ["pear"]\n'
    )
    by_recipe = command(*clean, "--recipe", "mine.toml", "--out", "a", "--json")
    flags = ("--rules", "rules.toml", "--spare", "plum", "--without", "pear")
    by_flags = command(*clean, *flags, "--out", "b", "--json")
    first, second = (json.loads(ended.out) for ended in (by_recipe, by_flags))
    assert first["splits"] == second["splits"] and first["dropped_digest"] == second["dropped_digest"]
    assert fates(Path("a")) == PLAIN | {"plum": "kept", "both": "kept"}
    assert command(*clean, *flags[:4], "--out", "b").refuses(2, "these differ: without")


REFUSED = {
    "no such row": (("--spare", "plum", "--spare", "prune"), "spare names rows that the sources do not hold: 'prune'"),
    "no such file": (("--spare", "@none.txt"), "there is no file none.txt"),
    "no such rule": (("--without", "plumm"), "without is 'plumm', and there is no such rule\nhint:  the nearest are: phrases/plum"),
    "no rule near": (("--without", "qqqqq"), "the nearest are: benchmark/…, duplicates/…, language/…, near-duplicates/…, phrases/…, selection/…"),
    "a fault of reading": (("--without", "read/empty-turn"), "no option makes a row of what cannot be read as one"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_names_that_do_not_exist(case: str, rows: Path, command: Command) -> None:
    flags, message = REFUSED[case]
    ended = command("data", "clean-ultrachat", rows, "--rules", "rules.toml", "--out", "out", *flags)
    assert ended.refuses(2, message) and not Path("out").exists(), ended.err


def test_a_limited_run_says_which_rows_it_did_not_reach(rows: Path, command: Command) -> None:
    flags = ("--rules", "rules.toml", "--spare", "plum", "--spare", "mile", "--limit", "2", "--out", "out")
    ended = command("data", "clean-ultrachat", rows, *flags)
    assert ended.code == 0 and "1 rows to spare are not among those that were read: 'mile'" in ended.err
    assert fates(Path("out")) == {"plum": "kept", "pear": "kept"}


PAIRS = {
    "benchmark": generic("Do pigs fly?", [2, 1], source="truthful_qa", id="benchmark"),
    "copy": generic("do pigs fly", [2, 1], id="copy"),
    "narrow": generic("p", [1.2, 1.1], id="narrow"),
    "plum": generic("q", [5, 1, 1], ["A bad plum.", "b", "c"], id="plum"),
    "sound": generic("r", [5, 1], id="sound"),
    "same": generic("s", [2, 2], id="same"),
}
OF_PAIRS = {
    "benchmark": "benchmark/benchmark-source",
    "copy": "benchmark/prompt-of-benchmark-source",
    "narrow": "policy/margin-too-small",
    "plum": "policy/refusal-in-chosen",
    "sound": "kept",
    "same": "gates/no-lower-score",
}
SPARED_PAIRS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "nothing": ({}, []),
    "a benchmark's row": ({"spare": ("benchmark",)}, ["benchmark"]),
    "a copy": ({"spare": ("copy",)}, ["copy"]),
    "a margin": ({"spare": ("narrow",)}, ["narrow"]),
    "a refusal": ({"spare": ("plum",)}, ["plum"]),
    "no pair": ({"spare": ("same",)}, []),
    "all": ({"spare": tuple(PAIRS)}, ["benchmark", "copy", "narrow", "plum"]),
    "a rule of benchmarks": ({"without": ("prompt-of-benchmark-source",)}, ["copy"]),
    "a phrase rule": ({"without": ("phrases/plum",)}, ["plum"]),
}


@pytest.mark.parametrize("case", SPARED_PAIRS)
def test_pairs(case: str, rows: Path, write: Write, binarize: Make) -> None:
    flags, kept = SPARED_PAIRS[case]
    lines = write(PAIRS.values(), "rated.jsonl")
    content = binarize(lines, rules=("rules.toml",), min_margin=0.5, test_prompts=0, **flags)
    assert fates(Path("pairs")) == OF_PAIRS | dict.fromkeys(kept, "kept")
    spared = audit_table(Path("pairs"), "spared")
    if "spare" in flags:
        assert {row_id: f"{stage}/{rule}" for row_id, stage, rule in spared.select("id", "stage", "rule").rows()} == {
            name: OF_PAIRS[name] for name in kept
        }
        assert content["counts"].get("spared", {}) == ({"--spare": len(kept)} if kept else {})


def test_a_spared_row_keeps_the_pairs_that_it_had(rows: Path, write: Write, binarize: Make) -> None:
    lines = write([generic(f"p{n}", [5, 4, 1, 1], id=str(n)) for n in range(20)], "rated.jsonl")
    first = binarize(lines, min_margin=3, test_prompts=0)
    second = binarize(lines, min_margin=3, test_prompts=0, spare=tuple(map(str, range(20))), out="again")
    assert first["splits"] == second["splits"] and first["counts"]["pairs"] == 20


def test_a_name_that_two_rules_have(rows: Path, write: Write, binarize: Make) -> None:
    Path("rules.toml").write_text(RULES.replace('"plum"', '"same-prompt"'))
    with pytest.raises(OptionError, match="which is benchmark/same-prompt and phrases/same-prompt"):
        binarize(write(PAIRS.values(), "rated.jsonl"), rules=("rules.toml",), without=("same-prompt",))
