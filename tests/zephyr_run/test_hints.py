"""Hints of a step inside a run name options of `zephyr run`, and none that it lacks."""

import ast
import re
import tomllib
from collections.abc import Iterator
from functools import cache, partial

import pytest
import typer

from tests.conftest import ROOT
from zephyr_core import console, recipe
from zephyr_core.errors import OptionError
from zephyr_core.steps import Step
from zephyr_data import commands as data
from zephyr_run import commands, kept_recipe
from zephyr_run.hints import in_words_of_the_run, step_of
from zephyr_run.steps import BY_NAME, CHAIN, with_given
from zephyr_train import commands as train

OF_OTHERS = {"--no-build-isolation", "--query-gpu", "--format"}  # of pip and nvidia-smi
# Never part of a message of a step: words of other commands, and a flag that a run gives no step.
ELSEWHERE = {
    "commands.py",
    "credits.py",
    "publishing.py",
    "launch.py",
    "flags.py",
    "measure.py",
    "suspects.py",
    "steps.py",
}
NEVER = {"--resume"}


@pytest.mark.parametrize(
    ("step", "text", "reworded"),
    [
        ("sft", "--gpus 1 keeps it; use `--attention sdpa` too", None),
        ("sft", "give a local folder with --model", None),
        ("dpo", "give a local folder with --model", "give a local folder with --set dpo.model=…"),
        ("dpo", "give --zero 1, 2 or 3", "give --set dpo.zero=1, 2 or 3"),
        ("dpo", "use --no-share-prompt, or wait", "use --set dpo.share_prompt=false, or wait"),
        ("dpo", "`--share-prompt` turns them on", "`--set dpo.share_prompt=true` turns them on"),
        ("sft", "write --set max_grad_norm=0.5", "write --set sft.set=max_grad_norm=0.5"),
        ("sft", "--set foo: no such option", "--set sft.set=foo: no such option"),
        ("sft", "discard it with --fresh", "discard it with --from sft --fresh"),
        (
            "binarize",
            "give another --out, or replace it with --overwrite",
            "give another --out, or replace it with --from binarize --fresh",
        ),
        ("binarize", "leave out --scale, or give it", "leave out --set binarize.scale=…, or give it"),
        ("binarize", "`--scale MIN..MAX` sets it", "`--set binarize.scale=MIN..MAX` sets it"),
        ("clean-ultrachat", "such as `--languages en,de`", "such as `--set clean-ultrachat.languages=en,de`"),
        ("clean-ultrachat", "`--dry-run` shows its rows", None),
        ("binarize", "use fewer --workers; go on", "use fewer --workers of `zephyr data binarize`; go on"),
        ("sft", "all of it: `--memory`", "all of it: `zephyr train sft --memory`"),
        ("sft", "`zephyr data verify x --json --overwrite` says it", None),
        ("sft", "pip install 'x' --no-build-isolation", None),
        ("sft", "an odd ` and --zero 1", "an odd ` and --set sft.zero=1"),
    ],
)
def test_a_flag_becomes_one_of_the_run(step: str, text: str, reworded: str | None) -> None:
    assert in_words_of_the_run(text, BY_NAME[step]) == (reworded or text)


def _literal(node: ast.AST) -> str | None:
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "X" for part in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


@cache
def messages(package: str) -> list[tuple[str, str]]:
    return [*messages_of(package)]


def messages_of(package: str) -> Iterator[tuple[str, str]]:
    """Return file and text of each literal with a flag in it, docstrings left out."""
    for file in sorted((ROOT / package).rglob("*.py")):
        if file.name in ELSEWHERE:
            continue
        tree = ast.parse(file.read_text())
        inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
        inside |= {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            text = None if id(node) in inside else _literal(node)
            if text is not None and re.search(r"(?<![\w-])--[a-z]", text):
                yield str(file.relative_to(ROOT)), text
    for file in sorted((ROOT / package).rglob("*.toml")):
        for rules in tomllib.loads(file.read_text()).values():
            for rule in rules if isinstance(rules, list) else []:
                yield str(file.relative_to(ROOT)), rule.get("instead", "")


@cache
def flags_of(step: Step) -> set[str]:
    """Return the flags of a step's own command."""
    group, name = step.command
    command = typer.main.get_command({"data": data.app, "train": train.app}[group]).commands[name]  # type: ignore[attr-defined]
    return {flag for one in command.params for flag in (*one.opts, *one.secondary_opts) if flag.startswith("--")}


@cache
def options_of_the_run() -> set[str]:
    command = typer.main.get_command(commands.app).commands["run"]  # type: ignore[attr-defined]
    return {flag for parameter in command.params for flag in parameter.opts}


@pytest.mark.parametrize("step", CHAIN, ids=lambda step: step.name)
def test_every_option_in_a_message_of_a_step_exists_on_the_run(step: Step) -> None:
    there = options_of_the_run()
    assert {"--gpus", "--attention", "--model", "--out", "--set", "--from", "--fresh"} <= there
    package = "zephyr_data" if step.kind == "dataset" else "zephyr_train"
    texts = [*messages(package), *messages("zephyr_core")]
    assert len(texts) > 10
    for file, text in texts:
        reworded = in_words_of_the_run(text, step)
        plain = re.sub(r"--[a-z]+ of `zephyr[^`]*`|`(?!--)[^`]*`", "", reworded)  # without other commands and theirs
        lacking = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", plain)) - there - OF_OTHERS - NEVER
        assert not lacking & flags_of(step), f"{file}: {text} → {reworded}"
        assert lacking <= {flag for one in CHAIN for flag in flags_of(one)}, f"{file}: {text} → {reworded}"


def test_a_fault_of_a_value_that_the_run_resolves_is_worded_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = with_given(recipe.load("tiny"), {}, ["binarize.scale=high"])
    with pytest.raises(OptionError) as fault:
        kept_recipe.load(loaded, {})
    assert fault.value.hint == "such as `--set binarize.scale=1..10`"


def test_news_and_results_pass_through_the_wording_and_json_does_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(console, "_rewordings", [])
    console.speak(partial(in_words_of_the_run, step=BY_NAME["sft"]))
    console.say("try --zero 1")
    console.show({"hint": "--zero 1"}, "or --zero 2", as_json=False)
    console.show({"hint": "--zero 1"}, "", as_json=True)
    out, err = capsys.readouterr()
    assert err == "try --set sft.zero=1\n"
    assert out.startswith("or --set sft.zero=2\n") and '"--zero 1"' in out


def test_the_step_is_known_by_its_command() -> None:
    assert step_of(["train", "reference", "--json"]) is BY_NAME["reference"]
    assert step_of(["data", "verify", "x"]) is None and step_of([]) is None
