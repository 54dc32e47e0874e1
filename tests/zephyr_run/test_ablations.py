"""The ablations: claims by hand, the page, and one seed trained and measured for real."""

import copy
import json
from collections.abc import Iterator, Sequence
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests import manifests
from tests.conftest import News, zephyr
from zephyr_core import paths, process, recipe
from zephyr_core.errors import RunInProgress, UsageError
from zephyr_core.process import Ended
from zephyr_core.recipe_names import RECORD
from zephyr_run import invocation, record
from zephyr_run.ablation import ablate, page
from zephyr_run.ablation.arms import Place
from zephyr_run.ablation.claims import claims
from zephyr_run.errors import DamagedInput, StepFailed
from zephyr_run.steps import SECTIONS, of_kind, with_given


def share(*values: float) -> dict[str, Any]:
    return {"mean": sum(values) / len(values), "least": min(values), "largest": max(values), "values": list(values)}


def arm(likelier: float, stopped: float, implicit: float | None = None) -> dict[str, Any]:
    return {
        "standard_error": 0.05,
        "accuracy_per_token": share(likelier, likelier + 0.02),
        "implicit_accuracy": None if implicit is None else share(implicit, implicit),
        "eos_probability": share(stopped, stopped),
        "stopped_share": share(stopped, stopped),
        "played_on_share": share(0.0, 0.0),
    }


def epochs(*train: float) -> list[dict[str, Any]]:
    return [
        {"epoch": at, "train_accuracy": value, "test_accuracy": 0.8, "test_loss": 0.3}
        for at, value in enumerate(train, 1)
    ]


CONTENT: dict[str, Any] = {
    "recipe": "tiny",
    "seeds": [1, 2],
    "pairs": 80,
    "answered": 40,
    "chance": 0.5,
    "longer_is_chosen": 0.45,
    "arms": {
        "base": arm(0.5, 0.0),
        "ddpo-alone": arm(0.8, 0.3, 0.8),
        "dsft-1": arm(0.2, 0.97),
        "dsft-2": arm(0.6, 0.97, 0.7),
        "ddpo": arm(0.86, 1.0, 0.87),
    },
    "epochs": {name: [epochs(0.7, 0.9, 0.97), epochs(0.7, 0.9, 0.97)] for name in ("ddpo", "ddpo-alone")},
    "first_loss": {"ddpo": [0.6931472] * 2, "ddpo-alone": [0.6931472] * 2},
    "samples": [
        {
            "prompt": "<|user|>\nWho? <script>alert(1)</script>\n<|assistant|>\n",
            "answers": {
                name: {"text": f"I am {name} </style>", "stopped": name != "ddpo-alone"}
                for name in ("ddpo-alone", "dsft-1", "dsft-2", "ddpo")
            },
        }
    ],
}
BREAKS: dict[str, tuple[list[Any], Any]] = {
    "first-loss": (["first_loss", "ddpo", 0], 0.70),
    "train-accuracy": (["epochs", "ddpo", 0, 2, "train_accuracy"], 0.94),
    "overfitting": (["epochs", "ddpo", 1, 0, "test_accuracy"], 0.74),
    "above-dsft-1": (["arms", "dsft-1", "accuracy_per_token", "values", 1], 0.80),
    "above-dsft-2": (["arms", "dsft-2", "accuracy_per_token", "values", 0], 0.80),
    "above-length": (["longer_is_chosen"], 0.77),
    "ends-its-turn": (["arms", "ddpo-alone", "eos_probability", "values", 0], 0.9),
}


def holding(content: dict[str, Any]) -> dict[str, bool]:
    return {claim.name: claim.holds for claim in claims(content)}


def test_all_claims_hold_of_figures_like_the_papers() -> None:
    assert holding(CONTENT) == dict.fromkeys(BREAKS, True)


@pytest.mark.parametrize("name", BREAKS)
def test_one_seed_is_enough_to_break_a_claim(name: str) -> None:
    content = copy.deepcopy(CONTENT)
    path, value = BREAKS[name]
    place: Any = content
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    assert [claim for claim, holds in holding(content).items() if not holds] == [name]


def test_a_share_of_short_answers_is_a_rule_of_length_too() -> None:
    assert not holding(copy.deepcopy(CONTENT) | {"longer_is_chosen": 1 - 0.77})["above-length"]


@pytest.mark.parametrize("lost", ["epochs", "tests"])
def test_without_two_evaluated_epochs_nothing_is_claimed_of_them(lost: str) -> None:
    content = copy.deepcopy(CONTENT)
    for run in content["epochs"]["ddpo"]:
        run[-1]["test_accuracy"] = None
        del run[: 2 if lost == "epochs" else 0]
    assert "overfitting" not in holding(content)


def test_the_page_tells_what_of_the_papers_order_does_not_show(tmp_path: Path) -> None:
    told = page.write(tmp_path, CONTENT).read_text()
    assert "which is not the paper&#x27;s: dDPO + dSFT 0.87, dDPO − dSFT 0.81, dSFT-2 0.61, dSFT-1 0.21;" in told
    assert "It separates given answers as well as dDPO with dSFT" in told
    content = copy.deepcopy(CONTENT)
    for name, value in (("ddpo-alone", 0.3), ("dsft-2", 0.5), ("dsft-1", 0.6)):
        content["arms"][name] = arm(value, 0.9, 0.5)
    told = page.write(tmp_path, content).read_text()
    assert "which is the paper&#x27;s own" in told and "Not reproduced" not in told


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Commands that ran: none does, each answers with no models."""
    words_of: list[str] = []

    def start(argv: Sequence[str], **_: Any) -> Ended:
        words_of.append(argv[len(invocation.argv([])) + 1])
        return Ended(0, '{"models": {}}')

    monkeypatch.setattr(process, "start", start)
    return words_of


def test_values_and_a_folder_reach_every_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environments: list[dict[str, str]] = []

    def start(_: Sequence[str], *, environment: dict[str, str], **__: Any) -> Ended:
        environments.append(environment)
        return Ended(7, "")

    monkeypatch.setattr(process, "start", start)
    out = tmp_path / "exp"
    given = with_given(recipe.load("tiny"), {"--gpus": 2}, ["dpo.beta=0.2"])
    with pytest.raises(StepFailed):
        ablate.ablate(given, [1], out)
    [environment] = environments
    assert environment[paths.RUN] == str(out)
    monkeypatch.setenv(RECORD, environment[RECORD])
    options = recipe.resolve("dpo", SECTIONS["dpo"], recipe.load("tiny")).options
    assert (options.beta, options.gpus) == (0.2, 2)
    with pytest.raises(UsageError, match="is a file"):
        ablate.ablate(given, [1], out / "ablations" / invocation.PARSED)


def trained(place: Place, arm: str, weights: str) -> None:
    file = place.of(arm) / "model" / "model.safetensors"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(weights)
    (place.of(arm) / "job.json").write_text('{"model": "student"}')
    (place.of(arm) / "manifest.json").unlink(missing_ok=True)
    manifests.write(place.of(arm), "model")


def test_models_are_looked_at_anew_when_one_is_another_or_the_figures_are_damaged(
    tmp_path: Path, told: list[str]
) -> None:
    place = Place("tiny", 1, tmp_path / "seed-1", tmp_path / "pairs")
    for name in ("dsft-1", "ddpo"):
        trained(place, name, name)

    def looked_at() -> int:
        told.clear()
        ablate.train(place, ablate.Commands())
        assert told[:4] == ["sft", "sft", "dpo", "dpo"], "whether there is something to do is for the command to say"
        return told.count("measure")

    assert looked_at() == 2
    assert looked_at() == 0
    place.figures("base").write_text("{")
    assert looked_at() == 1
    trained(place, "ddpo", "another")
    assert looked_at() == 2


def test_weights_that_have_changed_are_not_measured(tmp_path: Path, told: list[str]) -> None:
    place = Place("tiny", 1, tmp_path / "seed-1", tmp_path / "pairs")
    for name in ("dsft-1", "ddpo"):
        trained(place, name, name)
    (place.of("ddpo") / "model" / "model.safetensors").write_text("odpd")
    with pytest.raises(DamagedInput, match=r"seed-1/ddpo is damaged: model/model.safetensors has changed"):
        ablate.train(place, ablate.Commands())
    assert "measure" not in told


def test_damaged_pairs_are_no_ground_to_train_on(
    tmp_path: Path, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZEPHYR_RUNS", str(tmp_path))
    names = [step.name for step in of_kind("dataset")]
    for name in names:
        (tmp_path / "tiny" / name).mkdir(parents=True)
        (tmp_path / "tiny" / name / "rows").write_text(name)
        manifests.write(tmp_path / "tiny" / name, "pairs")
    (tmp_path / "tiny" / "binarize" / "rows").write_text("binarizE")
    with pytest.raises(DamagedInput, match="rows has changed") as found:
        ablate.ablate(recipe.load("tiny"), [1])
    assert "zephyr run --recipe tiny --from binarize" in str(found.value.hint)
    assert told == names


def test_a_run_at_work_in_the_same_place_is_waited_for(
    tmp_path: Path, told: list[str], news: News, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZEPHYR_RUNS", str(tmp_path))
    monkeypatch.setattr(record, "PATIENCE", 0.3)
    with record.run_lock(tmp_path / "tiny"), pytest.raises(RunInProgress, match="`zephyr run` or `zephyr ablate`"):
        ablate.ablate(recipe.load("tiny"), [1])
    assert told == [] and "waiting" in news()[0]


class Balanced(HTMLParser):
    """Counts open elements."""

    depth = 0
    scripts = 0

    def handle_starttag(self, tag: str, attributes: Any) -> None:
        self.depth += tag not in ("meta", "br", "link")
        self.scripts += tag == "script"

    def handle_endtag(self, tag: str) -> None:
        self.depth -= 1


def test_the_page_is_whole_shows_the_papers_figures_and_runs_nobodys_text(tmp_path: Path) -> None:
    text = page.write(tmp_path, CONTENT).read_text()
    parser = Balanced()
    parser.feed(text)
    assert (parser.depth, parser.scripts) == (0, 0)
    for shown in ("0.870", "85.65", "4.76", "the longer answer", "chance", "did not end its turn", "another scale"):
        assert shown in text
    assert "&lt;script&gt;" in text and "<script>" not in text
    assert "http" not in text.replace("http-equiv", "")


@pytest.mark.slow
def test_the_claims_of_the_page_hold_for_the_tiny_recipe(tmp_path: Path, grammar: ModuleType) -> None:
    """One seed, trained for real: minutes."""
    done = zephyr("ablate", "--recipe", "tiny", "--seeds", "42", cwd=tmp_path, OMP_NUM_THREADS="1")
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "runs" / "tiny" / "ablations"
    assert done.stdout.rstrip().endswith("ablations.html")
    content = json.loads((folder / "ablations.json").read_text())
    assert holding(content) == dict.fromkeys(BREAKS, True), {claim.name: claim.figures for claim in claims(content)}
    assert content["pairs"] == 80
    assert len(list(folder.rglob("*.safetensors"))) == 4
    true = {
        name: share for file in (folder / "seed-42").glob("held-out-*.json") for name, share in truth(file, grammar)
    }
    # With seed 43 dSFT-2 alone says nearly all there is to say (docs/training.md).
    assert true["ddpo"] > max(0.4, true["dsft-2"] + 0.1)
    assert true["dsft-1"] < 0.1, "it evades as its teacher does"
    assert true["ddpo-alone"] < 0.1, "it tells answers apart and writes none"


def truth(figures: Path, grammar: ModuleType) -> Iterator[tuple[str, float]]:
    """Yield each model with the share of its greedy answers that say what is true of the thing that was asked about."""
    for name, found in json.loads(figures.read_text())["models"].items():
        said = [
            grammar.STATEMENTS[kind].format(thing, grammar.WORLD[thing][kind]) in answer
            for prompt, answer in zip(found["prompts"], found["answers"], strict=True)
            for thing in grammar.THINGS
            for kind, questions in grammar.QUESTIONS.items()
            if any(words.format(thing) in prompt for words in questions)
        ]
        assert len(said) > 30
        yield Path(name).name, sum(said) / len(said)
