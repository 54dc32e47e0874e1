import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests import manifests
from tests.zephyr_run import report_run
from zephyr_core.manifest import file_digest
from zephyr_core.reading import json_lines
from zephyr_page import training_curves
from zephyr_page.style import CSS
from zephyr_run.report import page

VOID = {"meta", "br", "link", "img", "input", "hr"}
FALLEN = "could not be made"


class Reader(HTMLParser):
    """Notes tags that are not closed in order, elements, attributes, headings and texts."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.faults: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.faults.append(tag)

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).replace("\u00a0", " ").split())

    def named(self, *names: str) -> Iterator[dict[str, str | None]]:
        return (attributes for tag, attributes in self.elements if tag in names)


def read(folder: Path, name: str = "tiny") -> Reader:
    reader = Reader()
    reader.feed(page.write(folder, name).read_text(encoding="utf-8"))
    reader.close()
    assert not reader.faults and not reader.open
    return reader


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return report_run.write(tmp_path_factory.mktemp("runs") / "tiny")


def test_the_figures_of_the_manifests_are_on_the_page(run: Path) -> None:
    text = read(run).text
    assert FALLEN not in text
    for told in (
        "5555 read = 4321 kept + 1234 dropped; 4321 = 4000 train + 321 test. The sums meet.",
        "99 read = 77 kept + 22 dropped; 77 = 73 train + 4 test. The sums meet.",
        "7.62 → 5.97",
        "0.75 of 4 test pairs; 95 % interval 0.30 to 0.95, chance 0.50; so few pairs say little",
        "−0.032",
        "8 = 1/GPU × 1 GPU × 8 accumulated",
        "33 = 11 × 3 epochs, 4 of them warm-up",
        "shared: without padding, each prompt read once for both replies",
        "501408 parameters",
        "2026-11-24 21:24:43 UTC",
        f"zephyr reproduce {run}",
    ):
        assert told in re.sub(r"(?<=\d),(?=\d{3})", "", text)
    titles = {attributes.get("title") for attributes in read(run).named("code")}
    assert {report_run.DIGEST, file_digest(run / "sft/model/model.safetensors")} <= titles


def test_texts_of_others_are_texts(run: Path) -> None:
    reader = read(run)
    assert not list(reader.named("script", "img", "iframe", "link", "object", "base"))
    assert sum(tag == "style" for tag, _ in reader.elements) == 1
    assert not [name for _, attributes in reader.elements for name in attributes if name.startswith("on")]
    assert "<script>alert(1)</script></style></title>" in reader.text
    raw = (run / page.NAME).read_text()
    assert "\x00" not in raw and "\u202e" not in raw


def test_the_page_asks_for_nothing(run: Path) -> None:
    reader = read(run)
    asking = {"src", "href", "srcset", "action", "data", "poster", "xlink:href", "background"}
    wanted = [value for _, attributes in reader.elements for name, value in attributes.items() if name in asking]
    assert wanted and all(value and value.startswith("#") for value in wanted)
    style = re.search(r"<style>(.*?)</style>", (run / page.NAME).read_text(), re.DOTALL)
    assert style and style[1] == CSS
    assert "url(" not in CSS and "@import" not in CSS
    policies = [a["content"] for a in reader.named("meta") if a.get("http-equiv") == "Content-Security-Policy"]
    assert policies == ["default-src 'none'; style-src 'unsafe-inline'"]


def test_headings_go_down_one_by_one_and_pictures_have_words(run: Path) -> None:
    reader = read(run)
    levels = [int(tag[1]) for tag, _ in reader.elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    ids = [attributes["id"] for _, attributes in reader.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    pictures = list(reader.named("svg"))
    assert len(pictures) == 10  # flow, two of drops, margins of scores, two of dSFT, four of dDPO
    for picture in pictures:
        assert picture["role"] == "img" and set(str(picture["aria-labelledby"]).split()) <= set(ids)
    links = {str(attributes["href"])[1:] for attributes in reader.named("a")}
    assert links <= set(ids)
    scopes = [attributes.get("scope") for attributes in reader.named("th")]
    assert scopes and set(scopes) == {"row", "col"}


@pytest.mark.parametrize("until", ["clean-ultrachat", "binarize", "sft"])
def test_steps_that_were_not_run_are_said_so(tmp_path: Path, until: str) -> None:
    text = read(report_run.write(tmp_path / "tiny", until=until)).text
    assert "dDPO not run" in text and FALLEN not in text


def test_an_empty_directory_has_a_page(tmp_path: Path) -> None:
    text = read(tmp_path, "no-such-recipe").text
    assert "This run has no finished step yet." in text and FALLEN not in text


def test_a_step_without_its_manifest_is_begun_and_one_with_a_broken_one_damaged(tmp_path: Path) -> None:
    folder = report_run.write(tmp_path / "tiny")
    (folder / "dpo" / "manifest.json").unlink()
    (folder / "binarize" / "manifest.json").write_text("{")
    text = read(folder).text
    assert "binarize damaged" in text and "dDPO begun, not finished" in text and FALLEN not in text


def test_no_metrics_and_no_numbers(tmp_path: Path) -> None:
    folder = report_run.write(tmp_path / "tiny")
    (folder / "sft" / "metrics.jsonl").write_text("")
    nothing = {
        "step": 33,
        "epoch": 3.0,
        "split": "test",
        "loss": float("nan"),
        "accuracy": None,
        "margin": float("inf"),
    }
    report_run.lines(folder / "dpo" / "metrics.jsonl", [nothing])
    with (folder / "dpo" / "metrics.jsonl").open("a") as stream:
        stream.write('{"loss": 1}\n{"step": 34, "spl')
    reader = read(folder)
    assert FALLEN not in reader.text
    assert "No metrics were logged." in reader.text and reader.text.count("No values were logged.") == 4
    assert "NaN" in reader.text and "2 lines of metrics.jsonl are not rows" in reader.text
    drawn = [
        value for tag, a in reader.elements if tag in ("path", "circle", "text") for value in (a.get("d"), a.get("y"))
    ]
    assert not [value for value in drawn if value and ("nan" in value or "inf" in value)]


def test_the_page_draws_the_curves_of_curves_svg(run: Path) -> None:
    files = [training_curves.file_text(json_lines(run / step / "metrics.jsonl")[0], step) for step in ("sft", "dpo")]
    drawn = [re.findall(r'<(?:path|circle) class="(?:curve|dot)[^>]*>', text) for text in files]
    page.write(run, "tiny")
    assert all(drawn) and drawn[0] + drawn[1] == re.findall(
        r'<(?:path|circle) class="(?:curve|dot)[^>]*>', (run / page.NAME).read_text()
    )


def test_an_accuracy_before_the_first_update_is_quoted_nowhere(tmp_path: Path) -> None:
    folder = report_run.write(tmp_path / "tiny")
    row = {"step": 0, "epoch": 0, "split": "test", "loss": 0.6931, "accuracy": 0.0, "margin": 0.0}
    report_run.lines(folder / "dpo" / "metrics.jsonl", [row])
    manifests.edit(folder / "dpo", lambda content: content.update(results=row))
    text = read(folder).text
    assert "dDPO test margin 0.000" in text and "dDPO test accuracy" not in text
    assert "test accuracy –" in text and "Last test accuracy" not in text and FALLEN not in text
    assert "Evaluations on the test split epoch step loss margin 0 0 0.6931 0.0000" in text


def test_a_damaged_audit_costs_its_part_and_no_other(tmp_path: Path) -> None:
    folder = report_run.write(tmp_path / "tiny")
    (folder / "clean-ultrachat" / "audit" / "dropped.parquet").write_bytes(b"PAR1 no")
    text = read(folder).text
    assert text.count(FALLEN) == 1 and "zephyr reproduce" in text and "The sums meet." in text


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content["counts"]["dropped"].update({"phrases/as-an-ai": 1199}),
        lambda content: content["splits"]["test_sft"].update(rows=320),
    ],
)
def test_sums_that_do_not_meet_are_said(tmp_path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    folder = report_run.write(tmp_path / "tiny", until="clean-ultrachat")
    manifests.edit(folder / "clean-ultrachat", change)
    assert "The sums do NOT meet." in read(folder).text


def test_the_same_directory_gives_the_same_bytes_and_leaves_no_other_file(run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "tiny"
    shutil.copytree(run, folder)
    (folder / page.NAME).unlink(missing_ok=True)
    before = sorted(folder.rglob("*"))
    first = page.write(folder, "tiny").read_bytes()
    assert page.write(folder, "tiny").read_bytes() == first
    assert sorted(folder.rglob("*")) == sorted([*before, folder / page.NAME])


def test_answers_are_shown_with_how_they_ended(tmp_path: Path) -> None:
    folder = report_run.write(tmp_path / "tiny", until="binarize")
    answers = {"dSFT": "Fine.", "dDPO": report_run.HOSTILE}
    rows = [{"prompt": "How <i>?", "answers": answers, "stopped": {"dSFT": True, "dDPO": False}}]
    report_run.lines(folder / "samples.jsonl", rows)
    text = read(folder).text
    assert "How <i>?" in text and "dSFT, ended its turn" in text and "dDPO, did not end its turn" in text


def test_the_command_and_seconds_of_the_run_are_told(tmp_path: Path) -> None:
    folder = report_run.write(tmp_path / "tiny", until="sft")
    steps = {
        "sft": {"command": ["zephyr", "train", "sft", "--data", "a b"], "seconds": 12.34},
        "reference": {"command": "zephyr train reference", "seconds": 1.0},
    }
    (folder / "run.json").write_text(json.dumps({"steps": steps}))
    text = read(folder).text
    assert "What was run zephyr train sft --data 'a b' zephyr train reference How to check" in text
    assert "12.3 s for the whole step" in text


def test_the_kept_recipe_counts_and_not_the_shipped_one(tmp_path: Path) -> None:
    folder = report_run.write(tmp_path / "tiny", until="sft")
    (folder / "recipe").mkdir()
    (folder / "recipe" / "tiny.toml").write_text(
        'about = "mine"\n[[deviations]]\nwhat = "w"\npaper = "p"\ndecision = "9"'
    )
    text = read(folder).text
    assert "Mine." in text and "Where the recipe departs from the paper here the paper decision w p 9" in text


def test_nothing_heavy_is_imported() -> None:
    code = "import sys, zephyr_run.report.page; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    packages = {name.partition(".")[0] for name in loaded}
    assert not packages & {"pyarrow", "numpy", "torch", "polars", "matplotlib"}
    light = {f"zephyr_{package}{module}" for package in ("data", "train") for module in ("", ".steps", ".options")}
    assert {name for name in loaded if name.startswith(("zephyr_data", "zephyr_train"))} <= light, "lists of steps only"
